# What sets of scenarios read and write.
from arcjepa.scenarios import compares_forms, is_crossed


def set_text(wildcards):
    """The settings of a set's members."""
    return all_phases(PARAMS.sets[wildcards.set])


def set_stamp(wildcards):
    """Stamped on the figure of a set: its scenarios change it too."""
    return stamp_of(STAMPS["scores"], set_text(wildcards))


def set_runs(file):
    """As input: one file per member and seed."""
    return lambda wildcards: run_files(file, PARAMS.sets[wildcards.set])


def set_tables(name, wanted=("effects", "hypothesis", "gates", "risks")):
    """The further tables that a set has, of those wanted.

    A 2 x 2 has its effects, two forms of a loss the hypothesis; a set with every phase is judged, by its scenarios too.
    """
    phases = [PARAMS.phase_settings(member) for member in PARAMS.sets[name]]
    complete = set(PARAMS.names) <= set(PARAMS.sets[name])
    has = {
        "effects": is_crossed(phases),
        "hypothesis": compares_forms(phases),
        "gates": complete,
        "risks": complete,
    }
    return [
        f"results/comparison/{SCALE}/ablations/{name}-{table}.csv"
        for table in wanted
        if has[table]
    ]


def set_outputs(name):
    """As input: every file of the set and of its members; nothing is looked up unless the set is asked for."""

    def outputs(wildcards):
        tables = [*rules.ablate_set.output, *rules.plot_ablation.output]
        tables = expand(tables, scale=SCALE, set=name)
        return phase_outputs(PARAMS.sets[name]) + tables + set_tables(name)

    return outputs


def no_such_target(wildcards):
    """As input of any other file without a folder: a target with a typo is told what there is."""
    known = ["all", "publish", "evaluation_data", *PARAMS.names, *PARAMS.sets]
    if sets := [
        name for name, members in PARAMS.sets.items() if wildcards.target in members
    ]:
        raise SystemExit(
            f"error: {wildcards.target!r} is a scenario, trained and compared with others of a set; "
            f"type: snakemake {sets[0]}{''.join(f' (or {name})' for name in sets[1:])}"
        )
    raise SystemExit(
        f"error: no target {wildcards.target!r}{did_you_mean(wildcards.target, known)}"
    )


def check_rule_names():
    """UserError where a phase, scenario or set has the name of a rule."""
    taken = {rule.name for rule in workflow.rules}
    for section in ("phases", "scenarios", "sets"):
        for name in getattr(PARAMS, section):
            if name in taken:
                raise UserError(
                    f"params.yaml: {section}.{name}: is the name of a rule; choose another name"
                )
