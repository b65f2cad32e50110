"""The published metrics of GLUE's and SuperGLUE's tasks, of labels and answers that were written as text.

An output that is no label is wrong. Where F1 asks which wrong label it is, it is the other one, as in T5's code.
"""

import math
from collections.abc import Sequence

from trivium.metrics import binary_f1, classification, multirc, regression, squad
from trivium.tasks.text_scores import Scores, TextMetric, references
from trivium.text.examples import Rewrite

TRUTH = ("False", "True")
ACCEPTABLE = ("unacceptable", "acceptable")
COMMITTED = ("entailment", "contradiction", "neutral")

Texts = Sequence[str]
Examples = Sequence[Rewrite]


def accuracy(said: Texts, examples: Examples) -> Scores:
    right = [text == example.target for text, example in zip(said, examples, strict=True)]
    return {"accuracy": sum(right) / len(right)}


def acceptability(said: Texts, examples: Examples) -> Scores:
    """CoLA: Matthews correlation; outputs that are no label are one more class."""
    known = [text if text in ACCEPTABLE else "" for text in said]
    found = classification([example.target for example in examples], known)
    return {"matthews": found["matthews"], "accuracy": found["accuracy"]}


def paraphrases(words: tuple[str, ...]) -> TextMetric:
    """MRPC and QQP: F1 of the positive label, and accuracy."""

    def score(said: Texts, examples: Examples) -> Scores:
        gold = [example.target for example in examples]
        return {"f1": binary_f1(gold, _one_of(words, said, gold), words[1])["f1"], **accuracy(said, examples)}

    return TextMetric(score, "f1")


def commitments(said: Texts, examples: Examples) -> Scores:
    """CB: the mean F1 of its three labels, and accuracy."""
    gold = [example.target for example in examples]
    each = [binary_f1(gold, said, word)["f1"] for word in COMMITTED]
    return {"macro_f1": sum(each) / len(each), **accuracy(said, examples)}


def options(said: Texts, examples: Examples) -> Scores:
    """MultiRC: F1 over all options, and the share of questions with every option right."""
    gold = [example.target for example in examples]
    true = TRUTH[1]
    found = multirc(
        [example.key for example in examples],
        [wanted == true for wanted in gold],
        [text == true for text in _one_of(TRUTH, said, gold)],
    )
    return {"f1a": found["f1a"], "exact": found["exact"]}


def similarities(said: Texts, examples: Examples) -> Scores:
    """STS-B: correlations with the true scores, unrounded; what is no number is -1, as in T5's code."""
    found = regression([float(example.key) for example in examples], [number_of(text) for text in said])
    return {name: found[name] for name in ("pearson", "spearman", "correlation")}


def answers(said: Texts, examples: Examples) -> Scores:
    """SQuAD and ReCoRD: exact match and F1 of the best answer."""
    return squad(said, [references(example) for example in examples])


def number_of(text: str) -> float:
    """A number that is written, else -1."""
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if math.isfinite(value) else -1.0


def _one_of(words: Sequence[str], said: Texts, gold: Sequence[str]) -> list[str]:
    """What is said, or where it is no label the wrong one of two."""
    other = {words[0]: words[1], words[1]: words[0]}
    return [text if text in words else other[wanted] for text, wanted in zip(said, gold, strict=True)]
