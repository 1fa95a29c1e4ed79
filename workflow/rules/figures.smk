# What encoders can do: each figure is a rule, a caption and one function; all are in the report.

# Of one seed of every phase, and of the untrained encoder beside them.
EXAMPLES = [
    *first_runs("examples.npz"),
    f"results/runs/{SCALE}/untrained/seed{PARAMS.seeds[0]}/examples.npz",
]


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
