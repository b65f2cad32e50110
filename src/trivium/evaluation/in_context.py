"""In-context learning (Brown et al. 2020): examples in the prompt, no step of training; what is answered is scored as
GPT-3's paper does, or written.

Options are compared by the sum of their tokens' log-probabilities, by the mean, or by the sum less that of the same
option after the answer's own words alone (section 2.4: P(completion|context) / P(completion|answer_context)).
Contextual calibration (Zhao et al. 2021) divides probabilities by those that the same examples give to an input
without content. Prompts that do not fit lose whole examples, the one furthest from the question first.

N questions, D draws of examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from trivium.errors import SettingsError
from trivium.evaluation.demonstrations import How, drawn
from trivium.evaluation.scorer import AnyPrompt, Scorer
from trivium.generation.sampling import Sampling
from trivium.generation.search import Search
from trivium.metrics import exact_match, token_f1
from trivium.text.few_shot import Case, Layout

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Zhao et al. 2021, section 4: the three inputs whose probabilities are averaged."""


@dataclass(frozen=True)
class InContext:
    """How a file is asked in prompts. ``description``, ``example`` and ``separator``: of the layout, None: suggested;
    ``words``: ``label=word``, for labels whose suggested word is not wanted.

    ``choose``: which examples; ``redraw``: a draw for each row, as in GPT-3, not one for all, which is read once.
    ``score``: "sum", "token" (the mean) or "unconditional"; "generate": what is written is compared. ``calibrate``:
    against inputs without content. ``draws``: how often examples are drawn anew; ``max_tokens``, ``beams``: of what is
    written; more than one beam has GPT-3's length penalty, 0.6."""

    description: str | None = None
    example: str | None = None
    separator: str | None = None
    words: tuple[str, ...] = ()
    choose: How = "random"
    redraw: bool = False
    score: Literal["sum", "token", "unconditional", "generate"] = "sum"
    calibrate: bool = False
    draws: int = 3
    max_tokens: int = 32
    beams: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("draws", "max_tokens", "beams"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} = {getattr(self, name)}: it must be at least 1")
        if self.calibrate and self.score == "generate":
            raise SettingsError("calibrate weighs the probabilities of options, and generate has none: leave out one")
        if self.beams > 1 and self.score != "generate":
            raise SettingsError("beams are for what is written: set score=generate, or leave beams out")
        for each in self.words:
            if not all(each.partition("=")):
                raise SettingsError(f"words holds {each!r}: it must look like positive=great,negative=terrible")

    @property
    def given_words(self) -> dict[str, str]:
        """By label."""
        return {label.strip(): word.strip() for label, _, word in (each.partition("=") for each in self.words)}

    @property
    def by_likeness(self) -> bool:
        """Whether the rows decide which examples they get, and no draw does."""
        return self.choose in ("similar", "overlap")


