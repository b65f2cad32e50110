"""The weights of a pretrained model in one that has more tokens, and the rows of the new ones.

A learnt token begins as the mean of its pieces' rows (Gee et al. 2022, "Fast vocabulary transfer"), in the embeddings
and in an output of its own alike; a control token as the mean of all rows (Hewitt 2021), with a little noise, so that
several can be told apart.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trivium.families.bodies import network
from trivium.randomness import key
from trivium.tokenizers.further_merging import Word
from trivium.transformer import Config, Network
from trivium.transformer.network import changed

NOISE = 0.1  # of a control token's row, as a share of the rows' own standard deviation


@torch.no_grad()
def fill(model: Network, source: Network, first: int, parts: Sequence[Word], seed: int) -> list[str]:
    """Gives a model the source's weights, and rows to its new tokens, numbered from ``first`` on. Returns the names of
    weights that the source does not have."""
    given, axes, new = source.state_dict(), vocabulary_axes(model.config), []
    for name, tensor in model.state_dict().items():
        if name not in given:
            new.append(name)
        elif name not in axes:
            tensor.copy_(given[name])
        else:
            old, rows = (each.movedim(axes[name], 0) for each in (given[name], tensor))
            rows[: len(old)] = old
            rows[first : first + len(parts)] = _new_rows(old[:first], parts, key(seed, "new rows", name))
    return new


def with_fresh_rows(
    known: Mapping[str, Tensor], fresh: Mapping[str, Tensor], config: Config, first: int
) -> dict[str, Tensor]:
    """Weights of a smaller vocabulary in the shapes of ``fresh`` ones, which the tokens from ``first`` on keep."""
    grown = dict(known)
    for name, axis in vocabulary_axes(config).items():
        if name in known:
            grown[name] = fresh[name].clone()
            grown[name].movedim(axis, 0)[:first] = known[name].movedim(axis, 0)[:first]
    return grown


def _new_rows(old: Tensor, parts: Sequence[Word], seed: int) -> Tensor:
    """(V, ...) old rows to (N, ...) new ones."""
    mean, spread = old.mean(0), NOISE * old.std(0) if old.ndim > 1 else torch.zeros(())
    controls = sum(not of for of in parts)
    generator = torch.Generator().manual_seed(seed % 2**63)
    noise = iter(torch.randn((controls, *old.shape[1:]), generator=generator))
    rows = [old[list(of)].mean(0) if of else mean + spread * next(noise) for of in parts]
    return torch.stack(rows) if rows else old[:0]


def vocabulary_axes(config: Config) -> dict[str, int]:
    """The tensors that have a row for each token, and along which of their axes."""
    return changed_axes(config, vocab_size=config.vocab_size + 1)


def changed_axes(config: Config, **changes: object) -> dict[str, int]:
    """The tensors whose shape a change of the configuration changes, and at which axis."""
    with torch.device("meta"):
        here, there = (network(each).state_dict() for each in (config, changed(config, **changes)))
    shapes = {name: (tensor.shape, there[name].shape) for name, tensor in here.items()}
    return {
        name: next(axis for axis, (a, b) in enumerate(zip(mine, other, strict=True)) if a != b)
        for name, (mine, other) in shapes.items()
        if mine != other
    }
