"""Which document and which file each token of a training row is of.

The shards know their documents by number; ``files.json`` beside them says how many came from each file, in order.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from trivium.durable import replace_file
from trivium.text.blocks import Blocks
from trivium.text.lanes import Lanes
from trivium.text.mixture import Mixture
from trivium.text.shards import Shards

_NAME = "files.json"
_TOKEN = 1 << 40  # no vocabulary is so large: from here on numbers are places, below it the ids that a layout puts in


@dataclass(frozen=True)
class Piece:
    """Tokens of a row, columns ``first`` to ``last``, that lie side by side in one document."""

    first: int
    last: int
    source: int  # which of the mixture's
    file: str | None  # None: not known
    document: int  # its number in the source, from 0
    start: int  # the first token's place in the document
    length: int  # tokens of the whole document, its end token included


def counted(named: Iterable[tuple[str, str]], folder: Path) -> Iterator[str]:
    """The documents, without the names of their files. How many each file has is written to ``folder`` after the last
    one, before the shards are finished: finished shards always have it."""
    files: list[tuple[str, int]] = []
    for name, text in named:
        if not files or files[-1][0] != name:
            files.append((name, 0))
        files[-1] = (name, files[-1][1] + 1)
        yield text
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / _NAME, json.dumps(files).encode())


def file_names(folder: Path) -> list[tuple[str, int]]:
    """What ``counted`` wrote; nothing where it did not, or where it is damaged: names are only shown."""
    try:
        found = json.loads((folder / _NAME).read_text("utf-8"))
        return [(str(name), int(count)) for name, count in found]
    except (OSError, ValueError, TypeError):
        return []


class _Places(Shards):
    """A corpus in which every token is its own place: what a layout makes of it tells where each token lies."""

    def take(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(places, dtype=np.int64) + _TOKEN


def token_places(training: Mixture | Lanes, numbers: np.ndarray) -> np.ndarray:
    """(B, T) int64: the place in its source's shards of each token of the rows of the draws ``numbers`` (B,); -1 for
    padding and for the control tokens that a layout puts around texts."""
    sources = [replace(blocks, shards=_Places(**vars(blocks.shards))) for blocks in training.sources]
    places = replace(training, sources=sources).at(numbers).tokens - _TOKEN
    return np.where(places >= 0, places, -1)


def pieces(places: np.ndarray, source: int, blocks: Blocks, files: Sequence[tuple[str, int]]) -> list[Piece]:
    """Where the tokens of one row come from. ``places`` (T,); ``files``: of its source, by ``file_names``."""
    bounds = blocks.shards.bounds
    text = np.flatnonzero(places >= 0)
    if not len(text):
        return []
    document = np.searchsorted(bounds, places[text], side="right") - 1
    follows = (np.diff(text) == 1) & (np.diff(places[text]) == 1) & (np.diff(document) == 0)
    begins = np.flatnonzero(np.concatenate([[True], ~follows]))
    ends = np.concatenate([begins[1:], [len(text)]]) - 1
    past = list(accumulate(count for _, count in files))
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        number = int(document[begin])
        file = int(np.searchsorted(past, number, side="right"))
        found.append(
            Piece(
                first=int(text[begin]),
                last=int(text[end]),
                source=source,
                file=files[file][0] if file < len(files) else None,
                document=number,
                start=int(places[text[begin]] - bounds[number]),
                length=int(bounds[number + 1] - bounds[number]),
            )
        )
    return found
