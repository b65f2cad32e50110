"""What a policy writes, and how probable it, its reference and its value head find it, token by token.

Texts come from the generation engine, at the policy's own distribution: a temperature, and nothing that cuts it. Their
log-probabilities are computed again by the forward pass that training uses, so that the first ratio is exactly 1.
B responses, R the longest one's tokens, T with its prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trivium.generation.engine import run
from trivium.generation.prompts import Prompt
from trivium.generation.rows import right_padded
from trivium.generation.sampling import Sampling
from trivium.tasks.batching import within_budget
from trivium.transformer import VALUE, Inputs, Network, Tokens

AT_ONCE = 64  # responses that are written side by side
PASS_TOKENS = 8192  # with their padding, in one pass without gradients


@dataclass(frozen=True)
class Writing:
    """How responses are written. ``end``: the token that ends one; None: none does. ``vocabulary``: how many tokens may
    be chosen from."""

    max_tokens: int
    temperature: float
    end: int | None
    vocabulary: int


@dataclass(frozen=True)
class Texts:
    """Prompts with their responses, as tokens on the CPU. A response holds its end token where it ended by itself."""

    ids: Tensor  # (B, T) int64: prompt and response, then zeros
    starts: Tensor  # (B,) where the response begins
    lengths: Tensor  # (B,) its tokens
    ended: Tensor  # (B,) bool

    def responses(self) -> list[list[int]]:
        """Their tokens, without an end token."""
        bounds = zip(self.ids, self.starts.tolist(), self.lengths.tolist(), self.ended.tolist(), strict=True)
        return [ids[start : start + length - ended].tolist() for ids, start, length, ended in bounds]


@dataclass(frozen=True)
class Rollouts(Texts):
    """The responses of one round, and all that an update has to know of them."""

    prompts: Tensor  # (B,) which prompt it answers
    scores: Tensor  # (B,) float64: what it is worth
    parts: Tensor  # (B, P) float64: by each reward
    policy: Tensor  # (B, R) float32 log-probabilities when it was written, zeros on padding
    reference: Tensor  # (B, R)
    values: Tensor  # (B, R) what the value head expected

    @property
    def real(self) -> Tensor:
        """(B, R) bool: which places are tokens."""
        return torch.arange(self.policy.shape[1]) < self.lengths[:, None]

    def state_dict(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        return cls(**{field.name: state[field.name].clone() for field in fields(cls)})


def written(
    model: Network, prompts: Sequence[tuple[int, ...]], samples: Sequence[int], writing: Writing, seed: int
) -> Texts:
    """A response to each prompt. ``samples`` tells apart those to equal prompts: each depends on the seed, its prompt
    and its number, and on nothing beside it."""
    sampling = Sampling(max_tokens=writing.max_tokens, temperature=writing.temperature, top_p=1.0, seed=seed)
    ends = frozenset(() if writing.end is None else (writing.end,))
    asked = [Prompt(ids, None, sample) for ids, sample in zip(prompts, samples, strict=True)]
    rows: list[list[int]] = []
    ended: list[bool] = []
    for start in range(0, len(asked), AT_ONCE):
        for each in run(model, asked[start : start + AT_ONCE], sampling, ends, writing.vocabulary):
            ended.append(each.finish == "end")
            rows.append([*each.tokens, *(ends if ended[-1] else ())])
    starts = torch.tensor([len(ids) for ids in prompts])
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int((starts + lengths).max()), dtype=torch.int64)
    for n, (before, row) in enumerate(zip(prompts, rows, strict=True)):
        ids[n, : len(before) + len(row)] = torch.tensor([*before, *row])
    return Texts(ids, starts, lengths, torch.tensor(ended))


def reading(texts: Texts, rows: np.ndarray, pad: int) -> tuple[Tokens, Tensor, Tensor]:
    """What the model reads of some responses, right-padded (b, t); the flat places (N,) that predict their tokens, one
    before each; and those tokens (N,), row by row."""
    chosen = torch.from_numpy(rows)
    starts, lengths = texts.starts[chosen].tolist(), texts.lengths[chosen].tolist()
    whole = [texts.ids[row, : s + n].tolist() for row, s, n in zip(rows.tolist(), starts, lengths, strict=True)]
    read = right_padded([ids[:-1] for ids in whole], pad, torch.device("cpu"))
    width = read.ids.shape[1]
    at = [n * width + s - 1 + k for n, (s, m) in enumerate(zip(starts, lengths, strict=True)) for k in range(m)]
    tokens = [token for ids, s in zip(whole, starts, strict=True) for token in ids[s:]]
    return read, torch.tensor(at), torch.tensor(tokens)


def log_probabilities(logits: Tensor, tokens: Tensor, writing: Writing) -> Tensor:
    """(N, V) logits to the float32 log-probabilities (N,) that the tokens were drawn with."""
    logits = logits[:, : writing.vocabulary].float() / writing.temperature
    return logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=1)


@torch.no_grad()
def measured(model: Network, texts: Texts, writing: Writing) -> tuple[Tensor, Tensor]:
    """(B, R) log-probabilities of each response's tokens, and (B, R) the value head's expectations before each (zeros
    without such a head)."""
    device, pad = next(model.parameters()).device, model.config.pad_token
    heads = (VALUE,) if VALUE in model.heads else ()
    chances = torch.zeros(len(texts.ids), int(texts.lengths.max()))
    values = torch.zeros_like(chances)
    whole = (texts.starts + texts.lengths).numpy()
    for rows in within_budget(whole, np.arange(len(whole)), PASS_TOKENS):
        read, at, tokens = reading(texts, rows, pad)
        at, tokens = at.to(device), tokens.to(device)
        out = model(Inputs(target=read.to(device)), at=at, heads=heads)
        here = torch.arange(chances.shape[1]) < texts.lengths[rows, None]  # (b, R), in the order of the places
        filled = torch.zeros(here.shape)
        chances[rows] = filled.masked_scatter(here, log_probabilities(out.logits, tokens, writing).cpu())
        if heads:
            expected = out.heads[VALUE].float().reshape(-1)[at]
            values[rows] = filled.masked_scatter(here, expected.cpu())
    return chances, values
