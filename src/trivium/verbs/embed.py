"""``trivium embed``: a vector for each text, streamed: what a search, a clustering or a classifier begins with."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import TextIOBase
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
from tokenizers.normalizers import Lowercase

from trivium.errors import DataError, SettingsError
from trivium.families.sentence_modules import SentenceModules, SentencePooling, read_modules
from trivium.tasks.embeddings import Embeddings, embed_texts
from trivium.text.fields import Columns, text_of
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
    data: str | Path | TextIOBase | Iterable[str],
    *,
    pooling: SentencePooling | None = None,
    normalise: bool | None = None,
    length: int | None = None,
    columns: Columns | None = None,
    precision: Precision = "float32",
    device: str = "auto",
) -> Iterator[Embedded]:
    """Vectors in the order of ``data``: a path to a table (.jsonl, .csv, .tsv) with a column ``text``, or another that
    ``columns`` names, or to a text with one example a line; an open stream of such lines; or texts themselves.

    ``pooling``: "mean", "cls" (the first token) or "last"; ``normalise``: to length 1; ``length``: tokens of a text
    that are read. What is not given is as the model's folder says (``modules.json``), else the mean as it is.
    """
    loaded = load(model, precision=precision, device=device)
    known = dict(columns or {})
    column = known.pop("text", "text")
    if known:
        raise SettingsError(f"embed reads no column {next(iter(known))!r}: it reads text")
    if isinstance(data, str | Path):
        texts = (text_of(place, row, column) for place, row in file_rows(Path(data)))
    elif isinstance(data, TextIOBase):
        texts = (text_of(place, row, column) for place, row in stream_rows(data))
    else:
        texts = (text for text in data)
    return _streamed(loaded, texts, pooling, normalise, length)


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
    way = way_of(model, pooling, normalise, length)
    written = as_read(way, texts)
    return embed_texts(model.model, model.tokenizer, written, way.pooling, way.normalise, way.length)


def way_of(
    model: LanguageModel, pooling: SentencePooling | None = None, normalise: bool | None = None,
    length: int | None = None,
) -> SentenceModules:  # fmt: skip
    """How vectors are made: as the model's folder says, but for what is given."""
    if pooling is not None and pooling not in get_args(SentencePooling):
        raise SettingsError(f"pooling is {pooling!r}: choose {', '.join(get_args(SentencePooling))}")
    own = read_modules(model.directory, model.config.width)
    return replace(
        own,
        pooling=own.pooling if pooling is None else pooling,
        normalise=own.normalise if normalise is None else normalise,
        length=own.length if length is None else length,
    )


def as_read(way: SentenceModules, texts: Sequence[str]) -> list[str]:
    """Texts with what stands before each of them, in lower case where the model reads that alone."""
    write = Lowercase().normalize_str if way.lowercase else str
    return [write(way.prompt + text) for text in texts] if way.lowercase or way.prompt else list(texts)


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
