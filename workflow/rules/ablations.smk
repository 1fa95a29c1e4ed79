# Sets of scenarios: what each change does. Nothing here runs unless a set is asked for by its name.


rule ablate_set:
    input:
        scores=set_runs("scores.csv"),
        runs=set_runs("run.json"),
        epochs=set_runs("epochs.csv"),
        untrained=run_files("scores.csv", ["untrained"]),
        code=code("ablate_set"),
    output:
        table=report(
            "results/comparison/{scale}/ablations/{set}.csv",
            caption="../report/ablations/table.rst",
            category="Ablations",
            labels={"set": "{set}", "shows": "table"},
        ),
    log:
        "logs/{scale}/ablate_set/{set}.log",
    benchmark:
        "logs/{scale}/benchmarks/ablate_set.{set}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=set_text,
        evaluation=text(PARAMS.evaluation),
        success=text(PARAMS.success),
        code=code_digest("ablate_set"),
    message:
        "Compare the members of {wildcards.set}"
    script:
        "../scripts/ablate_set.py"


rule estimate_effects:
    input:
        scores=set_runs("scores.csv"),
        runs=set_runs("run.json"),
        epochs=set_runs("epochs.csv"),
        code=code("estimate_effects"),
    output:
        effects=report(
            "results/comparison/{scale}/ablations/{set}-effects.csv",
            caption="../report/ablations/effects.rst",
            category="Ablations",
            labels={"set": "{set}", "shows": "effects"},
        ),
    log:
        "logs/{scale}/estimate_effects/{set}.log",
    benchmark:
        "logs/{scale}/benchmarks/estimate_effects.{set}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=set_text,
        evaluation=text(PARAMS.evaluation),
        success=text(PARAMS.success),
        code=code_digest("estimate_effects"),
    message:
        "Estimate the effects in {wildcards.set}"
    script:
        "../scripts/estimate_effects.py"


rule correlate_ranks:
    input:
        steps=set_runs("steps.csv"),
        losses=set_runs("losses.csv"),
        code=code("correlate_ranks"),
    output:
        hypothesis=report(
            "results/comparison/{scale}/ablations/{set}-hypothesis.csv",
            caption="../report/ablations/hypothesis.rst",
            category="Ablations",
            labels={"set": "{set}", "shows": "hypothesis"},
        ),
    log:
        "logs/{scale}/correlate_ranks/{set}.log",
    benchmark:
        "logs/{scale}/benchmarks/correlate_ranks.{set}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=set_text,
        code=code_digest("correlate_ranks"),
    message:
        "Correlate rank and relational loss in {wildcards.set}"
    script:
        "../scripts/correlate_ranks.py"


rule plot_ablation:
    input:
        table=rules.ablate_set.output.table,
        effects=lambda wildcards: set_tables(wildcards.set, ["effects"]),
        code=code("plot_ablation"),
    output:
        svg=report(
            "results/comparison/{scale}/ablations/{set}.svg",
            caption="../report/ablations/figure.rst",
            category="Ablations",
            labels={"set": "{set}", "shows": "figure"},
        ),
        png="results/comparison/{scale}/ablations/{set}.png",
    log:
        "logs/{scale}/plot_ablation/{set}.log",
    benchmark:
        "logs/{scale}/benchmarks/plot_ablation.{set}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=set_stamp,
        code=code_digest("plot_ablation"),
    message:
        "Plot {wildcards.set}"
    script:
        "../scripts/plot_ablation.py"


rule judge_set:
    input:
        metrics=rules.compare_phases.output.metrics,
        scores=set_runs("scores.csv"),
        runs=set_runs("run.json"),
        epochs=set_runs("epochs.csv"),
        steps=set_runs("steps.csv"),
        findings=set_runs("diagnosis.json"),
        analysis=ANALYSIS_TABLES,
        code=code("judge_set"),
    output:
        gates=report(
            "results/comparison/{scale}/ablations/{set}-gates.csv",
            caption="../report/ablations/gates.rst",
            category="Ablations",
            labels={"set": "{set}", "shows": "gates"},
        ),
        risks=report(
            "results/comparison/{scale}/ablations/{set}-risks.csv",
            caption="../report/ablations/risks.rst",
            category="Ablations",
            labels={"set": "{set}", "shows": "risks"},
        ),
    log:
        "logs/{scale}/judge_set/{set}.log",
    benchmark:
        "logs/{scale}/benchmarks/judge_set.{set}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=set_text,
        evaluation=text(PARAMS.evaluation),
        diagnosis=text(PARAMS.diagnosis),
        success=text(PARAMS.success),
        tables=digest(ANALYSIS, ROOT),
        code=code_digest("judge_set"),
    message:
        "Judge phases by {wildcards.set}"
    script:
        "../scripts/judge_set.py"
