"""Scenarios are small overlays over phases, one change each; sets name scenarios and phases that are compared."""

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from model_cases import tiny_params, tiny_phase, trace
from test_config import SCALES, committed, message_of, with_leaf

from arcjepa import comparison, config
from arcjepa.config import Params, canonical, from_mapping, resolved
from arcjepa.params import leaves
from arcjepa.scales import at_scale, scale_parents
from arcjepa.scenarios import changes, compares_forms, describe, is_crossed, told
from arcjepa.settings import Phase, Settings

SCENARIOS, SETS = list(committed()["scenarios"]), list(committed()["sets"])
LADDERS = {"phase2_ladder": ("phase1", "phase2"), "phase3_ladder": ("phase2", "phase3")}
SEVERAL = {"stopping_late", "minimal"}  # one mechanism, two numbers
OFF, ON = {"enabled": False}, {"enabled": True}


@cache
def at(scale: str) -> Params:
    return from_mapping(committed(scale=scale))


def members(name: str, scale: str = "tiny") -> list[Phase]:
    return [at(scale).phase_settings(member) for member in at(scale).sets[name]]


def text(part: Settings) -> str:
    return canonical(resolved(part))


def over(parent: str, overlay: dict[str, Any], **top: Any) -> Phase:
    """A scenario over `parent`, at scale tiny."""
    tree = committed(scale="tiny", **top)
    tree["scenarios"]["mine"] = {"parent": parent, **overlay}
    return from_mapping(tree).phase_settings("mine")


# --- the committed file


@pytest.mark.parametrize("scale", SCALES)
def test_every_phase_and_scenario_trains_with_settings_of_its_own(scale: str) -> None:
    names = {text(at(scale).phase_settings(name)): name for name in at(scale).overlays}
    assert set(names.values()) == set(at(scale).overlays)
    assert at(scale).repetitions() == []


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_scenario_makes_one_change_to_its_parent(scale: str, name: str) -> None:
    params = at(scale)
    parent = params.phase_settings(params.scenarios[name]["parent"])
    changed = changes(parent, params.phase_settings(name))
    chosen = [leaf for leaf, (old, new) in changed.items() if old is not None and new is not None]
    assert len(chosen) == (2 if name in SEVERAL else 1), changed


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [*committed()["phases"], *SCENARIOS])
def test_a_phase_or_scenario_differs_from_its_parent_in_exactly_the_leaves_that_it_names(name: str, scale: str) -> None:
    """Of all settings, also those that nothing reads; each has the value that is written, at any scale."""
    tree, params = committed(), at(scale)
    overlay = dict((tree["phases"] | tree["scenarios"])[name])
    parent = overlay.pop("parent")
    if parent == "base":
        assert overlay == {}, "the first phase is the base, so that it has no parent to differ from"
        return
    written, _ = at_scale(overlay, scale_parents(tree["scales"], ()), scale)
    named = {".".join(path): value for path, value in leaves(written)}
    if "lambda_sigreg" in named:
        named["loss.lambda_sigreg"] = named.pop("lambda_sigreg")
    before, after = (settings_in_full(params.phase_settings(one)) for one in (parent, name))
    changed = {leaf: after[leaf] for leaf in after if after[leaf] != before[leaf]}
    if changed.get("loss.prediction") == "lejepa":
        # What the whole file has for every objective of that kind comes with the objective.
        assert changed.pop("loss.lambda_sigreg") == params.lambda_sigreg
    assert changed == named


def settings_in_full(phase: Phase) -> dict[str, Any]:
    return {".".join(path): value for path, value in leaves(phase.model_dump())}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SETS)
def test_a_set_compares_settings_that_are_valid_and_all_different(name: str, scale: str) -> None:
    """`phase_settings` refuses what is not valid."""
    phases = members(name, scale)
    assert len(phases) >= 2
    assert len({text(phase) for phase in phases}) == len(phases)


def test_every_scenario_is_in_a_set() -> None:
    compared = set().union(*at("tiny").sets.values())
    assert set(SCENARIOS) == compared - set(at("tiny").phases)


