"""Suites of a missing word: LAMBADA (Paperno et al. 2016) and the Children's Book Test (Hill et al. 2016).

LAMBADA: the last word of a passage, after all before it. Right where each of its tokens is the model's most probable
one; its perplexity is exp of the mean cost of the word. (GPT-2's 63.24 also passes over stop words, which is left out
here: without that it is 52.66.)

Children's Book Test: twenty sentences, then one with a blank and ten candidates: the candidate with which that sentence
is most probable (Radford et al. 2019, section 3.2). What stands before the blank is the same for all of them.

Encoders mask each token of the word, or of the sentence's rest, in turn (Salazar et al. 2020).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError
from trivium.evaluation.resampling import means, scored
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Measured, Run, checked_file
from trivium.text.decoding import lines
from trivium.text.fields import text_of
from trivium.text.readers import kind, read_rows

SENTENCES = 21
CANDIDATES = 10
BLANK = "XXXXX"
_NUMBERED = re.compile(r"(\d+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class LastWord:
    """Rows of JSON with a ``text``, or a passage a line."""

    settings: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[tuple[str, ...]] = ("accuracy",)

    files: tuple[str, ...] = ()

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """Passages of one word are skipped: they have no context."""
        read, pairs = 0, []
        for text in islice(_passages(path), limit):
            read += 1
            before, _, word = text.rstrip().rpartition(" ")
            if before.strip():
                pairs.append((before, f" {word}"))
        if not pairs:
            raise DataError(f"{path} has no passage of two words or more: give some")
        found, cut = scorer.continuations(pairs)
        hits = np.array([each.greedy for each in found])
        cost = np.array([-each.log_probability for each in found])
        share = means({"accuracy": hits, "cost": cost})

        def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
            mean = share(weights)
            return {"accuracy": mean["accuracy"], "word_perplexity": np.exp(np.minimum(mean["cost"], 700.0))}

        scores = scored(len(pairs), measure, self.main, shares={"accuracy": hits})
        skipped = {"one word": read - len(pairs)} if read > len(pairs) else {}
        how = {"word": "after-last-space", "choice": "greedy", "stop-words": "kept", **_how(scorer), "cut": str(cut)}
        return Run(Measured(scores, how), read, len(pairs), skipped)


@dataclass(frozen=True)
class Blank:
    """``detokenise``: the corpus's spaces before punctuation are taken out first, as for GPT-2."""

    settings: ClassVar[tuple[str, ...]] = ("detokenise",)
    main: ClassVar[tuple[str, ...]] = ("accuracy",)

    detokenise: bool = True
    files: tuple[str, ...] = ()

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        asked, golds = [], []
        for question in islice(questions(path), limit):
            before, after = (self._written(part) for part in (question.before, question.after))
            at_start = not before or before.endswith("\n")
            for candidate in question.candidates:
                rest = self._written(f"{candidate} {after}".strip())
                asked.append((before, rest) if at_start else (before.rstrip(), f" {rest}"))
            golds.append(question.candidates.index(question.answer))
        found, cut = scorer.continuations(asked)
        values = np.array([each.log_probability for each in found]).reshape(-1, CANDIDATES)
        hits = values.argmax(axis=1) == golds
        scores = scored(len(golds), means({"accuracy": hits}), self.main, shares={"accuracy": hits})
        how = {"score": "candidate+rest", "norm": "detokenised" if self.detokenise else "none",
               **_how(scorer), "cut": str(cut)}  # fmt: skip
        return Run(Measured(scores, how), len(golds), len(golds))

    def _written(self, text: str) -> str:
        return written(text) if self.detokenise else text


@dataclass(frozen=True)
class BlankQuestion:
    """``before``: the twenty sentences and the last one up to its blank; ``after``: the rest of it."""

    before: str
    after: str
    answer: str
    candidates: tuple[str, ...]


def questions(path: Path) -> Iterator[BlankQuestion]:
    """The test's files: 21 numbered lines a question, the last with tabs between sentence, answer and candidates."""
    context: list[str] = []
    for number, line in lines(checked_file(path), "strict"):
        if not line.strip():
            continue
        place, match = f"{path}:{number}", _NUMBERED.match(line)
        if match is None or int(match[1]) != len(context) + 1:
            raise DataError(f"{place}: line {len(context) + 1} of a question must begin with its number: {line[:40]!r}")
        if len(context) + 1 < SENTENCES:
            context.append(match[2].strip())
            continue
        yield _question(place, context, match[2])
        context = []
    if context:
        raise DataError(f"{path}: the last question has {len(context)} of {SENTENCES} lines: the file is cut")


def _question(place: str, context: list[str], line: str) -> BlankQuestion:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) < 3 or cells[0].count(BLANK) != 1:
        raise DataError(f"{place}: a sentence with one {BLANK}, a tab, the answer, tabs and candidates are wanted")
    candidates = tuple(cells[-1].split("|"))
    if len(candidates) != CANDIDATES or len(set(candidates)) != CANDIDATES:
        raise DataError(f"{place}: {len(set(candidates))} different candidates, and the test has {CANDIDATES}")
    if cells[1] not in candidates:
        raise DataError(f"{place}: the answer {cells[1]!r} is none of the candidates")
    first, _, rest = cells[0].partition(BLANK)
    return BlankQuestion("\n".join([*context, first.strip()]), rest.strip(), cells[1], candidates)


_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "``": '"', "''": '"'}
_BEFORE = re.compile(r" ([.,;:!?)%]|n't|'(?:s|re|ve|ll|d|m)\b)")
_AFTER = re.compile(r"([($]) ")
_QUOTED = re.compile(r'" ([^"\n]*?) ?"')


def written(text: str) -> str:
    """Treebank's words as text: no space before punctuation and inside brackets and quotes."""
    for mark, sign in _BRACKETS.items():
        text = text.replace(mark, sign)
    return _QUOTED.sub(r'"\1"', _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text)))


def _passages(path: Path) -> Iterator[str]:
    if kind(checked_file(path)):
        yield from (text_of(place, row, "text") for place, row in read_rows(path))
        return
    yield from (line for _, line in lines(path, "strict") if line.strip())


def _how(scorer: Scorer) -> dict[str, str]:
    """An encoder's word is predicted token by token, each with all others of it in sight, which makes it easier."""
    return {"likelihood": "pseudo"} if scorer.kind == "encoder" else {}