@dataclass(frozen=True)
class Said:
    """What was answered of one question. ``probability``: of an option among the options; of a text, the product of its
    tokens'. ``shown``: how many examples stood in the prompt; ``hits``: the scores of this answer."""

    place: str
    answer: str
    probability: float
    shown: int
    hits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One pass over all questions. ``cut``: questions that lost their own beginning, no example being left to go."""

    said: tuple[Said, ...]
    cut: int = 0

    def scores(self, name: str) -> np.ndarray:
        """(N,) of one score."""
        return np.array([each.hits[name] for each in self.said])


def chosen(
    settings: InContext, pool: Sequence[Case], count: int, rows: int, draw: int, likeness: Sequence[Sequence[int]] = ()
) -> list[list[int]]:
    """Numbers of pool examples for each of so many ``rows``; ``likeness``: of each row the most similar ones."""
    if settings.by_likeness:
        return [list(each[len(each) - count :]) if count else [] for each in likeness]
    balanced = settings.choose == "balanced"
    if settings.redraw:
        return [drawn(pool, count, settings.seed, draw, balanced, row + 1) for row in range(rows)]
    return [drawn(pool, count, settings.seed, draw, balanced)] * rows


def ask(
    scorer: Scorer, layout: Layout, settings: InContext, cases: Sequence[Case], pool: Sequence[Case],
    numbers: Sequence[Sequence[int]],
) -> Asked:  # fmt: skip
    """Every question after the examples of its own ``numbers``."""
    room = Room(scorer, layout, settings.max_tokens if written(cases, settings) else 0)
    shown = [room.fitting([pool[i] for i in each], case) for each, case in zip(numbers, cases, strict=True)]
    prompts = [layout.prompt(each, case.fields) for each, case in zip(shown, cases, strict=True)]
    if written(cases, settings):
        return _write(scorer, layout, settings, cases, prompts, [len(each) for each in shown])
    values, cut = option_scores(scorer, cases, prompts, layout, settings.score)
    if settings.calibrate:
        values = _calibrated(scorer, layout, cases, shown, values)
    said = [option_said(case, row, len(each)) for case, row, each in zip(cases, values, shown, strict=True)]
    return Asked(tuple(said), cut)


def written(cases: Sequence[Case], settings: InContext) -> bool:
    """Whether answers are written, because they are free or because the settings say so."""
    return settings.score == "generate" or not cases[0].options


def option_scores(
    scorer: Scorer, cases: Sequence[Case], prompts: Sequence[AnyPrompt], layout: Layout, how: str
) -> tuple[list[np.ndarray], int]:
    """By question the (O,) score of each option, and how many prompts were cut."""
    lead = layout.lead if isinstance(prompts[0], str) else ""
    asked = [(prompt, lead + each) for prompt, case in zip(prompts, cases, strict=True) for each in case.options]
    found, cut = scorer.continuations(asked)
    values = np.array([each.log_probability for each in found])
    if how == "token":
        values = values / [each.tokens for each in found]
    if how == "unconditional":
        alone, _ = scorer.continuations([(layout.answer_context, lead + o) for case in cases for o in case.options])
        values = values - [each.log_probability for each in alone]
    ends = np.cumsum([len(case.options) for case in cases])
    return np.split(values, ends[:-1]), cut // max(1, len(cases[0].options))


def calibrated(scores: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(O,) log-probabilities of options and (C, O) those of inputs without content, to (O,) probabilities: p / p_cf,
    normalised (the paper's W = diag(p_cf)^-1, b = 0)."""
    bias = np.mean([_softmax(each) for each in free], axis=0)
    ratio = _softmax(scores) / np.maximum(bias, 1e-12)
    weighed: np.ndarray = ratio / ratio.sum()
    return weighed


class Room:
    """How many examples a prompt has a place for."""

    def __init__(self, scorer: Scorer, layout: Layout, writing: int) -> None:
        config = scorer.model.config
        self.limit = config.context if config.limit is None else config.limit
        self._bound = config.limit is not None or scorer.kind != "decoder"
        self._scorer, self._layout, self._writing = scorer, layout, writing
        self._sizes: dict[str, int] = {}

    def fitting(self, shown: Sequence[Case], case: Case, bound: bool = False) -> list[Case]:
        """The last examples, as many as fit beside the question and its longest answer; ``bound``: also where a model
        reads texts of any length, as many as fit into a row of its training."""
        if not shown or not (self._bound or bound):
            return list(shown)
        answer = self._writing or max(self._size(option) for option in case.options)
        own = answer if self._scorer.kind != "encoder-decoder" else 0  # an answer has the decoder to itself
        left = self.limit - own - 2 - self._size(self._layout.prompt((), case.fields))
        kept: list[Case] = []
        for each in reversed(shown):
            left -= self._size(self._layout.shown(each) + self._layout.separator)
            if left < 0:
                break
            kept.insert(0, each)
        while kept and self._whole(kept, case) + own + 2 > self.limit:  # joined parts may be cut otherwise
            kept.pop(0)
        return kept

    def _whole(self, kept: Sequence[Case], case: Case) -> int:
        return len(self._scorer.tokenizer.encode(self._layout.prompt(kept, case.fields)).ids)

    def _size(self, text: str) -> int:
        if text not in self._sizes:
            self._sizes[text] = len(self._scorer.tokenizer.encode(text).ids)
        return self._sizes[text]