@pytest.mark.parametrize(("name", "leaf", "values"), [
    ("lambda_sweep", "loss.lambda_sigreg", {0.1, 0.3, 1.0, 3.0, 10.0}),
    ("windows", "sequence.window", {3, 5, 7}),
    ("window_by_attention", "model.frame_attention", {False, True}),
    ("additive_by_analogy", "model.additive", {False, True}),
    ("additive_by_analogy", "model.analogy", {False, True}),
    ("sketches", "model.sketch", {0, 16}),
    ("quantizers", "quantizer.kind", {"vq", "gumbel", "fsq", "none"}),
    ("framing_infonce", "sequence.framing", {"demonstrations", "query", "repeat"}),
    ("framing_lejepa", "sequence.framing", {"demonstrations", "query", "repeat"}),
    ("codebook_size", "quantizer.codes", {384, 256, 32}),
    ("relational_options", "loss.relational.weight", {0.025, 0.0, 0.0025}),
    ("relational_options", "loss.relational.form", {"raw", "normalised"}),
    ("teacher_infonce", "loss.teacher.enabled", {False, True}),
    ("teacher_lejepa", "loss.teacher.enabled", {False, True}),
    ("auxiliary_sigreg", "loss.sigreg.weight", {0.1, 1.0}),
    ("auxiliary_sigreg", "loss.sigreg.form", {"normalised", "published"}),
    ("balancing", "loss.gradnorm.enabled", {False, True}),
    ("curriculum", "sequence.curriculum.enabled", {False, True}),
    ("refresh_by_relational", "quantizer.refresh.enabled", {False, True}),
    ("refresh_interval", "quantizer.refresh.interval", {4, 10000}),
    ("relational_back", "loss.relational.enabled", {False, True}),
    ("optional_terms", "loss.invariance.enabled", {False, True}),
    ("optional_terms", "quantizer.commitment.enabled", {False, True}),
    ("duration", "training.epochs", {3, 100}),
])  # fmt: skip
def test_a_set_spans_what_it_is_there_for(name: str, leaf: str, values: set[Any]) -> None:
    found = set()
    for phase in members(name):
        value: Any = phase
        for part in leaf.split("."):
            value = getattr(value, part)
        found.add(value)
    assert found == values


def test_gradnorm_balances_two_terms_that_both_act() -> None:
    fixed, *balanced = members("balancing")
    assert [phase.loss.gradnorm.enabled for phase in (fixed, *balanced)] == [False, True, True]
    assert [phase.loss.gradnorm.rule for phase in balanced] == ["gradnorm", "uncertainty"]
    for phase in members("balancing"):
        assert (phase.loss.prediction, phase.loss.sigreg.enabled, phase.loss.sigreg.form) == (
            "infonce", True, "published",
        )  # fmt: skip


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_goes_from_phase_to_phase_one_change_at_a_time(name: str, scale: str) -> None:
    rungs = at(scale).sets[name]
    assert (rungs[0], rungs[-1]) == LADDERS[name]
    assert len(rungs) > 5
    phases = members(name, scale)
    for below, above in pairwise(phases):
        chosen = [new for old, new in changes(below, above).values() if old is not None and new is not None]
        assert len(chosen) == 1


@pytest.mark.parametrize(("phase", "rung", "last"), [
    ("phase2", "phase2_stopped", {"stopping": OFF}),
    ("phase3", "window_5_codes", {"sequence": {"curriculum": ON}}),
])  # fmt: skip
def test_the_last_rung_is_the_phase(phase: str, rung: str, last: dict[str, Any]) -> None:
    assert text(over(rung, last)) == text(tiny_phase(phase))


def test_the_2_x_2_holds_all_but_refresh_and_relational_as_in_the_baseline() -> None:
    phases = members("refresh_by_relational")
    assert is_crossed(phases)
    assert {text(phase.stopping) for phase in phases} == {text(tiny_phase("baseline").stopping)}
    assert text(tiny_phase("phase1").stopping) != text(phases[0].stopping)
    both = {"quantizer.refresh.enabled", "loss.relational.weight"}
    assert {leaf for leaf in told(changes(phases[0], phases[3]))} == both


