"""Say in one sentence what this documentation says: the rest of a docstring to its first sentence.

Python's convention (PEP 257) opens a docstring with a summary, so the pairs come free and were written by people.
"""

import re
from pathlib import Path

from trivium.text.examples import Rewrite
from trivium.text.python_docs.splits import Split, unique_docstrings

FEWEST_SOURCE_WORDS = 12
TARGET_WORDS = range(3, 41)

_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\betc)(?<!\bvs)[.!?](?=\s+[^a-z]|\s*$)")


def first_sentences(split: Split, stdlib: Path | None = None) -> list[Rewrite]:
    """Docstrings whose summary is a sentence of 3 to 40 words and is followed by at least 12 words more."""
    examples = []
    for entry in unique_docstrings(split, stdlib):
        summary, rest = split_summary(entry.body)
        if entry.kind != "topic" and len(summary.split()) in TARGET_WORDS and len(rest.split()) >= FEWEST_SOURCE_WORDS:
            examples.append(Rewrite(rest, summary))
    return examples


def split_summary(body: str) -> tuple[str, str]:
    """(first sentence on one line, what follows it); without a full stop the first paragraph is the sentence."""
    paragraph, _, rest = body.partition("\n\n")
    end = _END.search(paragraph)
    cut = end.end() if end else len(paragraph)
    return " ".join(paragraph[:cut].split()), "\n\n".join(filter(None, [paragraph[cut:].strip(), rest.strip()]))
