"""The lines of ``metrics.jsonl`` as TensorBoard scalars, for those who have it installed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trivium.extras import extra_module


def tensorboard_writer(folder: Path, first: int) -> Callable[[Mapping[str, Any]], None]:
    """A function that writes a line's numbers as ``<kind>/<name>``; events from step ``first`` on are superseded."""
    board = extra_module("torch.utils.tensorboard", "tensorboard", "training.tensorboard needs TensorBoard")
    writer = board.SummaryWriter(str(folder), purge_step=first)

    def write(line: Mapping[str, Any]) -> None:
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                writer.add_scalar(f"{line['kind']}/{name}", value, line["step"])
        writer.flush()

    return write