@pytest.mark.slow
def test_a_relational_loss_of_no_weight_trains_as_one_that_is_off() -> None:
    """Its raw value is recorded, and nothing else is different but the rounding of a sum."""
    choices = ({"loss.relational.weight": 0.0}, {"loss.relational.enabled": False}, {})
    silent, off, on = (trace(tiny_phase("baseline", choice)) for choice in choices)
    assert silent[0] == pytest.approx(off[0], rel=1e-6)
    assert float((silent[1] - off[1]).abs().max()) < 0.01 * float((silent[1] - on[1]).abs().max())


# --- lambda


def test_a_scenario_may_set_lambda_and_what_stands_on_it_keeps_it() -> None:
    tree = committed(scale="tiny", lambda_sigreg=0.5)
    tree["scenarios"]["mine"] = {"parent": "lambda_3", "sequence": {"window": 5}}
    params = from_mapping(tree)
    assert params.phase_settings("phase2").loss.lambda_sigreg == 0.5
    assert params.phase_settings("window_5").loss.lambda_sigreg == 0.5
    assert params.phase_settings("lambda_3").loss.lambda_sigreg == 3.0
    assert params.phase_settings("mine").loss.lambda_sigreg == 3.0


def test_a_lambda_that_is_the_parents_is_a_repetition() -> None:
    assert from_mapping(with_leaf("scenarios.lambda_3.lambda_sigreg", 1.0)).repetitions() == [
        "scenarios.lambda_3.lambda_sigreg"
    ]
    tree = with_leaf("scenarios.codes_256.quantizer.codes", 768)
    assert from_mapping(tree).repetitions() == ["scenarios.codes_256.quantizer.codes"]


# --- what is refused


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("scenarios.window_5.parent", "phse2", ["scenarios.window_5.parent", "'phse2'", "did you mean phase2?"]),
        ("scenarios.window_5.parent", "window_5_attention", ["scenarios.window_5", "cycle"]),
        ("scenarios.window_5.parent", "window_5", ["cycle", "window_5 -> window_5"]),
        ("scenarios.window_5", {"sequence": {"window": 5}}, ["scenarios.window_5.parent", "is missing"]),
        ("scenarios.window_5", None, ["scenarios.window_5", "None", "mapping"]),
        ("scenarios.window_5", {"parent": "phase2"}, ["scenarios.window_5", "changes nothing"]),
        ("scenarios.window_5.sequence", {"windw": 5}, ["scenarios.window_5.sequence.windw", "did you mean window?"]),
        ("scenarios.window_5.sequence.window", 4, ["scenarios.window_5.sequence.window: is 4, ", "3, 5 or 7"]),
        ("scenarios.objective_lejepa.parent", "phase1", ["scenarios.objective_lejepa.loss at", ": sigreg.enabled"]),
        ("scenarios.lambda_3.lambda_sigreg", -1.0, ["scenarios.lambda_3.lambda_sigreg: ", "-1.0", "equal to 0"]),
        ("scenarios.lambda_3.lambda_sigreg", None, ["scenarios.lambda_3.lambda_sigreg: ", "None", "number"]),
        ("scenarios.lambda_3.lambda_sigreg", True, ["scenarios.lambda_3.lambda_sigreg: ", "True", "number"]),
        ("scenarios.codes_256.lambda_sigreg", "5e-1", ["scenarios.codes_256.lambda_sigreg: ", "5e-1 without quotes"]),
        ("scenarios.lambda_3.loss", {"lambda_sigreg": 3.0}, ["scenarios.lambda_3.loss.lambda_sigreg", "unknown key"]),
        ("phases.phase2.lambda_sigreg", 3.0, ["phases.phase2.lambda_sigreg", "top level"]),
        ("base.lambda_sigreg", 3.0, ["base.lambda_sigreg", "top level"]),
        ("phases.phase3.parent", "window_5", ["phases.phase3.parent", "'window_5'"]),
        ("scenarios.phase2", {"parent": "phase1"}, ["scenarios.phase2", "a phase already"]),
        ("scenarios.copy", {"parent": "phase1"}, ["scenarios.copy", "a control already"]),
        ("scenarios.tiny", {"parent": "phase1"}, ["scenarios.tiny", "already"]),
        ("scenarios.base", {"parent": "phase1"}, ["scenarios.base", "already"]),
        ("scenarios.a-b", {"parent": "phase1"}, ["scenarios.a-b", "a-z, 0-9 and _"]),
        ("sets.window_5", ["phase1", "phase2"], ["sets.window_5", "a scenario already"]),
        ("sets.phase3", ["phase1", "phase2"], ["sets.phase3", "a phase already"]),
        ("sets.untrained", ["phase1", "phase2"], ["sets.untrained", "a control already"]),
        ("sets.laptop", ["phase1", "phase2"], ["sets.laptop", "already"]),
        ("sets.A", ["phase1", "phase2"], ["sets.A", "begins with a letter"]),
        ("sets.windows", ["phase2", "windw_5"], ["sets.windows", "'windw_5'", "did you mean window_5?"]),
        ("sets.windows", ["phase2", "windows"], ["sets.windows", "no phase or scenario 'windows'"]),
        ("sets.windows", ["phase2", "window_5", "phase2"], ["sets.windows", "'phase2'", "twice"]),
        ("sets.windows", ["phase2"], ["sets.windows", "at least 2"]),
        ("sets.windows", "phase2", ["sets.windows", "'phase2'", "list"]),
        ("scenaros", {}, ["scenaros", "did you mean scenarios?"]),
    ],
)  # fmt: skip
def test_a_bad_scenario_or_set_is_an_error_that_names_it(path: str, value: Any, named: list[str]) -> None:
    message = message_of(with_leaf(path, value))
    assert all(part in message for part in named), message


