# What is wrong with each run, from its record alone.


rule diagnose_run:
    input:
        epochs="results/runs/{scale}/{phase}/seed{seed}/epochs.csv",
        steps="results/runs/{scale}/{phase}/seed{seed}/steps.csv",
        losses="results/runs/{scale}/{phase}/seed{seed}/losses.csv",
        run="results/runs/{scale}/{phase}/seed{seed}/run.json",
        code=code("diagnose_run"),
    output:
        findings="results/runs/{scale}/{phase}/seed{seed}/diagnosis.json",
        text="results/runs/{scale}/{phase}/seed{seed}/diagnosis.md",
        page=report(
            "results/runs/{scale}/{phase}/seed{seed}/diagnosis.html",
            caption="../report/diagnosis.rst",
            category="Diagnosis",
            labels={"phase": "{phase}", "seed": "{seed}"},
        ),
    log:
        "logs/{scale}/diagnose_run/{phase}-seed{seed}.log",
    benchmark:
        "logs/{scale}/benchmarks/diagnose_run.{phase}-seed{seed}.tsv"
    # Seconds of work: not worth a place in a cluster's queue.
    localrule: True
    conda:
        "../envs/arcjepa.yaml"
    params:
        diagnosis=text(PARAMS.diagnosis),
        # Else the diagnosis of an encoder that failed to train again would look current.
        phase=phase_text,
        code=code_digest("diagnose_run"),
    message:
        "Diagnose {wildcards.phase}, seed {wildcards.seed}"
    script:
        "../scripts/diagnose_run.py"


# The run that the analysis is about, read as any other: its tables are inputs.
rule diagnose_analysed_run:
    input:
        analysis=ANALYSIS_TABLES,
        code=code("diagnose_analysed_run"),
    output:
        record=directory("results/comparison/{scale}/analysed-run/record"),
        findings="results/comparison/{scale}/analysed-run/diagnosis.json",
        text="results/comparison/{scale}/analysed-run/diagnosis.md",
        page=report(
            "results/comparison/{scale}/analysed-run/diagnosis.html",
            caption="../report/analysed-run/diagnosis.rst",
            category="Diagnosis",
            labels={"phase": "the analysed run", "seed": "-"},
        ),
        contradictions=report(
            "results/comparison/{scale}/analysed-run/contradictions.csv",
            caption="../report/analysed-run/contradictions.rst",
            category="The analysed run",
            labels={"table": "where the analysis contradicts itself"},
        ),
        comparable=report(
            "results/comparison/{scale}/analysed-run/comparable.csv",
            caption="../report/analysed-run/comparable.rst",
            category="The analysed run",
            labels={"table": "what of it compares with ours"},
        ),
        schema=report(
            "results/comparison/{scale}/analysed-run/schema.csv",
            caption="../report/analysed-run/schema.rst",
            category="The analysed run",
            labels={"table": "columns of the tables"},
        ),
    log:
        "logs/{scale}/diagnose_analysed_run.log",
    benchmark:
        "logs/{scale}/benchmarks/diagnose_analysed_run.tsv"
    localrule: True
    conda:
        "../envs/arcjepa.yaml"
    params:
        diagnosis=text(PARAMS.diagnosis),
        tables=digest(ANALYSIS, ROOT),
        code=code_digest("diagnose_analysed_run"),
    message:
        "Diagnose the analysed run"
    script:
        "../scripts/diagnose_analysed_run.py"