def most_that_fit(scorer: Scorer, layout: Layout, settings: InContext, cases: Sequence[Case], pool: Sequence[Case],
                  numbers: Sequence[Sequence[int]]) -> int:  # fmt: skip
    """The number of examples that every question has a place for, of those it would be given."""
    room = Room(scorer, layout, settings.max_tokens if written(cases, settings) else 0)
    fits = (len(room.fitting([pool[i] for i in each], case, True)) for each, case in zip(numbers, cases, strict=True))
    return min(fits)


def _calibrated(
    scorer: Scorer, layout: Layout, cases: Sequence[Case], shown: Sequence[Sequence[Case]], values: Sequence[np.ndarray]
) -> list[np.ndarray]:
    options = cases[0].options
    if any(case.options != options for case in cases):
        raise SettingsError("calibrate needs the same options for every question: set score=unconditional instead")
    asked = [layout.prompt(each, dict.fromkeys(case.fields, free)) for each, case in zip(shown, cases, strict=True)
             for free in CONTENT_FREE]  # fmt: skip
    found, _ = scorer.continuations([(prompt, layout.lead + each) for prompt in asked for each in options])
    free = np.array([each.log_probability for each in found]).reshape(len(cases), len(CONTENT_FREE), len(options))
    return [np.log(np.maximum(calibrated(row, each), 1e-300)) for row, each in zip(values, free, strict=True)]


def option_said(case: Case, scores: np.ndarray, shown: int) -> Said:
    """The best option of one question, by (O,) scores."""
    best = int(scores.argmax())
    hit = {"accuracy": float(best == case.gold)}
    return Said(case.place, case.options[best], float(_softmax(scores)[best]), shown, hit)


def _write(
    scorer: Scorer, layout: Layout, settings: InContext, cases: Sequence[Case], prompts: Sequence[AnyPrompt],
    shown: Sequence[int],
) -> Asked:  # fmt: skip
    made, cut = scorer.write(prompts, sampling_of(layout, settings, cases))
    said = []
    for case, one, count in zip(cases, made, shown, strict=True):
        kept = one.text.strip()
        chance = float(np.exp(sum(one.log_probabilities[: _tokens_of(scorer, one.tokens, one.text)])))
        said.append(Said(case.place, kept, chance, count, text_hits(case, kept)))
    return Asked(tuple(said), cut)


def sampling_of(layout: Layout, settings: InContext, cases: Sequence[Case]) -> Sampling | Search:
    """Greedy or beam search, up to what stands behind an answer: a line's end, unless answers have several lines."""
    lines = any("\n" in answer for case in cases for answer in case.answers)
    stop = layout.after.rstrip() or (layout.separator if lines else "\n")
    if settings.beams > 1:
        return Search(beams=settings.beams, length_penalty=0.6, max_tokens=settings.max_tokens, stop=(stop,))
    return Sampling(temperature=0, top_p=1, max_tokens=settings.max_tokens, stop=(stop,))


def text_hits(case: Case, said: str) -> dict[str, float]:
    """Of options, whether the right one was written; else SQuAD's exact match and F1, of the best right answer."""
    if case.options:
        return {"accuracy": float(said.casefold() == case.answers[0].strip().casefold())}
    return {
        "exact": max(exact_match(said, answer) for answer in case.answers),
        "f1": max(token_f1(said, answer) for answer in case.answers),
    }


def _tokens_of(scorer: Scorer, tokens: Sequence[int], text: str) -> int:
    """How many tokens the text is made of, without those of what stopped it."""
    return next((n for n in range(len(tokens)) if len(scorer.tokenizer.decode(tokens[:n])) >= len(text)), len(tokens))


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max())
    found: np.ndarray = shifted / shifted.sum()
    return found