def test_there_need_be_no_scenarios() -> None:
    tree = committed()
    del tree["scenarios"], tree["sets"]
    assert from_mapping(tree).scenarios == from_mapping(tree).sets == {}


def test_controls_are_those_of_the_comparison() -> None:
    assert config.CONTROLS == comparison.CONTROLS


# --- what is told of them


def test_changes_are_told_without_what_follows_from_them() -> None:
    baseline, tiny = tiny_phase("baseline"), tiny_params()
    assert changes(baseline, baseline) == {}
    assert describe(changes(baseline, tiny.phase_settings("refresh_off"))) == "quantizer.refresh.enabled on → off"
    back = describe(changes(tiny.phase_settings("refresh_off"), baseline))
    assert back.startswith("quantizer.refresh.enabled off → on; quantizer.refresh.interval = 4; ")
    one, other = (tiny_phase("phase2", {"quantizer.kind": kind}) for kind in ("vq", "gumbel"))
    assert describe(changes(one, other)) == "quantizer.kind vq → gumbel; quantizer.temperature = 1"


def test_a_2_x_2_is_a_reference_two_changes_and_both() -> None:
    first, one, other, both = members("refresh_by_relational")
    assert is_crossed([first, one, other, both])
    assert is_crossed([first, other, one, both])
    assert is_crossed([both, one, other, first])
    assert not is_crossed([first, one, both, other])
    assert not is_crossed([first, one, other])
    assert not is_crossed([first, one, one, one])
    assert not is_crossed(members("relational_options"))
    assert [name for name in SETS if is_crossed(members(name))] == [
        "brief", "refresh_by_relational", "auxiliary_sigreg", "window_by_attention",
        "additive_by_analogy", "sketches",
    ]  # fmt: skip


def test_sets_that_hold_both_forms_of_the_relational_loss_are_known() -> None:
    assert [name for name in SETS if compares_forms(members(name))] == ["mitigations", "relational_options"]
    assert not compares_forms([tiny_phase("baseline"), tiny_phase("phase1", {"loss.relational.form": "normalised"})])


@pytest.mark.parametrize("name", ["../x", "a/b", "", "all", "base", "untrained", "p|q", "{x}", "Phase4"])
def test_a_phase_has_a_name_that_rules_and_folders_can_have(name: str) -> None:
    tree = committed(scale="tiny")
    tree["phases"][name] = {"parent": "phase2", "optimizer": {"lr": 1e-3}}
    assert f"phases.{name}: " in message_of(tree)
