# How runs went: each figure is a rule, a caption and one function; all are in the report.


rule plot_analysed:
    input:
        runs=run_files("run.json", PARAMS.names[:1]),
        epochs=run_files("epochs.csv", PARAMS.names[:1]),
        steps=run_files("steps.csv", PARAMS.names[:1]),
        losses=run_files("losses.csv", PARAMS.names[:1]),
        analysis=ANALYSIS_TABLES,
        code=code("plot_analysed"),
    output:
        svg=report(
            figure("analysed"),
            caption="../report/analysed.rst",
            category="Training",
            labels={"figure": "the analysed run beside our baseline"},
        ),
        png="results/comparison/{scale}/analysed.png",
    log:
        "logs/{scale}/plot_analysed.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_analysed.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["runs"],
        tables=digest(ANALYSIS, ROOT),
        code=code_digest("plot_analysed"),
    message:
        "Plot the analysed run beside the baseline"
    script:
        "../scripts/plot_analysed.py"


rule plot_losses:
    input:
        epochs=run_files("epochs.csv", PARAMS.names),
        code=code("plot_losses"),
    output:
        svg=report(
            figure("losses"),
            caption="../report/losses.rst",
            category="Training",
            labels={"figure": "losses by epoch"},
        ),
        png="results/comparison/{scale}/losses.png",
    log:
        "logs/{scale}/plot_losses.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_losses.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["runs"],
        code=code_digest("plot_losses"),
    message:
        "Plot the loss components by epoch"
    script:
        "../scripts/plot_losses.py"


rule plot_gradients:
    input:
        epochs=run_files("epochs.csv", PARAMS.names),
        analysis=ANALYSIS_TABLES,
        code=code("plot_gradients"),
    output:
        svg=report(
            figure("gradients"),
            caption="../report/gradients.rst",
            category="Training",
            labels={"figure": "gradient norms and clipping"},
        ),
        png="results/comparison/{scale}/gradients.png",
    log:
        "logs/{scale}/plot_gradients.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_gradients.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["runs"],
        tables=digest(ANALYSIS, ROOT),
        code=code_digest("plot_gradients"),
    message:
        "Plot gradient norms before clipping"
    script:
        "../scripts/plot_gradients.py"


rule plot_codebook:
    input:
        steps=run_files("steps.csv", PARAMS.names),
        analysis=ANALYSIS_TABLES,
        code=code("plot_codebook"),
    output:
        svg=report(
            figure("codebook"),
            caption="../report/codebook.rst",
            category="Training",
            labels={"figure": "use of the codebook"},
        ),
        png="results/comparison/{scale}/codebook.png",
    log:
        "logs/{scale}/plot_codebook.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_codebook.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["runs"],
        tables=digest(ANALYSIS, ROOT),
        code=code_digest("plot_codebook"),
    message:
        "Plot codebook usage and perplexity"
    script:
        "../scripts/plot_codebook.py"


rule plot_geometry:
    input:
        steps=run_files("steps.csv", PARAMS.names),
        analysis=ANALYSIS_TABLES,
        code=code("plot_geometry"),
    output:
        svg=report(
            figure("geometry"),
            caption="../report/geometry.rst",
            category="Training",
            labels={"figure": "geometry of the embeddings"},
        ),
        png="results/comparison/{scale}/geometry.png",
    log:
        "logs/{scale}/plot_geometry.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_geometry.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["runs"],
        tables=digest(ANALYSIS, ROOT),
        code=code_digest("plot_geometry"),
    message:
        "Plot the geometry of the embeddings"
    script:
        "../scripts/plot_geometry.py"
