# One encoder per phase and seed.
from arcjepa.former_runs import keep_former, settle_former
from arcjepa.live_trainings import wait_for_trainings


onstart:
    with one_line_errors():
        check_user_files()
        trainings = [
            job
            for job in workflow.dag.needrun_jobs()
            if job.rule.name == "train_encoder"
        ]
        wait_for_trainings(Path(job.params.checkpoints) for job in trainings)
        for job in trainings:
            keep_former(Path(job.output.encoder).parent)


onsuccess:
    settle_former(Path(f"results/runs/{SCALE}"))


onerror:
    # Snakemake removes the outputs of the job that failed; what is made from them stays, and looks current.
    print(
        "warning: a job failed; outputs of the rules that `snakemake -n` lists are missing or of an earlier run",
        file=sys.stderr,
    )
    for former in settle_former(Path(f"results/runs/{SCALE}")):
        print(
            f"warning: no new encoder; the former one, with its record, is kept in {former}",
            file=sys.stderr,
        )


rule train_encoder:
    input:
        training="data/tokens/{scale}/training.safetensors",
        synthetic=tokens_of(SHARDS),
        validation="data/tokens/{scale}/validation.safetensors",
        near_misses=near_misses_of_phase,
        gpu=demanded_gpu,
        code=code("train_encoder"),
    output:
        encoder="results/runs/{scale}/{phase}/seed{seed}/encoder.safetensors",
        epochs="results/runs/{scale}/{phase}/seed{seed}/epochs.csv",
        steps="results/runs/{scale}/{phase}/seed{seed}/steps.csv",
        losses="results/runs/{scale}/{phase}/seed{seed}/losses.csv",
        run="results/runs/{scale}/{phase}/seed{seed}/run.json",
    log:
        "logs/{scale}/train_encoder/{phase}-seed{seed}.log",
    benchmark:
        "logs/{scale}/benchmarks/train_encoder.{phase}-seed{seed}.tsv"
    # The longest jobs first.
    priority: 20
    conda:
        "../envs/arcjepa.yaml"
    # One a rank, so that phases train side by side and numbers do not depend on the machine's cores.
    threads: RANKS
    resources:
        gpu=GPU * RANKS,
        mem_mb=8000 * RANKS,
        runtime=training_minutes,
    params:
        phase=phase_text,
        tokens=text(PARAMS.tokens),
        # No output: the files have random names, and a training does not have to be repeated to have them.
        events="logs/{scale}/tensorboard/{phase}-seed{seed}",
        # No output either: Snakemake would delete them before the job that is to go on from them.
        checkpoints="results/checkpoints/{scale}/{phase}/seed{seed}",
        code=code_digest("train_encoder"),
    message:
        "Train {wildcards.phase}, seed {wildcards.seed}"
    script:
        "../scripts/train_encoder.py"
