"""``trivium clean``: text by the rules of C4, what each rule took, and how far the rest goes as tokens of a budget."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trivium.durable import replace_file
from trivium.errors import SettingsError
from trivium.text.cleaning import Cleaner, Cleaning, Report
from trivium.text.decoding import Errors
from trivium.text.documents import Paths, named_documents
from trivium.tokenizers import Tokenizer

_BATCH = 1 << 20  # characters tokenised at a time


@dataclass(frozen=True)
class Cleaned:
    """``tokens``: of what is left, a closing token a page included; ``epochs``: how often ``budget`` tokens see it."""

    report: Report
    out: Path | None
    tokens: int | None
    budget: int | None
    epochs: float | None


def clean_text(
    files: Paths,
    out: str | Path | None = None,
    settings: Cleaning = Cleaning(),  # noqa: B008 (frozen)
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    budget: int | None = None,
    field: str = "text",
    errors: Errors = "strict",
) -> Cleaned:
    """Streams the files once. ``out``: a JSONL file of what is left (``text`` and ``file``); without one the rules are
    only counted. ``budget``, in tokens, needs a ``tokenizer`` to count with."""
    if budget is not None and (tokenizer is None or budget < 1):
        raise SettingsError(
            f"a budget of {budget} tokens: it must be above 0" if tokenizer is not None
            else "a budget is in tokens: name the tokenizer that cuts them, with --tokenizer"
        )  # fmt: skip
    encoder = tokenizer if isinstance(tokenizer, Tokenizer) or tokenizer is None else Tokenizer.load(tokenizer)
    path = None if out is None else Path(out)
    if path is not None and path.suffix not in (".jsonl", ".ndjson"):
        raise SettingsError(f"{path}: what is left is written as JSON lines: give a name that ends in .jsonl")
    cleaner = Cleaner(settings)
    counter = _Counter(encoder)
    kept = counter.over(cleaner.of(named_documents(files, field=field, errors=errors)))
    if path is not None:
        replace_file(path, (json.dumps({"text": t, "file": n}, ensure_ascii=False).encode() + b"\n" for n, t in kept))
    else:
        for _ in kept:
            pass
    tokens = counter.tokens if encoder is not None else None
    epochs = budget / tokens if budget is not None and tokens else None
    return Cleaned(cleaner.report, path, tokens, budget, epochs)


class _Counter:
    """Counts tokens of pages that pass."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self.tokenizer = tokenizer
        self.tokens = 0

    def over(self, named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        waiting: list[str] = []
        held = 0
        for name, text in named:
            yield name, text
            if self.tokenizer is None:
                continue
            waiting.append(text)
            held += len(text)
            if held >= _BATCH:
                self._count(waiting)
                waiting, held = [], 0
        self._count(waiting)

    def _count(self, texts: list[str]) -> None:
        if self.tokenizer is not None and texts:
            self.tokens += sum(map(len, self.tokenizer.encode_batch(texts))) + len(texts)
