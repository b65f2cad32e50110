"""A text that is to be written, and how far it has come: what the engine (``engine.py``) has of each. V vocabulary."""

from array import array
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trivium.errors import TriviumError
from trivium.generation.prompts import Prompt
from trivium.generation.rules import Constraint, Forced, Rules
from trivium.generation.sampling import Sampling, uniforms
from trivium.generation.wording import Wanted, Wording, rules_of

Finish = Literal["end", "stop", "length", "context", "error"]
_DRAWN = 256  # random numbers that are made at once


@dataclass(frozen=True)
class Request:
    """A text to be written: what it goes on from, and how. ``ends``: tokens that end it."""

    prompt: Prompt
    sampling: Sampling = Sampling()
    ends: frozenset[int] = frozenset()
    forced: Forced = Forced()
    wording: Wording = Wording()
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Choice:
    """The next token of one sequence; ``finish`` is set when it is the last. Where it is ``error`` there is no token,
    and ``problem`` says what happened."""

    row: int  # the handle of its request
    token: int
    log_probability: float  # by the model itself, before the rules, temperature and filters
    finish: Finish | None
    top: tuple[tuple[int, float], ...] = ()  # the most probable tokens and their log-probabilities, falling
    problem: TriviumError | None = None


def finish_of(token: int, written: int, ends: frozenset[int], room: int, most: int) -> Finish | None:
    """Whether a text of ``written`` tokens, of which this is the last, ends with it: ``room`` is what it can have, and
    ``most`` what was asked for."""
    if token in ends:
        return "end"
    if written < room:
        return None
    return "length" if room == most else "context"


@dataclass(eq=False)
class Row:
    """A request on its way."""

    handle: int
    request: Request
    room: int  # how many tokens can be written
    rules: Rules = field(init=False)
    read: int = 0  # tokens that are in the cache
    tokens: list[int] = field(default_factory=list)
    text: "array[int]" = field(init=False)  # the prompt and the new tokens
    wanted: Wanted = field(init=False)
    left: bool = False  # finished, or cancelled
    broken: bool = False  # its numbers are no numbers
    _noise: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        request = self.request
        self.rules = rules_of(request.sampling, request.ends, request.forced, request.wording)
        self.text = array("q", self.request.prompt.ids)
        self.wanted = Wanted(list(self.request.wording.forced))

    @property
    def prompt(self) -> Prompt:
        """What is read, whichever of several samples it is for."""
        return replace(self.request.prompt, sample=0)

    @property
    def together(self) -> object:
        """Rows that have this in common are settled by the same operations."""
        s = self.request.sampling
        filters = None if s.greedy else (s.temperature, s.top_k, s.top_p, s.min_p, s.typical_p)
        return self.rules, filters

    @property
    def is_alone(self) -> bool:
        """Whether anything holds for this text and no other."""
        return bool(self.wanted.missing or self.wanted.queue) or self.request.constraint is not None

    def uniform(self) -> float:
        """The random number of the next position: whatever stands beside it, and however many are made at once."""
        place = len(self.tokens) % _DRAWN
        if place == 0:
            p, sampling = self.request.prompt, self.request.sampling
            ids = (*p.ids, -1, *(p.source or ()))
            self._noise = uniforms(sampling.seed, ids, p.sample, _DRAWN, len(self.tokens))
        return float(self._noise[place])

    def steer(self, scores: Tensor) -> Tensor:
        """(V,) scores by what holds for this text alone."""
        constraint, after = self.request.constraint, int(self.rules.forced.last is not None)
        scores = self.wanted.steer(scores, self.room - len(self.tokens) - after, self.rules.ends)
        if constraint is not None:
            scores = scores.masked_fill(~constraint.allowed()[: len(scores)].to(scores.device), -torch.inf)
        return scores

    def add(self, token: int) -> Finish | None:
        """One more token, and whether it is the last."""
        finish = finish_of(token, len(self.tokens) + 1, self.rules.ends, self.room, self.request.sampling.max_tokens)
        if finish != "end":
            self.tokens.append(token)
            self.text.append(token)
            self.wanted.take(self.tokens)
            if self.request.constraint is not None:
                self.request.constraint.take(token)
                if self.request.constraint.complete:
                    return "stop"
        return finish
