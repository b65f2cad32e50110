"""Which chapter of the library does this docstring belong to? Hard enough that knowing the language helps.

Names give the answer away, so they are masked: every word that is a package or module of the standard library, and
every dotted, snake_case and camelCase identifier, becomes ``X``. The signature line is left out of the example for
the same reason: it is made of names.
"""

import re
import sys
from functools import lru_cache
from pathlib import Path

from trivium.text.examples import Labelled
from trivium.text.python_docs.corpus import docstrings
from trivium.text.python_docs.splits import CHAPTERS, SPLITS, Split, place_of, spaced, unique_docstrings

MASK = "X"
FEWEST_WORDS = 6
LABELS = tuple(CHAPTERS)

_IDENTIFIER = re.compile(
    r"""(?<!\w)(?:
        (?!(?:e\.g|i\.e)\b)[^\W\d]\w*(?:\.[^\W\d]\w*)+  # dotted: os.path, Path.joinpath
      | \w*_\w*                                           # snake_case, _private, __dunder__
      | \w*[a-z0-9][A-Z]\w*                               # camelCase, CamelCase, IPv4Address
      | \w*[A-Z]{2}[a-z]{2}\w*                            # HTTPServer, but not URLs
    )(?!\w)""",
    re.VERBOSE,
)
_WORD = re.compile(r"\w+")


def chapters(split: Split, stdlib: Path | None = None) -> list[Labelled]:
    """Masked docstrings of the split's packages with their chapter; no two alike, none of another split."""
    return list(_chapters(split, stdlib))


@lru_cache(maxsize=4)
def _chapters(split: Split, stdlib: Path | None) -> tuple[Labelled, ...]:
    words = _module_names(stdlib)
    seen = set[str]()
    for earlier in SPLITS[: SPLITS.index(split)]:
        seen.update(spaced(_masked(entry.body, words)) for entry in unique_docstrings(earlier, stdlib))
    examples = []
    for entry in unique_docstrings(split, stdlib):
        (chapter, _), text = place_of(entry.module), _masked(entry.body, words)
        if chapter is not None and spaced(text) not in seen and len(_words(text)) >= FEWEST_WORDS:
            seen.add(spaced(text))
            examples.append(Labelled(text, chapter))
    return tuple(examples)


def mask(text: str, stdlib: Path | None = None) -> str:
    """The text with module names, in any case, and identifiers replaced by ``X``; line breaks stay."""
    return _masked(text, _module_names(stdlib))


def _words(text: str) -> list[str]:
    """What is left to go by: runs of letters other than the mask."""
    return [word for word in re.findall(r"[^\W\d_]+", text) if word != MASK]


@lru_cache(maxsize=4)
def _module_names(stdlib: Path | None) -> frozenset[str]:
    """Top-level names, lower case: of the source and of compiled modules; ``this`` stays a word."""
    read = {entry.package for entry in docstrings(stdlib)}
    return frozenset(name.lower() for name in read | sys.stdlib_module_names) - {"this"}


def _masked(text: str, module_names: frozenset[str]) -> str:
    text = _IDENTIFIER.sub(MASK, text)
    return _WORD.sub(lambda word: MASK if word[0].lower() in module_names else word[0], text)
