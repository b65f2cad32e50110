"""Evaluation: data sets with their published scores, each with an interval and a signature of how it was computed.

``SUITES`` is the table that the command line names them by, ``GROUPS`` are benchmarks of several, ``PUBLISHED`` the
tables that papers print.
"""

from trivium.evaluation.comparison import Duel, best, duel, ranked
from trivium.evaluation.groups import GROUPS, Group, averages
from trivium.evaluation.published import PUBLISHED, Published
from trivium.evaluation.resampling import Score
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Baseline, Item, LabelledSuite, LanguageSuite, Measured, Reading, Result, Run
from trivium.evaluation.tables import EMBEDDED, LABELLED, LANGUAGE, SUITES

__all__ = [
    "EMBEDDED",
    "GROUPS",
    "LABELLED",
    "LANGUAGE",
    "PUBLISHED",
    "SUITES",
    "Baseline",
    "Duel",
    "Group",
    "Item",
    "LabelledSuite",
    "LanguageSuite",
    "Measured",
    "Published",
    "Reading",
    "Result",
    "Run",
    "Score",
    "Scorer",
    "averages",
    "best",
    "duel",
    "ranked",
]
