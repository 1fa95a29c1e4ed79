# Phases and controls side by side, and the headline that `dvc metrics` shows.


rule compare_phases:
    input:
        scores=[*run_files("scores.csv", PARAMS.names), *control_files("scores.csv")],
        runs=run_files("run.json", PARAMS.names),
        steps=run_files("steps.csv", PARAMS.names),
        epochs=run_files("epochs.csv", PARAMS.names),
        tokens=tokens_of(FRAME_SETS),
        code=code("compare_phases"),
    output:
        metrics="results/comparison/{scale}/metrics.csv",
        ranking="results/comparison/{scale}/ranking.csv",
        probes="results/comparison/{scale}/probes.csv",
        targets="results/comparison/{scale}/targets.csv",
        data="results/comparison/{scale}/data.csv",
    log:
        "logs/{scale}/compare_phases.log",
    benchmark:
        "logs/{scale}/benchmarks/compare_phases.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=all_phases(),
        evaluation=text(PARAMS.evaluation),
        code=code_digest("compare_phases"),
    message:
        "Compare phases and controls"
    script:
        "../scripts/compare_phases.py"


rule report_headline:
    input:
        metrics=f"results/comparison/{SCALE}/metrics.csv",
        history=f"results/runs/{SCALE}/{PARAMS.phase}/seed{PARAMS.seeds[0]}/epochs.csv",
        code=code("report_headline"),
    output:
        # Each phase and control, for `dvc metrics show`; then the chosen one, for `dvc metrics diff`.
        rows=expand(
            f"results/comparison/{SCALE}/metrics/{{name}}.json",
            name=[*PARAMS.names, *CONTROL_SEEDS],
        ),
        metrics="results/metrics.json",
        history="results/history.csv",
    log:
        "logs/report_headline.log",
    benchmark:
        "logs/benchmarks/report_headline.tsv"
    localrule: True
    conda:
        "../envs/arcjepa.yaml"
    params:
        phase=PARAMS.phase,
        scale=SCALE,
        measures=settings.canonical(MEASURES),
        code=code_digest("report_headline"),
    message:
        f"Report {PARAMS.phase} at scale {SCALE} as the headline"
    script:
        "../scripts/report_headline.py"
