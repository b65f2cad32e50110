"""The lines of ``metrics.jsonl`` as TensorBoard scalars, for those who have it installed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trivium.errors import SettingsError


def tensorboard_writer(folder: Path, first: int) -> Callable[[Mapping[str, Any]], None]:
    """A function that writes a line's numbers as ``<kind>/<name>``; events from step ``first`` on are superseded."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingsError(
            "training.tensorboard needs TensorBoard: pip install -e '.[tensorboard]' in the clone, or set it to false"
        ) from error
    writer = SummaryWriter(str(folder), purge_step=first)

    def write(line: Mapping[str, Any]) -> None:
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                writer.add_scalar(f"{line['kind']}/{name}", value, line["step"])
        writer.flush()

    return write
