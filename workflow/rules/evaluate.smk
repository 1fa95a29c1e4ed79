# Frozen encoders and controls, measured by the same code on tasks that were never trained on.


rule evaluate_encoder:
    input:
        encoder="results/runs/{scale}/{phase}/seed{seed}/encoder.safetensors",
        tokens=tokens_of(EVALUATION_SETS),
        candidates=expand("data/frames/{{scale}}/{name}.npz", name=CANDIDATES),
        frames=expand("data/frames/{{scale}}/{name}.npz", name=TEST_SETS),
        code=code("evaluate_encoder"),
    output:
        scores="results/runs/{scale}/{phase}/seed{seed}/scores.csv",
        record="results/runs/{scale}/{phase}/seed{seed}/evaluation.json",
        examples="results/runs/{scale}/{phase}/seed{seed}/examples.npz",
    log:
        "logs/{scale}/evaluate_encoder/{phase}-seed{seed}.log",
    benchmark:
        "logs/{scale}/benchmarks/evaluate_encoder.{phase}-seed{seed}.tsv"
    # Before the figures of the training.
    priority: 10
    conda:
        "../envs/arcjepa.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=120,
    params:
        evaluation=text(PARAMS.evaluation),
        # Else scores of an encoder that failed to train again would look current.
        phase=phase_text,
        code=code_digest("evaluate_encoder"),
    message:
        "Evaluate {wildcards.phase}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate_encoder.py"


rule evaluate_control:
    input:
        tokens=tokens_of(EVALUATION_SETS),
        candidates=expand("data/frames/{{scale}}/{name}.npz", name=CANDIDATES),
        frames=expand("data/frames/{{scale}}/{name}.npz", name=TEST_SETS),
        code=code("evaluate_control"),
    output:
        scores="results/runs/{scale}/{control}/seed{seed}/scores.csv",
        record="results/runs/{scale}/{control}/seed{seed}/evaluation.json",
        examples="results/runs/{scale}/{control}/seed{seed}/examples.npz",
    log:
        "logs/{scale}/evaluate_control/{control}-seed{seed}.log",
    benchmark:
        "logs/{scale}/benchmarks/evaluate_control.{control}-seed{seed}.tsv"
    # Before the figures of the training.
    priority: 10
    conda:
        "../envs/arcjepa.yaml"
    threads: 1
    resources:
        gpu=lambda wildcards: GPU if wildcards.control == "untrained" else 0,
        mem_mb=8000,
        runtime=120,
    params:
        evaluation=text(PARAMS.evaluation),
        tokens=text(PARAMS.tokens),
        # Whose model the untrained encoder has.
        architecture=PARAMS.names[0],
        phase=text(PARAMS.phase_settings(PARAMS.names[0])),
        code=code_digest("evaluate_control"),
    message:
        "Evaluate the control {wildcards.control}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate_control.py"
