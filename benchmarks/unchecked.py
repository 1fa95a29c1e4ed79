"""Settings without checks, for machines with a GPU that have torch, but not pydantic.

The few names of pydantic's that our settings are written with, so that params.yaml can be read by the same code. It
was checked where it was written; nothing is checked here.
"""

import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar, Self, get_origin, get_type_hints


class BaseModel:
    """Fields from a mapping, those that are settings themselves made likewise."""

    model_fields: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: kind for name, kind in cls.__annotations__.items() if ClassVar not in (kind, get_origin(kind))}
        cls.model_fields = {**cls.model_fields, **own}

    @classmethod
    def model_validate(cls, tree: Mapping[str, Any]) -> Self:
        """The settings; KeyError names a missing one."""
        made, kinds = cls(), get_type_hints(cls)
        for name in cls.model_fields:
            vars(made)[name] = _made(kinds[name], tree[name]) if name in tree else _default(cls, name)
        return made

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter((name, vars(self)[name]) for name in self.model_fields if not name.startswith("_"))


def _default(model: type, name: str) -> Any:
    if name not in vars(model):
        raise KeyError(name)
    value = vars(model)[name]
    return value() if callable(value) else value


def _made(kind: Any, value: Any) -> Any:
    settings = isinstance(kind, type) and issubclass(kind, BaseModel)
    return kind.model_validate(value) if settings else value


def _field(default: Any = None, default_factory: Any = None, **_: Any) -> Any:
    """What stands for a field's default."""
    return default_factory or default


def _unchanged(*_: Any, **__: Any) -> Any:
    """For decorators with arguments: the function itself."""
    return lambda function: function


def install() -> bool:
    """Stand in for pydantic where it is not installed; whether that was so."""
    if find_spec("pydantic"):
        return False
    pydantic, core = ModuleType("pydantic"), ModuleType("pydantic_core")
    vars(pydantic).update(
        BaseModel=BaseModel, Field=_field, PrivateAttr=_field, ConfigDict=dict, ValidationError=ValueError
    )
    vars(pydantic).update(
        dict.fromkeys(("field_validator", "model_validator", "AfterValidator", "BeforeValidator"), _unchanged)
    )
    vars(core).update(PydanticCustomError=ValueError)
    sys.modules.update(pydantic=pydantic, pydantic_core=core)
    return True
