# Phases and controls side by side, what the analysis asked of them, and the headline that `dvc metrics` shows.


rule compare_phases:
    input:
        scores=[*run_files("scores.csv", PARAMS.names), *control_files("scores.csv")],
        runs=run_files("run.json", PARAMS.names),
        tokens=tokens_of(FRAME_SETS),
        report=rules.report_user_tasks.output.report,
        code=code("compare_phases"),
    output:
        metrics="results/comparison/{scale}/metrics.csv",
        differences="results/comparison/{scale}/differences.csv",
        ranking="results/comparison/{scale}/ranking.csv",
        probes="results/comparison/{scale}/probes.csv",
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


rule judge_phases:
    input:
        metrics=rules.compare_phases.output.metrics,
        scores=run_files("scores.csv", PARAMS.names),
        runs=run_files("run.json", PARAMS.names),
        epochs=run_files("epochs.csv", PARAMS.names),
        steps=run_files("steps.csv", PARAMS.names),
        findings=run_files("diagnosis.json", PARAMS.names),
        analysis=ANALYSIS_TABLES,
        core=[str(file.relative_to(ROOT)) for file in CORE],
        code=code("judge_phases"),
    output:
        alignment="results/comparison/{scale}/alignment.csv",
        targets="results/comparison/{scale}/targets.csv",
        gates="results/comparison/{scale}/gates.csv",
        risks="results/comparison/{scale}/risks.csv",
    log:
        "logs/{scale}/judge_phases.log",
    benchmark:
        "logs/{scale}/benchmarks/judge_phases.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=all_phases(),
        evaluation=text(PARAMS.evaluation),
        diagnosis=text(PARAMS.diagnosis),
        success=text(PARAMS.success),
        tables=digest(ANALYSIS, ROOT),
        core=digest(CORE, ROOT),
        code=code_digest("judge_phases"),
    message:
        "Judge phases by the targets, gates and risks of the analysis"
    script:
        "../scripts/judge_phases.py"


rule draw_alignment:
    input:
        alignment=rules.judge_phases.output.alignment,
        code=code("draw_alignment"),
    output:
        svg=report(
            figure("alignment"),
            caption="../report/alignment.rst",
            category="Comparison",
            labels={"figure": "alignment scorecard"},
        ),
        png="results/comparison/{scale}/alignment.png",
    log:
        "logs/{scale}/draw_alignment.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_alignment.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["judgements"],
        code=code_digest("draw_alignment"),
    message:
        "Draw the alignment scorecard"
    script:
        "../scripts/draw_alignment.py"


rule draw_gates:
    input:
        gates=rules.judge_phases.output.gates,
        code=code("draw_gates"),
    output:
        svg=report(
            figure("gates"),
            caption="../report/gates.rst",
            category="Comparison",
            labels={"figure": "gates: what to run next"},
        ),
        png="results/comparison/{scale}/gates.png",
    log:
        "logs/{scale}/draw_gates.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_gates.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["judgements"],
        code=code_digest("draw_gates"),
    message:
        "Draw the gates and fallbacks"
    script:
        "../scripts/draw_gates.py"


rule draw_risks:
    input:
        risks=rules.judge_phases.output.risks,
        code=code("draw_risks"),
    output:
        svg=report(
            figure("risks"),
            caption="../report/risks.rst",
            category="Comparison",
            labels={"figure": "risks of the analysis"},
        ),
        png="results/comparison/{scale}/risks.png",
    log:
        "logs/{scale}/draw_risks.log",
    benchmark:
        "logs/{scale}/benchmarks/draw_risks.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        stamp=STAMPS["judgements"],
        code=code_digest("draw_risks"),
    message:
        "Draw the risks"
    script:
        "../scripts/draw_risks.py"


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
