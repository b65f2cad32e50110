"""Published tables to stand beside one's own figures, each with the version of the paper that it is from.

- ``gpt2-zero-shot``: Radford et al. 2019, table 3. enwik8 is in bits a byte.
- ``t5-glue``, ``t5-superglue``, ``t5-squad``, ``t5-texts``: Raffel et al., table 14, test sets (SQuAD and CNN/DailyMail
  as in the paper). The paper has two versions whose rows of T5-11B differ, on GLUE, SQuAD and SuperGLUE's single tasks:
  ``v1`` (October 2019) and ``v3`` (2020, JMLR). They are never mixed: each row says which it is of, and a row without a
  version is the same in both. Of SuperGLUE's ``v3`` there is none.
- ``t5``: these four as one table.

The row "previous best" is that of the same table: the best of other single systems for each column.

Numbers as they are printed: shares times 100.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """``rows``: by name the columns' figures, None where the paper has none. ``lower``: columns in which lower is
    better."""

    source: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    lower: frozenset[str] = frozenset()

    def row(self, name: str) -> dict[str, float | None]:
        """By column."""
        return dict(zip(self.columns, self.rows[name], strict=True))


T5 = "Raffel et al. 2019, table 14"
PREVIOUS = "previous best"

PUBLISHED: dict[str, Published] = {
    "gpt2-zero-shot": Published(
        "Radford et al. 2019, table 3",
        (
            "LAMBADA PPL", "LAMBADA ACC", "CBT-CN ACC", "CBT-NE ACC", "WikiText2 PPL", "PTB PPL", "enwik8 BPB",
            "text8 BPC", "WikiText103 PPL", "1BW PPL",
        ),
        {
            "state of the art then": (99.8, 59.23, 85.7, 82.3, 39.14, 46.54, 0.99, 1.08, 18.3, 21.8),
            "GPT-2 117M": (35.13, 45.99, 87.65, 83.4, 29.41, 65.85, 1.16, 1.17, 37.50, 75.20),
            "GPT-2 345M": (15.60, 55.48, 92.35, 87.1, 22.76, 47.33, 1.01, 1.06, 26.37, 55.72),
            "GPT-2 762M": (10.87, 60.12, 93.45, 88.0, 19.93, 40.31, 0.97, 1.02, 22.05, 44.575),
            "GPT-2 1542M": (8.63, 63.24, 93.30, 89.05, 18.34, 35.76, 0.93, 0.98, 17.48, 42.16),
        },
        frozenset(("LAMBADA PPL", "WikiText2 PPL", "PTB PPL", "enwik8 BPB", "text8 BPC", "WikiText103 PPL", "1BW PPL")),
    ),
    "t5-glue": Published(
        T5,
        (
            "average", "CoLA", "SST-2", "MRPC F1", "MRPC Acc", "STS-B Pearson", "STS-B Spearman", "QQP F1", "QQP Acc",
            "MNLI-m", "MNLI-mm", "QNLI", "RTE", "WNLI",
        ),
        {
            PREVIOUS: (89.4, 69.2, 97.1, 93.6, 91.5, 92.7, 92.3, 74.8, 90.7, 91.3, 91.0, 99.2, 89.2, 91.8),
            "T5-Small": (77.4, 41.0, 91.8, 89.7, 86.6, 85.6, 85.0, 70.0, 88.0, 82.4, 82.3, 90.3, 69.9, 69.2),
            "T5-Base": (82.7, 51.1, 95.2, 90.7, 87.5, 89.4, 88.6, 72.6, 89.4, 87.1, 86.2, 93.7, 80.1, 78.8),
            "T5-Large": (86.4, 61.2, 96.3, 92.4, 89.9, 89.9, 89.2, 73.9, 89.9, 89.9, 89.6, 94.8, 87.2, 85.6),
            "T5-3B": (88.5, 67.1, 97.4, 92.5, 90.0, 90.6, 89.8, 74.4, 89.7, 91.4, 91.2, 96.3, 91.1, 89.7),
            "T5-11B (v1)": (89.7, 70.8, 97.1, 91.9, 89.2, 92.5, 92.1, 74.6, 90.4, 92.0, 91.7, 96.7, 92.5, 93.2),
            "T5-11B (v3)": (90.3, 71.6, 97.5, 92.8, 90.4, 93.1, 92.8, 75.1, 90.6, 92.2, 91.9, 96.9, 92.8, 94.5),
        },
    ),
    "t5-superglue": Published(
        T5,
        (
            "average", "BoolQ", "CB F1", "CB Acc", "COPA", "MultiRC F1a", "MultiRC EM", "ReCoRD F1", "ReCoRD EM", "RTE",
            "WiC", "WSC",
        ),
        {
            PREVIOUS: (84.6, 87.1, 90.5, 95.2, 90.6, 84.4, 52.5, 90.6, 90.0, 88.2, 69.9, 89.0),
            "T5-Small": (63.3, 76.4, 56.9, 81.6, 46.0, 69.3, 26.3, 56.3, 55.4, 73.3, 66.9, 70.5),
            "T5-Base": (76.2, 81.4, 86.2, 94.0, 71.2, 79.7, 43.1, 75.0, 74.2, 81.5, 68.3, 80.8),
            "T5-Large": (82.3, 85.4, 91.6, 94.8, 83.4, 83.3, 50.7, 86.8, 85.9, 87.8, 69.3, 86.3),
            "T5-3B": (86.4, 89.9, 90.3, 94.4, 92.0, 86.8, 58.3, 91.2, 90.4, 90.7, 72.1, 90.4),
            "T5-11B (v1)": (88.9, 91.0, 93.0, 96.4, 94.8, 88.2, 62.3, 93.3, 92.5, 92.5, 76.1, 93.8),
        },
    ),
    "t5-squad": Published(
        T5,
        ("SQuAD EM", "SQuAD F1"),
        {
            PREVIOUS: (88.95, 94.52),
            "T5-Small": (79.10, 87.24),
            "T5-Base": (85.44, 92.08),
            "T5-Large": (86.66, 93.79),
            "T5-3B": (88.53, 94.95),
            "T5-11B (v1)": (90.06, 95.64),
            "T5-11B (v3)": (None, 96.22),
        },
    ),
    "t5-texts": Published(
        T5,
        ("WMT EnDe BLEU", "WMT EnFr BLEU", "WMT EnRo BLEU", "CNN/DM ROUGE-1", "CNN/DM ROUGE-2", "CNN/DM ROUGE-L"),
        {
            PREVIOUS: (33.8, 43.8, 38.5, 43.47, 20.30, 40.63),
            "T5-Small": (26.7, 36.0, 26.8, 41.12, 19.56, 38.35),
            "T5-Base": (30.9, 41.2, 28.0, 42.05, 20.34, 39.40),
            "T5-Large": (32.0, 41.5, 28.1, 42.50, 20.68, 39.75),
            "T5-3B": (31.8, 42.6, 28.2, 42.72, 21.02, 39.94),
            "T5-11B": (32.1, 43.4, 28.1, 43.52, 21.55, 40.69),
        },
    ),
}


def _side_by_side(prefixes: Mapping[str, str]) -> Published:
    """Several tables as one, ``prefixes`` before their columns. A row without a version stands for each version; a row
    that a table has not is empty there."""
    tables = [PUBLISHED[name] for name in prefixes]
    names = dict.fromkeys(name for table in tables for name in table.rows)
    whole = [name for name in names if not any(other.startswith(f"{name} (") for other in names)]
    rows = {}
    for name in whole:
        held = [table.rows.get(name, table.rows.get(name.partition(" (")[0])) for table in tables]
        rows[name] = tuple(
            value
            for table, row in zip(tables, held, strict=True)
            for value in (row if row is not None else [None] * len(table.columns))
        )
    columns = [prefix + each for name, prefix in prefixes.items() for each in PUBLISHED[name].columns]
    return Published(T5, tuple(columns), rows)


PUBLISHED["t5"] = _side_by_side({"t5-glue": "GLUE ", "t5-superglue": "SuperGLUE ", "t5-squad": "", "t5-texts": ""})
