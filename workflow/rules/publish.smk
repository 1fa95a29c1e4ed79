# Encoders to give away: `snakemake publish` makes one per phase, small enough for git.


rule publish_encoder:
    input:
        encoders=lambda wildcards: run_files("encoder.safetensors", [wildcards.phase]),
        runs=lambda wildcards: run_files("run.json", [wildcards.phase]),
        scores=lambda wildcards: run_files("scores.csv", [wildcards.phase]),
        metrics=rules.compare_phases.output.metrics,
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
