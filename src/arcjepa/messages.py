"""What is wrong with a setting, in one line: the key as it was written, its value, what is allowed."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from arcjepa.errors import UserError
from arcjepa.params import did_you_mean, number_hint

Location = tuple[int | str, ...]
Model = TypeVar("Model", bound=BaseModel)
MOST = 3
"""Problems that one error names."""
PLAINER = {
    r"^Value error, ": "",
    r"^Input ": "",
    r"a valid dictionary( or instance of \w+)?": "a mapping of settings",
    r"a valid string": "text",
}


def validated(
    model: type[Model],
    tree: Mapping[str, Any],
    place: Callable[[Any], str],
    between: bool = True,
    source: str = "params.yaml",
) -> Model | None:
    """The model of a tree.

    `place`: the key of a problem of pydantic's, as it was written. `between`: whether what settings are to each other
    counts too, beside what each of them is; else None where only that is wrong. `source`: what errors begin with.
    Errors: UserError.
    """
    try:
        return model.model_validate(dict(tree))
    except ValidationError as error:
        found = [problem for problem in error.errors() if between or problem["type"] != "value_error"]
    if found:
        raise UserError(f"{source}: " + "; ".join(_sentence(one, model, place(one)) for one in found[:MOST]))
    return None


def revalidated(settings: Model) -> Model:
    """These settings, once they are found valid: pydantic lets `model_construct` and `model_copy` make any.

    Errors: UserError as for params.yaml, beginning with the name of the settings' class.
    """
    kind = type(settings)
    found = validated(kind, _plain(settings), lambda problem: dotted("", problem["loc"], {}), source=kind.__name__)
    assert found is not None
    return found


def _plain(value: Any) -> Any:
    """Settings as mappings, with the fields that `model_dump` leaves out."""
    return {name: _plain(inner) for name, inner in vars(value).items()} if isinstance(value, BaseModel) else value


def problems(model: type[BaseModel], tree: Mapping[str, Any]) -> list[tuple[Location, str]]:
    """Where a tree is wrong, and how."""
    try:
        model.model_validate(dict(tree))
    except ValidationError as error:
        return [(problem["loc"], problem["msg"]) for problem in error.errors()]
    return []


def dotted(section: str, location: Location, origins: Mapping[str, str]) -> str:
    """The key of a leaf, with the scale that it is given for: base.sequence.curriculum.epochs.laptop[0]."""
    path = section
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        path += f".{origins[path]}" if path in origins else ""
    return path


def _sentence(problem: Any, model: type[BaseModel], path: str) -> str:
    location, value = problem["loc"], problem.get("input")
    if problem["type"] == "missing":
        return f"{path}: is missing"
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown key{did_you_mean(str(location[-1]), _fields_at(model, location[:-1]))}"
    message = problem["msg"]
    for words, plainer in PLAINER.items():
        message = re.sub(words, plainer, message)
    shown = "" if problem["type"] == "value_error" and isinstance(value, dict) else f"is {value!r:.80}, "
    return f"{path}: {shown}{message}{number_hint(value)}"


def _fields_at(model: Any, location: Location) -> list[str]:
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field else None
    return list(model.model_fields) if hasattr(model, "model_fields") else []
