"""What depends on more than one section: how many ranks there may be, and which settings cannot be together."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from arcjepa.data_settings import largest_pool
from arcjepa.errors import UserError
from arcjepa.messages import dotted
from arcjepa.settings import Phase

if TYPE_CHECKING:  # config imports this
    from arcjepa.config import Params

MOST_RANKS = 8
"""As `ranks.MOST`, without torch."""


def _number_of_ranks(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= MOST_RANKS):
        return value
    raise PydanticCustomError("ranks", f"should be a whole number from 1 to {MOST_RANKS}, or auto")


Ranks = Annotated[int | Literal["auto"], BeforeValidator(_number_of_ranks)]


def check_ranks(params: "Params", name: str, phase: Phase) -> None:
    """UserError where the ranks cannot have equal shares of a batch."""
    if params.ranks != "auto" and phase.training.batch_size % params.ranks:
        raise UserError(
            f"params.yaml: ranks: is {params.ranks}, which does not divide training.batch_size of {name}, "
            f"{phase.training.batch_size}; allowed are its divisors up to {MOST_RANKS}, and auto"
        )


def check_pool(params: "Params") -> None:
    """UserError where there cannot be as many held-out targets as the pool is to have."""
    asked, most = params.evaluation.pool, largest_pool(params.data, params.evaluation)
    if asked > most:
        where = dotted("", ("evaluation", "pool"), params._origins)
        raise UserError(
            f"params.yaml: {where}: is {asked}, but there are at most {most} held-out targets to rank against; "
            f"lower it, or raise {dotted('', ('data', 'synthetic', 'held_out'), params._origins)}"
        )
