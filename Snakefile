# Real ARC tasks in, a comparison of phases out. `snakemake -n` shows what would run and why.
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/sets.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/diagnose.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/overview.smk"
include: "workflow/rules/training_figures.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/publish.smk"


rule all:
    default_target: True
    input:
        expand(rules.report_user_tasks.output, scale=SCALE),
        phase_outputs(PARAMS.names),
        control_outputs(),
        expand(rules.compare_phases.output, scale=SCALE),
        expand(rules.judge_phases.output, scale=SCALE),
        expand(rules.diagnose_analysed_run.output, scale=SCALE),
        expand(rules.write_overview.output, scale=SCALE),
        expand(FIGURES, scale=SCALE),
        rules.report_headline.output,
    localrule: True
    message:
        f"All of scale {SCALE} is up to date"


# `snakemake publish`: encoders to give away.
rule publish:
    input:
        expand(rules.publish_encoder.output, scale=SCALE, phase=PARAMS.names),
    localrule: True
    message:
        f"One encoder of every phase at scale {SCALE} is in results/encoders/{SCALE}"


# `snakemake evaluation_data`: what encoders are measured on, which `arcjepa evaluate` reads.
rule evaluation_data:
    input:
        tokens_of(EVALUATION_SETS),
        expand(f"data/frames/{SCALE}/{{name}}.npz", name=[*TEST_SETS, *CANDIDATES]),
    localrule: True
    message:
        f"What encoders are measured on at scale {SCALE} is in data/tokens/{SCALE}"


with one_line_errors():
    check_rule_names()


# `snakemake phase2`: everything of that phase, for all seeds.
for name in PARAMS.names:

    rule:
        name:
            name
        input:
            phase_outputs([name]),
        localrule: True
        message:
            f"All of {name} at scale {SCALE} is up to date"


# `snakemake lambda_sweep`: everything of that set; its scenarios are trained for no other target.
for name in PARAMS.sets:

    rule:
        name:
            name
        input:
            set_outputs(name),
        localrule: True
        message:
            f"All of {name} at scale {SCALE} is up to date"


# `snakemake phase22`: Snakemake would look for a rule that makes a file of that name.
rule no_target:
    input:
        no_such_target,
    output:
        r"{target,[\w.-]+}",
