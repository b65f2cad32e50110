"""What language models that read from left to right are poor at (Brown et al. 2020, section 5), as figures: they repeat
themselves, contradict what they said, prefer stereotypes, and see nothing that comes after a gap.

The probes (``limitations.jsonl``, our own sentences) are few: they show a tendency and rank nothing.

- ``opening``: texts are written on, greedily and by sampling: repetition within a text, distinct n-grams over all.
- ``contradiction``: after a sentence, one that agrees and one that denies it: how often the former is preferred.
- ``stereotype``: two sentences that differ in one word: how often the usual prejudice is preferred; a half is none.
- ``occupation``: the mean of log P(she) - log P(he) after it, and how many lean to he.
- ``clue``: the right word of two in a gap, with what decides it before the gap, and after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.resampling import Score, means, scored
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Measured, Run
from trivium.generation.prompts import beginning
from trivium.generation.sampling import Sampling
from trivium.metrics import wilson
from trivium.metrics.diversity import diversity, repetition
from trivium.text.fields import text_of
from trivium.text.readers import Row, read_rows

KINDS = {
    "opening": ("text",),
    "contradiction": ("text", "agrees", "denies"),
    "stereotype": ("more", "less"),
    "occupation": ("text", "she", "he"),
    "clue": ("before", "after", "right", "wrong"),
}
"""By kind of probe, the fields of its rows."""

PROBES = Path(str(resources.files("trivium.evaluation") / "limitations.jsonl"))
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Limitations:
    """``max_tokens``: of what is written; ``samples``: of each opening; ``seed``: of those."""

    settings: ClassVar[tuple[str, ...]] = ("max_tokens", "samples", "seed")
    main: ClassVar[tuple[str, ...]] = ("agrees",)

    max_tokens: int = 60
    samples: int = 2
    seed: int = 0
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_tokens", "samples"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} = {getattr(self, name)}: it must be at least 1")

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """``limit``: of each kind."""
        if scorer.kind == "encoder":
            raise SettingsError("these probes are of models that write, and this is an encoder: take crows-pairs")
        rows = {kind: list(islice(each, limit)) for kind, each in _read(path).items()}
        scores: dict[str, Score] = {}
        if rows["contradiction"]:
            told = [(row["text"], row["agrees"], row["denies"]) for row in rows["contradiction"]]
            scores["agrees"] = self._preferred(scorer, told)
        if rows["stereotype"] and (beginning(scorer.tokenizer) or scorer.kind == "encoder-decoder"):
            pairs = [("", row["more"], row["less"]) for row in rows["stereotype"]]
            scores["stereotype"] = self._preferred(scorer, pairs)
        scores |= _leaning(scorer, rows["occupation"])
        for name, field in (("clue_before", "before"), ("clue_after", "after")):
            if rows["clue"]:
                scores[name] = self._preferred(scorer, [_gap(row, field) for row in rows["clue"]])
        scores |= self._written(scorer, rows["opening"])
        count = sum(map(len, rows.values()))
        how = {"probes": "embedded" if path == PROBES else path.name, "samples": str(self.samples),
               "max_tokens": str(self.max_tokens), "seed": str(self.seed)}  # fmt: skip
        note = "stereotype: 0.5 is no preference; she_to_he: 0 is none; repetition: lower is better"
        return Run(Measured(scores, how, (note,)), count, count)

    def _preferred(self, scorer: Scorer, asked: Sequence[tuple[str, str, str]]) -> Score:
        """How often the first continuation is more probable than the second."""
        pairs = [(prompt, f" {text}" if prompt else text) for prompt, *both in asked for text in both]
        found, _ = scorer.continuations(pairs)
        values = np.array([each.log_probability for each in found]).reshape(-1, 2)
        hits = int((values[:, 0] > values[:, 1]).sum())
        share = wilson(hits, len(asked))
        return Score(share.value, share.low, share.high, "wilson")

    def _written(self, scorer: Scorer, rows: Rows) -> dict[str, Score]:
        if not rows:
            return {}
        openings = [row["text"] for row in rows]
        greedy, _ = scorer.write(openings, Sampling(temperature=0, top_p=1, max_tokens=self.max_tokens))
        sampled: list[str] = []
        for number in range(self.samples):
            sampling = Sampling(temperature=1, top_p=1, max_tokens=self.max_tokens, seed=self.seed + number)
            sampled += [each.text for each in scorer.write(openings, sampling)[0]]
        each = np.array([repetition(one.text, 4) for one in greedy])
        found = {"greedy_repetition_4": scored(len(each), means({"it": each}), ("it",))["it"]}
        return found | {f"sampled_{name}": Score(value, None, None) for name, value in diversity(sampled).items()}


def _leaning(scorer: Scorer, rows: Rows) -> dict[str, Score]:
    if not rows:
        return {}
    asked = [(row["text"], f" {row[name]}") for row in rows for name in ("she", "he")]
    values = np.array([each.log_probability for each in scorer.continuations(asked)[0]]).reshape(-1, 2)
    ratio = values[:, 0] - values[:, 1]
    share = wilson(int((ratio < 0).sum()), len(rows))
    mean = scored(len(rows), means({"it": ratio}), ("it",))["it"]
    return {"she_to_he": mean, "leans_to_he": Score(share.value, share.low, share.high, "wilson")}


def _gap(row: Mapping[str, str], field: str) -> tuple[str, str, str]:
    """What stands before the gap, and the two words: what comes after it cannot be seen from there."""
    return row[field].partition("___")[0].rstrip(), row["right"], row["wrong"]


def _read(path: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
    for place, row in read_rows(path):
        kind = row.get("kind")
        if kind not in KINDS:
            raise DataError(f"{place}: the kind is {kind!r}: it must be one of {', '.join(KINDS)}")
        found[str(kind)].append(_probe(place, row, str(kind)))
    return found


def _probe(place: str, row: Row, kind: str) -> dict[str, str]:
    made = {name: text_of(place, row, name) for name in KINDS[kind]}
    for name in ("before", "after"):
        if name in made and made[name].count("___") != 1:
            raise DataError(f"{place}: {name!r} must hold one gap, ___")
    return made
