# Encoders to give away, small enough for git: `snakemake publish` makes one of every phase, and one of a scenario is made
# by the name of its file.


rule publish_encoder:
    input:
        encoders=lambda wildcards: run_files("encoder.safetensors", [wildcards.phase]),
        runs=lambda wildcards: run_files("run.json", [wildcards.phase]),
        scores=lambda wildcards: run_files("scores.csv", [wildcards.phase]),
        code=code("publish_encoder"),
    output:
        encoder="results/encoders/{scale}/{phase}.safetensors",
        card="results/encoders/{scale}/{phase}.md",
    log:
        "logs/{scale}/publish_encoder/{phase}.log",
    benchmark:
        "logs/{scale}/benchmarks/publish_encoder.{phase}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phase=phase_text,
        evaluation=text(PARAMS.evaluation),
        code=code_digest("publish_encoder"),
    message:
        "Publish the encoder of {wildcards.phase}"
    script:
        "../scripts/publish_encoder.py"
