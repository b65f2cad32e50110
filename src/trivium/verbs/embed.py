"""``trivium embed``: a vector for each text, streamed: what a search, a clustering or a classifier begins with."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
from tokenizers.normalizers import Lowercase

from trivium.errors import DataError, SettingsError
from trivium.families.sentence_modules import SentencePooling, read_modules
from trivium.tasks.embeddings import Embeddings, embed_texts
from trivium.text.fields import text_of
from trivium.verbs.examples import file_rows, stream_rows
from trivium.verbs.load import LanguageModel, Precision, load

CHUNK = 1024  # texts read before the first is answered: enough that similar lengths meet


@dataclass(frozen=True, eq=False)
class Embedded:
    """``vector`` (W,) float32; ``truncated``: the text was longer than what the model reads of one."""

    text: str
    vector: np.ndarray
    truncated: bool = False

    def row(self) -> dict[str, object]:
        """As a line of JSON: numbers in the fewest digits that give the same float32 back."""
        return {"text": self.text, "embedding": [float(str(number)) for number in self.vector]}


def embed(
    model: str | Path | LanguageModel,
    data: str | Path | Iterable[str],
    *,
    pooling: SentencePooling | None = None,
    normalise: bool | None = None,
    length: int | None = None,
    column: str = "text",
    precision: Precision = "float32",
    device: str = "auto",
) -> Iterator[Embedded]:
    """Vectors in the order of ``data``: a path to .jsonl, .csv or .tsv (the texts in ``column``) or to a text with one
    example a line; or texts themselves.

    ``pooling``: "mean", "cls" (the first token) or "last"; ``normalise``: to length 1; ``length``: tokens of a text
    that are read. What is not given is as the model's folder says (``modules.json``), else the mean as it is.
    """
    loaded = load(model, precision=precision, device=device)
    if isinstance(data, str | Path):
        data = (text_of(place, row, column) for place, row in file_rows(Path(data)))
    return _streamed(loaded, iter(data), pooling, normalise, length)


def embedded(
    model: LanguageModel,
    texts: Sequence[str],
    pooling: SentencePooling | None = None,
    normalise: bool | None = None,
    length: int | None = None,
) -> Embeddings:
    """All at once; lengths are then sorted over all texts."""
    if isinstance(texts, str):
        raise SettingsError("embed takes a list of texts, and this is one: put it in a list")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise DataError(f"text {number} is {type(text).__name__}, not a string")
    if pooling is not None and pooling not in get_args(SentencePooling):
        raise SettingsError(f"pooling is {pooling!r}: choose {', '.join(get_args(SentencePooling))}")
    own = read_modules(model.directory, model.config.width)
    if own.prompt or own.lowercase:
        write = Lowercase().normalize_str if own.lowercase else str
        texts = [write(own.prompt + text) for text in texts]
    return embed_texts(
        model.model,
        model.tokenizer,
        texts,
        own.pooling if pooling is None else pooling,
        own.normalise if normalise is None else normalise,
        own.length if length is None else length,
    )


def read_lines(stream: Iterable[str], column: str = "text") -> Iterator[str]:
    """The texts of an open stream, such as standard input: JSON objects or plain texts, one a line."""
    for place, row in stream_rows(stream):
        yield text_of(place, row, column)


def _streamed(
    model: LanguageModel,
    texts: Iterator[str],
    pooling: SentencePooling | None,
    normalise: bool | None,
    length: int | None,
) -> Iterator[Embedded]:
    while chunk := list(islice(texts, CHUNK)):
        made = embedded(model, chunk, pooling, normalise, length)
        for text, vector, truncated in zip(chunk, made.vectors, made.truncated, strict=True):
            yield Embedded(text, vector, bool(truncated))
