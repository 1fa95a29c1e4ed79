"""A coverage-guided fuzzer of the reader of ARC JSON, for Atheris in an environment of its own:

    python -m venv fuzzing && fuzzing/bin/pip install atheris numpy
    PYTHONPATH=src fuzzing/bin/python tests/faults/fuzz_arc_json.py -runs=200000 [folder of seeds]

Whatever the bytes are, the reader gives tasks or printable lines, and what it gives is a task. It ends with a traceback
and a file of the bytes that were read otherwise.
"""

import json
import json.decoder
import json.scanner
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["arcjepa"]):
    from arcjepa.tasks import load_collection, parse_task, task_to_json

PAIR = '{"input": [[1, 2], [3, 4]], "output": [[5]]}'
SEEDS = (
    f'{{"train": [{PAIR}], "test": [{PAIR}]}}',
    f'{{"a": {{"train": [{PAIR}], "test": [{{"input": [[9]]}}]}}}}',
    '{"train": [{"input": [[10]], "output": []}], "test": null}',
    '{"a": 1, "a": {"train": [], "test": [[NaN, -1e9, true, "x"]]}}',
)
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-arc-json-"))


WORDS = ("train", "test", "input", "output", "[[", "]]", "},{", "NaN", "-1", "10", "1e9", "true", "null", "\\\\ud800")


def one(data: bytes) -> None:
    path = FOLDER / "t.json"
    path.write_bytes(data)
    found = load_collection(path)
    assert found.tasks or found.problems
    assert all(line.isprintable() and line.startswith(str(path)) and len(line) < 500 for line in found.problems)
    for task in found.tasks:
        grids = [grid for pair in task.pairs for grid in (pair.input, pair.output)]
        assert all(1 <= side <= 30 for grid in grids for side in grid.shape)
        assert all(grid.max() < 10 for grid in grids)
        if task.test:
            again, _ = parse_task(task.id, task_to_json(task), "again")
            assert task_to_json(again) == task_to_json(task)


def main() -> None:
    # What is written in C gives no coverage to be guided by.
    json.scanner.make_scanner = atheris.instrument_func(json.scanner.py_make_scanner)
    json.decoder.scanstring = atheris.instrument_func(json.decoder.py_scanstring)
    for name in ("JSONObject", "JSONArray"):
        setattr(json.decoder, name, atheris.instrument_func(getattr(json.decoder, name)))
    seeds, words = FOLDER / "seeds", FOLDER / "words"
    seeds.mkdir()
    for number, seed in enumerate(SEEDS):
        (seeds / str(number)).write_text(seed)
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    atheris.Setup([*sys.argv, str(seeds), f"-dict={words}", "-max_len=4096"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
