"""What the reference model says of the replies of preference pairs: computed once, kept in a file, never confused.

The file is tied to the reference's weights and to the very tokens by their hashes: numbers of other weights or of other
data are computed anew, so that a changed file of pairs never meets old numbers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from trivium.alignment.pairs import TokenPairs, pair_batch
from trivium.alignment.preference import reply_scores
from trivium.durable import replace_file
from trivium.errors import StoppedError
from trivium.tasks.batching import within_budget

if TYPE_CHECKING:
    from trivium.transformer import Network

TOKENS = 4096  # of a batch with its padding, unless one pair alone has more
SCORES = "log_probabilities"


@torch.no_grad()
def log_probabilities(
    model: "Network", pairs: TokenPairs, tokens: int = TOKENS, watch: Callable[[int], None] | None = None
) -> np.ndarray:
    """(N, 2) float32: of the chosen and the rejected reply of each pair, summed over its tokens. ``watch`` is told how
    many pairs are done."""
    device = next(model.parameters()).device
    found, done = np.zeros((len(pairs), 2), np.float32), 0
    for numbers in within_budget(pairs.lengths, np.arange(len(pairs)), tokens):
        scores = reply_scores(model, pair_batch(pairs, numbers).to(device))
        found[numbers] = torch.stack(scores.halves(), 1).float().cpu().numpy()
        done += len(numbers)
        if watch is not None:
            watch(done)
    return found


def kept_scores(path: Path, weights: str, pairs: TokenPairs, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """(N, 2) from the file, where it is of these ``weights`` (their SHA-256) and of these pairs; else computed, and
    kept there. Numbers that are not finite are refused."""
    belongs = {"weights": weights, "pairs": pairs.digest}
    found = _read(path, belongs, len(pairs))
    if found is None:
        found = compute()
        if bad := np.flatnonzero(~np.isfinite(found).all(1)).tolist():
            raise StoppedError(
                f"the reference's log-probabilities of pair {bad[0] + 1} are {found[bad[0]].tolist()}: its weights are "
                "damaged, or it overflows in this precision: use float32"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, save({SCORES: torch.from_numpy(found)}, belongs))
    return found


def _read(path: Path, belongs: dict[str, str], count: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as file:
            if file.metadata() != belongs or list(file.keys()) != [SCORES]:
                return None
            found: np.ndarray = file.get_tensor(SCORES)
    except (SafetensorError, OSError):
        return None
    return found if found.shape == (count, 2) and found.dtype == np.float32 else None
