"""What became of the user's tasks, in lines for the terminal: refused, kept out, not ranked, shared with other sets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arcjepa.files import counted, enumerated
from arcjepa.splits import REAL
from arcjepa.users import first_problems

Report = Mapping[str, Any]
SYMMETRY = "up to symmetry and colours"


def intake_notes(report: Report, strays: Sequence[str], max_tasks: int) -> list[str]:
    """Each fact once, with counts and the first names.

    `report` is that of `make_splits`, `strays` the files that are in no set, `max_tasks` how many tasks of a test set
    are ranked.
    """
    lines = []
    if strays:
        lines.append(f"warning: data/raw/user: {_unread(strays)}")
    for name, entry in report["user"].items():
        kind = _training_notes(report, name) if entry["in_training"] else _test_notes(entry, max_tasks)
        # Problems name their files themselves.
        named = [*(f"{name}: {line}" for line in (*_reading_notes(entry), *kind)), *first_problems(entry["problems"])]
        lines += [f"warning: {line}" for line in named]
    return lines + list(_overlap_notes(report))


def _unread(names: Sequence[str]) -> str:
    return f"{counted(len(names), 'file')} not read, as only .json is: {enumerated(names)}; unpack or convert"


def _reading_notes(entry: Report) -> Iterator[str]:
    if problems := entry["problems"]:
        good = f"{counted(len(problems), 'problem')} beside {counted(entry['tasks'], 'good task')}"
        yield f"{good}; what has one is left out; splits.json lists all"
    if entry["ignored"]:
        yield _unread(entry["ignored"])
    if hidden := entry["hidden_tests"]:
        count = f"{counted(sum(hidden.values()), 'test pair')} of {counted(len(hidden), 'task')}"
        yield f"{count} left out, having no output: {enumerated(list(hidden))}"


def _training_notes(report: Report, name: str) -> Iterator[str]:
    entry = report["user"][name]
    if kept_out := entry["kept_out"]:
        shared = {other: found for other, found in report["overlaps"].get(name, {}).items() if _tests(report, other)}
        where = ", ".join(f"{len(found)} with {other}" for other, found in shared.items())
        count = f"{len(kept_out)} of {entry['tasks']} tasks kept out of training"
        yield f"{count}, for a pair in common with a test ({where}), {SYMMETRY}: {enumerated(kept_out)}"
    if lone := entry["lone_pairs"]:
        count = f"{len(lone)} of {entry['tasks']} tasks with one pair only"
        yield f"{count}, from which nothing is learned: {enumerated(lone)}"


def _test_notes(entry: Report, max_tasks: int) -> Iterator[str]:
    if unranked := entry["unranked"]:
        count = f"{len(unranked)} of {entry['tasks']} tasks without a test output, so not ranked"
        none = "; the set has no row in ranking.csv" if len(unranked) == entry["tasks"] else ""
        yield f"{count}: {enumerated(unranked)}{none}"
    if single := entry["one_demonstration"]:
        count = f"{len(single)} of {entry['tasks']} tasks with one demonstration only, so not in retrieval_augmented"
        yield f"{count}: {enumerated(single)}"
    if (cut := entry["tasks"] - max_tasks) > 0:
        count = f"{cut} of {entry['tasks']} tasks not ranked, those with the last ids"
        yield f"{count}, as evaluation.max_tasks is {max_tasks}; raise it to rank them"


def _overlap_notes(report: Report) -> Iterator[str]:
    """Each pair of sets once; what a training set shares with a test is told as kept out."""
    names = [*REAL, *report["user"]]
    for i, name in enumerate(names):
        for other in names[:i]:
            found = report["overlaps"].get(name, {}).get(other)
            told = _tests(report, name) != _tests(report, other) and {name, other} & set(_opted(report))
            if found and not told:
                count = f"{counted(len(found), 'task')} with a pair in common with {other}, {SYMMETRY}"
                # That ARC overlaps itself is known, and nothing that a user could mend.
                yield f"{'' if name in REAL else 'warning: '}{name}: {count}: {enumerated(list(found))}"


def _tests(report: Report, name: str) -> bool:
    """Whether a set is one that training must not see."""
    return name not in ("training", *_opted(report))


def _opted(report: Report) -> list[str]:
    """The user's sets that train."""
    return [name for name, entry in report["user"].items() if entry["in_training"]]
