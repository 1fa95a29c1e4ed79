# The page to read first.


rule write_overview:
    input:
        scores=run_files("scores.csv", PARAMS.names),
        runs=run_files("run.json", PARAMS.names),
        findings=run_files("diagnosis.json", PARAMS.names),
        controls=control_files("scores.csv"),
        targets=rules.judge_phases.output.targets,
        code=code("write_overview"),
    output:
        page=report(
            "results/comparison/{scale}/overview.html",
            caption="../report/overview.rst",
            category="Overview",
            labels={"page": "all phases"},
        ),
    log:
        "logs/{scale}/write_overview.log",
    benchmark:
        "logs/{scale}/benchmarks/write_overview.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        phases=all_phases(),
        evaluation=text(PARAMS.evaluation),
        code=code_digest("write_overview"),
    message:
        "Write the overview of all phases"
    script:
        "../scripts/write_overview.py"
