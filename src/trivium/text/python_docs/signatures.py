"""Does this signature belong to this docstring? Half of the pairs are true; the others swap in another signature.

The wrong signature comes from the same split and is of the same kind (function or class), so that neither the words
of a split nor the first word give it away.
"""

from pathlib import Path

import numpy as np

from trivium.randomness import Draws
from trivium.text.examples import Pair
from trivium.text.python_docs.corpus import Docstring
from trivium.text.python_docs.splits import Split, unique_docstrings

LABELS = ("other", "same")
FEWEST_WORDS = 6


def signatures(split: Split, seed: int = 0, stdlib: Path | None = None) -> list[Pair]:
    """One pair for each documented function or class; which are wrong, and how, depends on the seed alone."""
    pairs = []
    for kind in ("def", "class"):
        entries = [
            entry
            for entry in unique_docstrings(split, stdlib)
            if entry.kind == kind and len(entry.body.split()) >= FEWEST_WORDS
        ]
        draws = Draws(seed, np.arange(len(entries)))
        true = draws.uniform(f"signatures {split} {kind} true", 1)[:, 0] < 0.5
        other = draws.integers(f"signatures {split} {kind} other", 1, len(entries))[:, 0]
        for index, entry in enumerate(entries):
            signature = entry.signature if true[index] else _other_signature(entries, index, int(other[index]))
            pairs.append(Pair(signature, entry.body, LABELS[signature == entry.signature]))
    return pairs


def _other_signature(entries: list[Docstring], index: int, start: int) -> str:
    """The first signature from ``start`` on that is not the docstring's own; its own where all are the same."""
    own = entries[index].signature
    candidates = (entries[(start + step) % len(entries)].signature for step in range(len(entries)))
    return next((signature for signature in candidates if signature != own), own)
