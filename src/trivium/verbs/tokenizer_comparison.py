"""``trivium tokenizer compare``: algorithms and vocabulary sizes on one text, measured on a part kept from all."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.randomness import key
from trivium.text.documents import read_documents
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.learning import check_algorithm, learn
from trivium.tokenizers.options import OPTIONS
from trivium.tokenizers.reports import TextReport, Texts, report
from trivium.tokenizers.sampling import even_sample
from trivium.verbs.tokenizer import Counted

HELD_OUT = 10  # every tenth document
MEASURED_BYTES = 1 << 20


@dataclass(frozen=True)
class Compared:
    """One tokenizer of the comparison. ``training_seconds``: None for a saved one."""

    name: str
    algorithm: str
    vocab_size: int
    training_seconds: float | None
    report: TextReport


@dataclass(frozen=True)
class TokenizerComparison:
    """``measured_on``: in words. ``left_out``: what was asked for and cannot be, and why."""

    rows: list[Compared]
    measured_on: str
    left_out: list[str]


def compare_tokenizers(
    files: Sequence[str | Path],
    algorithms: Sequence[str] = (),
    sizes: Sequence[int] = (1000, 4000),
    tokenizers: Sequence[str | Path] = (),
    field: str = "text",
    errors: Literal["strict", "replace"] = "strict",
    *,
    memory: int = MEMORY,
    sample: int | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> TokenizerComparison:
    """Trains each algorithm at each size on the same documents, and measures them and the saved ``tokenizers`` on
    documents that none was trained on, about one in ten, drawn by ``seed``."""
    for name in algorithms:
        check_algorithm(name)
    if any(size < 1 for size in sizes):
        raise SettingsError(f"sizes {', '.join(map(str, sizes))} must be above 0")

    def documents() -> Iterator[str]:
        return read_documents([Path(each) for each in files], field=field, errors=errors)

    saved = [(str(path), Tokenizer.load(path)) for path in tokenizers]
    counted = Counted()
    kept = even_sample(_part(counted.over(documents()), seed, held_out=True), MEASURED_BYTES, seed)
    measured_on = "held-out documents, which none of the new ones learnt from"
    held_out = counted.documents >= HELD_OUT and any(text.strip() for text in kept.texts)
    if not held_out:
        kept = even_sample(documents(), MEASURED_BYTES, seed)
        measured_on = "the text that they learnt from: there are too few documents to keep some out"
    if not any(text.strip() for text in kept.texts):
        raise DataError("there is no text to compare tokenizers on: every file is empty")
    measured = Texts(kept.texts)

    rows, left_out = [], []
    for algorithm in dict.fromkeys(algorithms):
        for size in dict.fromkeys(sizes):
            tell(f"{algorithm}, {size:,} tokens")
            training = _part(documents(), seed, held_out=False) if held_out else documents()
            began = time.perf_counter()
            try:
                made = learn(training, size, OPTIONS[algorithm](), memory=memory, sample=sample, seed=seed)
            except TriviumError as error:  # a size that this algorithm cannot have on this text
                left_out.append(f"{algorithm}, {size:,} tokens: {error}")
                continue
            seconds = time.perf_counter() - began
            if sample is not None:
                tell(f"learnt from a sample of {made.share:.1%} of the text, seed {seed}")
            found = report(made.tokenizer, measured)
            rows.append(Compared(algorithm, algorithm, made.tokenizer.vocab_size, seconds, found))
    for name, tokenizer in saved:
        tell(name)
        rows.append(Compared(name, tokenizer.algorithm, tokenizer.vocab_size, None, report(tokenizer, measured)))
    if not rows:
        raise SettingsError(
            "nothing is left to compare: " + ("; ".join(left_out) or "give --algorithms or --tokenizer")
        )
    return TokenizerComparison(rows, f"{measured.bytes:,} bytes of {measured_on}", left_out)


def _part(documents: Iterable[str], seed: int, held_out: bool) -> Iterator[str]:
    """The documents kept out, or the others: by number, so the same for every tokenizer."""
    first = key(seed, "tokenizer held out") % HELD_OUT
    for number, text in enumerate(documents):
        if (number % HELD_OUT == first) == held_out:
            yield text
