"""TensorBoard's copy of a run's record, for those who switch `training.tensorboard` on."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from arcjepa.errors import UserError


class Events:
    """Writes rows as scalars into a folder of event files; what an earlier run left there is removed.

    A run that goes on after the step `resumed` keeps what it wrote, and TensorBoard hides what came after that step.
    Errors: UserError where tensorboard, which the project does without otherwise, is not installed.
    """

    def __init__(self, folder: Path, resumed: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            raise UserError(
                "params.yaml: training.tensorboard: is true, and tensorboard is not installed; set it to false, "
                f"or type: {sys.executable} -m pip install tensorboard"
            ) from None
        if resumed is not None:
            self.writer = SummaryWriter(str(folder), purge_step=resumed + 1)
            return
        # Their names are random: the curves of two runs would lie over each other.
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self.writer = SummaryWriter(str(folder))

    def add(self, group: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """The numbers of rows that have a `step`, as "group/column" over the steps; readable from now on."""
        for row in rows:
            for name, value in row.items():
                if name not in ("step", "epoch") and value is not None:
                    self.writer.add_scalar(f"{group}/{name}", value, row["step"])
        self.writer.flush()

    def close(self) -> None:
        """Nothing can be added after this."""
        self.writer.close()
