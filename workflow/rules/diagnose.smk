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
