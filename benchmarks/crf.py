"""A chain's loss with its gradient, and its decoding, beside pytorch-crf: ``python benchmarks/crf.py``.

The same scores, lengths and labels for both, one thread, in turns; milliseconds are medians.
"""

import json
import statistics
import time
from collections.abc import Callable

import torch
from torchcrf import CRF

from trivium.transformer.crf import best_paths, log_partition, path_score, with_ends

ROWS, PLACES, ROUNDS = 32, 40, 60


def compare(kinds: int) -> dict[str, float]:
    """For so many labels."""
    generator = torch.Generator().manual_seed(kinds)
    theirs = CRF(kinds, batch_first=True)
    start, end, transition = (p.detach().clone().requires_grad_() for p in theirs.parameters())
    scores = torch.randn(ROWS, PLACES, kinds, generator=generator)
    labels = torch.randint(kinds, (ROWS, PLACES), generator=generator)
    lengths = torch.randint(5, PLACES + 1, (ROWS,), generator=generator)
    lengths[0] = PLACES
    mask = torch.arange(PLACES) < lengths[:, None]

    def their_loss() -> None:
        (-theirs(scores.clone().requires_grad_(), labels, mask=mask)).backward()

    def our_loss() -> None:
        emissions = with_ends(scores.clone().requires_grad_(), lengths, start, end)
        found = log_partition(emissions, transition, lengths) - path_score(emissions, transition, lengths, labels)
        found.sum().backward()

    def our_decoding() -> None:
        emissions = with_ends(scores, lengths, start.detach(), end.detach())
        best_paths(emissions.numpy(), transition.detach().numpy(), lengths.numpy())

    runs: dict[str, Callable[[], object]] = {
        "loss": our_loss, "pytorch_crf_loss": their_loss,
        "decoding": our_decoding, "pytorch_crf_decoding": lambda: theirs.decode(scores, mask),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, call in runs.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    found = {name: 1000 * statistics.median(times) for name, times in seconds.items()}
    ratios = {f"{name}_ratio": found[f"pytorch_crf_{name}"] / found[name] for name in ("loss", "decoding")}
    return {"labels": kinds, **found, **ratios}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for count in (9, 20):
        print(json.dumps(compare(count)))
