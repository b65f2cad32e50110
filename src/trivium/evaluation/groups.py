"""Suites of suites and their averages as published: GLUE, SuperGLUE, T5's table of all, GPT-2's zero-shot table.

GLUE (Wang et al. 2018, and T5): the scores of a task with two are averaged first; MNLI's matched and mismatched halves
count as one task of nine; AX is not in the average. WNLI is, as on the leaderboard and for T5; BERT's paper leaves it
out, so that average is given as well. SuperGLUE: eight tasks, each the mean of its scores.

An interval of an average takes the tasks' errors as independent: its half-width is the root of the sum of their squares
over the number of tasks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trivium.evaluation.resampling import Score
from trivium.evaluation.suite import Result
from trivium.evaluation.tables import GLUE, SUPERGLUE


@dataclass(frozen=True)
class Column:
    """One column of the published table: a suite and one of its scores. ``scale``: from ours to the printed number."""

    name: str
    suite: str
    score: str
    scale: float = 100.0
    lower: bool = False  # whether lower is better


@dataclass(frozen=True)
class Group:
    """``averages``: by name the tasks of each, every task being one or several suites that count as one."""

    suites: tuple[str, ...]
    columns: tuple[Column, ...]
    averages: Mapping[str, tuple[tuple[str, ...], ...]]
    published: str  # the table in ``published.py``


NINE = (("cola",), ("sst2",), ("mrpc",), ("stsb",), ("qqp",), ("mnli", "mnli-mm"), ("qnli",), ("rte",), ("wnli",))
EIGHT = tuple((name,) for name in SUPERGLUE)

GLUE_COLUMNS = (
    Column("CoLA", "cola", "matthews"),
    Column("SST-2", "sst2", "accuracy"),
    Column("MRPC F1", "mrpc", "f1"),
    Column("MRPC Acc", "mrpc", "accuracy"),
    Column("STS-B Pearson", "stsb", "pearson"),
    Column("STS-B Spearman", "stsb", "spearman"),
    Column("QQP F1", "qqp", "f1"),
    Column("QQP Acc", "qqp", "accuracy"),
    Column("MNLI-m", "mnli", "accuracy"),
    Column("MNLI-mm", "mnli-mm", "accuracy"),
    Column("QNLI", "qnli", "accuracy"),
    Column("RTE", "rte", "accuracy"),
    Column("WNLI", "wnli", "accuracy"),
)
SUPERGLUE_COLUMNS = (
    Column("BoolQ", "boolq", "accuracy"),
    Column("CB F1", "cb", "macro_f1"),
    Column("CB Acc", "cb", "accuracy"),
    Column("COPA", "copa", "accuracy"),
    Column("MultiRC F1a", "multirc", "f1a"),
    Column("MultiRC EM", "multirc", "exact"),
    Column("ReCoRD F1", "record", "f1"),
    Column("ReCoRD EM", "record", "exact"),
    Column("RTE", "superglue-rte", "accuracy"),
    Column("WiC", "wic", "accuracy"),
    Column("WSC", "wsc", "accuracy"),
)
ZERO_SHOT_COLUMNS = (
    Column("LAMBADA PPL", "lambada", "word_perplexity", 1, lower=True),
    Column("LAMBADA ACC", "lambada", "accuracy"),
    Column("CBT-CN ACC", "cbt-cn", "accuracy"),
    Column("CBT-NE ACC", "cbt-ne", "accuracy"),
    Column("WikiText2 PPL", "wikitext2", "word_perplexity", 1, lower=True),
    Column("PTB PPL", "ptb", "word_perplexity", 1, lower=True),
    Column("enwik8 BPB", "enwik8", "bits_per_byte", 1, lower=True),
    Column("text8 BPC", "text8", "bits_per_character", 1, lower=True),
    Column("WikiText103 PPL", "wikitext103", "word_perplexity", 1, lower=True),
    Column("1BW PPL", "1bw", "word_perplexity", 1, lower=True),
)
TEXT_COLUMNS = (
    Column("SQuAD EM", "squad1", "exact"),
    Column("SQuAD F1", "squad1", "f1"),
    Column("WMT EnDe BLEU", "wmt-ende", "bleu", 1),
    Column("WMT EnFr BLEU", "wmt-enfr", "bleu", 1),
    Column("WMT EnRo BLEU", "wmt-enro", "bleu", 1),
    Column("CNN/DM ROUGE-1", "cnn-dailymail", "rouge1"),
    Column("CNN/DM ROUGE-2", "cnn-dailymail", "rouge2"),
    Column("CNN/DM ROUGE-L", "cnn-dailymail", "rougeLsum"),
)
T5_COLUMNS = (
    *(replace(column, name=f"GLUE {column.name}") for column in GLUE_COLUMNS),
    *(replace(column, name=f"SuperGLUE {column.name}") for column in SUPERGLUE_COLUMNS),
    *TEXT_COLUMNS,
)

GROUPS: dict[str, Group] = {
    "glue": Group(tuple(GLUE), GLUE_COLUMNS, {"average": NINE, "average_without_wnli": NINE[:-1]}, "t5-glue"),
    "superglue": Group(tuple(SUPERGLUE), SUPERGLUE_COLUMNS, {"average": EIGHT}, "t5-superglue"),
    "t5": Group(
        tuple(dict.fromkeys(column.suite for column in T5_COLUMNS)), T5_COLUMNS,
        {"GLUE average": NINE, "SuperGLUE average": EIGHT}, "t5",
    ),
    "gpt2-zero-shot": Group(
        tuple(dict.fromkeys(column.suite for column in ZERO_SHOT_COLUMNS)), ZERO_SHOT_COLUMNS, {}, "gpt2-zero-shot"
    ),
}


def averages(group: Group, results: Sequence[Result]) -> tuple[dict[str, Score], tuple[str, ...]]:
    """The averages of which every task is there, and a note on each of the others."""
    by_suite = {result.suite: result.headline for result in results}
    found, notes = {}, []
    for name, tasks in group.averages.items():
        missing = [suite for task in tasks for suite in task if suite not in by_suite]
        if missing:
            notes.append(f"no {name}: it needs {', '.join(missing)} too")
            continue
        found[name] = mean([mean([by_suite[suite] for suite in task]) for task in tasks])
    return found, tuple(notes)


def mean(scores: Sequence[Score]) -> Score:
    """Of scores with independent errors."""
    value = sum(score.value for score in scores) / len(scores)
    below, above = 0.0, 0.0
    for score in scores:
        if score.low is None or score.high is None:
            return Score(value, None, None, "independent")
        below += (score.value - score.low) ** 2
        above += (score.high - score.value) ** 2
    return Score(value, value - math.sqrt(below) / len(scores), value + math.sqrt(above) / len(scores), "independent")


def row(group: Group, results: Sequence[Result]) -> dict[str, float | None]:
    """The published table's columns as this model fills them; None where a suite was not run."""
    scores = {result.suite: result.scores for result in results}
    found: dict[str, float | None] = {}
    for column in group.columns:
        held = scores.get(column.suite, {})
        found[column.name] = held[column.score].value * column.scale if column.score in held else None
    return found
