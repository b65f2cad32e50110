"""Answers to questions, as strings: SQuAD's exact match and F1 (Rajpurkar et al. 2016, 2018: the official scripts),
MultiRC's F1a and EM (Khashabi et al. 2018), ReCoRD's (Zhang et al. 2018).
"""

import re
import string
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised_answer(text: str) -> str:
    """Lower case, without punctuation, then without articles, with single spaces: "The U.S.A." is "usa"."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(predicted: str, gold: str) -> float:
    """1 where both are the same once normalised."""
    return float(normalised_answer(predicted) == normalised_answer(gold))


def token_f1(predicted: str, gold: str) -> float:
    """F1 of the bags of normalised words; where one is empty, 1 if the other is too."""
    said, wanted = normalised_answer(predicted).split(), normalised_answer(gold).split()
    if not said or not wanted:
        return float(said == wanted)
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted))


def squad(predicted: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, float]:
    """Exact match and F1 of each question's best gold, from 0 to 1. Without a gold (or with empty ones alone) there is
    no answer, and an empty prediction is right. With both kinds of questions, the scores of each kind too."""
    exact, f1 = squad_each(predicted, golds)
    answerable = np.array([bool(_answers(each)) for each in golds])
    scores = {"exact": float(exact.mean()), "f1": float(f1.mean())}
    if not answerable.all():
        for name, chosen in (("answerable", answerable), ("unanswerable", ~answerable)):
            if chosen.any():
                scores |= {f"{name}_exact": float(exact[chosen].mean()), f"{name}_f1": float(f1[chosen].mean())}
    return scores


def squad_each(predicted: Sequence[str], golds: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) exact matches and (N,) F1s."""
    if len(predicted) != len(golds):
        raise ValueError(f"{len(predicted)} predictions but {len(golds)} questions")
    if not predicted:
        raise ValueError("no questions to score")
    wanted = [_answers(each) or [""] for each in golds]
    pairs = list(zip(predicted, wanted, strict=True))
    exact = np.array([max(exact_match(said, gold) for gold in each) for said, each in pairs])
    return exact, np.array([max(token_f1(said, gold) for gold in each) for said, each in pairs])


def coqa_turn(predicted: str, golds: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of one turn, as CoQA's official script has them (Reddy et al. 2019): the mean over leaving out
    each person's answer of the best of the others, so that a model is held against as many as a person is."""
    if not golds:
        raise ValueError("no answer to score against")
    several = len(golds) > 1
    held = [[*golds[:i], *golds[i + 1 :]] for i in range(len(golds))] if several else [list(golds)]
    exact = sum(max(exact_match(predicted, gold) for gold in part) for part in held) / len(held)
    f1 = sum(max(token_f1(predicted, gold) for gold in part) for part in held) / len(held)
    return exact, f1


def best_threshold(
    no_answer: Sequence[float], right: Sequence[float], answerable: Sequence[bool]
) -> tuple[float, float]:
    """(score, threshold): where to stop answering, so that the mean of ``right`` is highest (official script, v2.0).

    ``no_answer``: how strongly each question seems to have none; ``right``: the score of what would be answered. A
    question is left unanswered where ``no_answer`` is above the threshold, which is then right where nothing was asked.
    """
    scores = np.asarray(no_answer, float)
    order = np.argsort(scores, kind="stable")
    gains = np.where(np.asarray(answerable, bool), np.asarray(right, float), -1.0)[order]
    silent = float((~np.asarray(answerable, bool)).sum())
    running = np.concatenate([[silent], silent + np.cumsum(gains)])
    last = np.concatenate([scores[order][1:] != scores[order][:-1], [True]])  # equal scores share their side
    allowed = np.concatenate([[True], last])
    best = int(np.argmax(np.where(allowed, running, -np.inf)))
    threshold = float(scores[order][best - 1]) if best else float(np.nextafter(scores.min(), -np.inf))
    return float(running[best] / len(scores)), threshold


def multirc(
    questions: Sequence[Hashable], gold: Sequence[bool], predicted: Sequence[bool]
) -> dict[str, float]:
    """``f1a``: F1 over the options of all questions; ``exact``: share of questions with every option right; ``f1m``:
    mean F1 of a question. ``questions``: which question each option belongs to."""
    if not len(questions) == len(gold) == len(predicted):
        raise ValueError("questions, gold and predicted must be of one length")
    if not questions:
        raise ValueError("no options to score")
    groups: dict[Hashable, list[tuple[bool, bool]]] = {}
    for question, wanted, said in zip(questions, gold, predicted, strict=True):
        groups.setdefault(question, []).append((bool(wanted), bool(said)))
    pooled = [pair for group in groups.values() for pair in group]
    exact = [float(all(wanted == said for wanted, said in group)) for group in groups.values()]
    means = [_option_f1(group) for group in groups.values()]
    return {"f1a": _option_f1(pooled), "exact": float(np.mean(exact)), "f1m": float(np.mean(means))}


def record(predicted: Mapping[Hashable, str], golds: Mapping[Hashable, Sequence[str]]) -> dict[str, float]:
    """ReCoRD: SQuAD's measures against every mention of the right entity; a question without prediction counts 0."""
    if not golds:
        raise ValueError("no questions to score")
    return squad([predicted.get(key, "") for key in golds], [list(mentions) for mentions in golds.values()])


def _answers(golds: Sequence[str]) -> list[str]:
    """Those of which something is left."""
    return [gold for gold in golds if normalised_answer(gold)]


def _option_f1(pairs: Sequence[tuple[bool, bool]]) -> float:
    both = sum(wanted and said for wanted, said in pairs)
    total = sum(wanted + said for wanted, said in pairs)
    return 2 * both / total if total else 0.0
