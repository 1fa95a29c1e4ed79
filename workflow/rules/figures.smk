# Each figure is a rule, a caption and one function; all are in the report.

# Of one seed of every phase, and of the untrained encoder beside them.
EXAMPLES = [
    *first_runs("examples.npz"),
    f"results/runs/{SCALE}/untrained/seed{PARAMS.seeds[0]}/examples.npz",
]
# Of the analysed run, which stands beside ours where the quantity is the same.
ANALYSIS_TABLES = [str(file.relative_to(ROOT)) for file in ANALYSIS]


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


rule plot_yardstick:
    input:
        metrics=rules.compare_phases.output.metrics,
        code=code("plot_yardstick"),
    output:
        svg=report(
            figure("yardstick"),
            caption="../report/yardstick.rst",
            category="Comparison",
            labels={"figure": "yardstick, beside controls"},
        ),
        png="results/comparison/{scale}/yardstick.png",
    log:
        "logs/{scale}/plot_yardstick.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_yardstick.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["scores"],
        code=code_digest("plot_yardstick"),
    message:
        "Plot the yardstick"
    script:
        "../scripts/plot_yardstick.py"


rule plot_ranking:
    input:
        ranking=rules.compare_phases.output.ranking,
        code=code("plot_ranking"),
    output:
        svg=report(
            figure("ranking"),
            caption="../report/ranking.rst",
            category="Comparison",
            labels={"figure": "ranking and retrieval, beside controls"},
        ),
        png="results/comparison/{scale}/ranking.png",
    log:
        "logs/{scale}/plot_ranking.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_ranking.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["scores"],
        code=code_digest("plot_ranking"),
    message:
        "Plot candidate ranking and retrieval"
    script:
        "../scripts/plot_ranking.py"


rule draw_targets:
    input:
        targets=rules.judge_phases.output.targets,
        code=code("draw_targets"),
    output:
        svg=report(
            figure("targets"),
            caption="../report/targets.rst",
            category="Comparison",
            labels={"figure": "targets of the analysis"},
        ),
        png="results/comparison/{scale}/targets.png",
    log:
        "logs/{scale}/draw_targets.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_targets.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["judgements"],
        code=code_digest("draw_targets"),
    message:
        "Draw the phases against the targets"
    script:
        "../scripts/draw_targets.py"


rule plot_map:
    input:
        examples=EXAMPLES,
        code=code("plot_map"),
    output:
        svg=report(
            figure("map"),
            caption="../report/map.rst",
            category="Examples",
            labels={"figure": "map of the embeddings"},
        ),
        png="results/comparison/{scale}/map.png",
    log:
        "logs/{scale}/plot_map.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_map.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["scores"],
        code=code_digest("plot_map"),
    message:
        "Plot a map of the embeddings"
    script:
        "../scripts/plot_map.py"


rule draw_tokens:
    input:
        tokens="data/tokens/{scale}/arc1.safetensors",
        code=code("draw_tokens"),
    output:
        svg=report(
            figure("tokens"),
            caption="../report/tokens.rst",
            category="Examples",
            labels={"figure": "object tokens of a grid"},
        ),
        png="results/comparison/{scale}/tokens.png",
    log:
        "logs/{scale}/draw_tokens.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_tokens.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["tokens"],
        code=code_digest("draw_tokens"),
    message:
        "Draw a grid with its object tokens"
    script:
        "../scripts/draw_tokens.py"


rule draw_ranking:
    input:
        examples=EXAMPLES,
        code=code("draw_ranking"),
    output:
        svg=report(
            figure("candidates"),
            caption="../report/candidates.rst",
            category="Examples",
            labels={"figure": "ranked candidates"},
        ),
        png="results/comparison/{scale}/candidates.png",
    log:
        "logs/{scale}/draw_ranking.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_ranking.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["scores"],
        code=code_digest("draw_ranking"),
    message:
        "Draw queries with their candidates as each encoder ranks them"
    script:
        "../scripts/draw_ranking.py"
