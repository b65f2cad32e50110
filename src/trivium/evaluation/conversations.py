"""A suite of conversations about passages, CoQA (Reddy et al. 2019), asked as GPT-2 and GPT-3 were: the passage, what
was asked and answered before, and the next question; what is written up to the end of the line is the answer.

The answers before are those of people, as in the data; scores are the official script's, over up to four people.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.resampling import means, scored
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Measured, Run, checked_file
from trivium.generation.sampling import Sampling
from trivium.metrics.answers import coqa_turn
from trivium.text.decoding import chunks


@dataclass(frozen=True)
class Turn:
    """One question: the prompt that asks it, and what people answered."""

    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Conversations:
    """``max_tokens``: of an answer."""

    settings: ClassVar[tuple[str, ...]] = ("max_tokens",)
    main: ClassVar[tuple[str, ...]] = ("f1",)

    max_tokens: int = 30
    files: tuple[str, ...] = ()

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """``limit`` counts questions."""
        if scorer.kind == "encoder":
            raise SettingsError("this model is an encoder, which writes no answers: give a decoder or encoder-decoder")
        turns = list(islice(read_turns(path), limit))
        if not turns:
            raise DataError(f"{path} has no question: give CoQA's file")
        sampling = Sampling(temperature=0, top_p=1, max_tokens=self.max_tokens, stop=("\n",))
        made, cut = scorer.write([turn.prompt for turn in turns], sampling)
        each = np.array([coqa_turn(one.text, turn.answers) for one, turn in zip(made, turns, strict=True)])
        scores = scored(len(turns), means({"f1": each[:, 1], "exact": each[:, 0]}), self.main)
        how = {"history": "answers-of-people", "choice": "greedy", "max_tokens": str(self.max_tokens), "cut": str(cut)}
        return Run(Measured(scores, how), len(turns), len(turns))


def read_turns(path: Path) -> Iterator[Turn]:
    """Of CoQA's JSON: ``data``, each with a ``story``, ``questions``, ``answers`` and ``additional_answers``."""
    try:
        whole = json.loads(b"".join(chunks(checked_file(path))))
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{path} is not valid JSON ({problem}): give CoQA's file") from None
    data = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(data, list):
        raise DataError(f"{path} has no list 'data': give CoQA's file")
    for number, entry in enumerate(data):
        place = f"{path}: data[{number}]"
        try:
            story, questions = str(entry["story"]), [str(each["input_text"]) for each in entry["questions"]]
            people = [entry["answers"], *(entry.get("additional_answers") or {}).values()]
            answers = [[str(each["input_text"]) for each in one] for one in people]
        except (KeyError, TypeError, AttributeError):
            raise DataError(f"{place} is no conversation of CoQA's: story, questions and answers are wanted") from None
        if any(len(one) != len(questions) for one in answers):
            raise DataError(f"{place}: {len(questions)} questions have another number of answers: correct it")
        yield from _turns(story, questions, answers)


def _turns(story: str, questions: list[str], answers: list[list[str]]) -> Iterator[Turn]:
    said = f"{story.strip()}\n\n"
    for place, question in enumerate(questions):
        asked = f"{said}Q: {question}\nA:"
        yield Turn(asked, tuple(one[place] for one in answers))
        said = f"{asked} {answers[0][place]}\n"

