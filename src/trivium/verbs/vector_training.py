"""``trivium vectors train``: text to vectors of words, by word2vec, GloVe or one-hot, in a file of any format."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from trivium.errors import SettingsError
from trivium.text import python_docs
from trivium.text.decoding import Errors
from trivium.text.documents import read_documents
from trivium.vectors.blocks import Format
from trivium.vectors.files import save_vectors
from trivium.vectors.glove import GloveSettings
from trivium.vectors.onehot import one_hot
from trivium.vectors.progress import Progress, Report
from trivium.vectors.saving import check_target
from trivium.vectors.vectors import Vectors
from trivium.vectors.vocabulary import VocabularySettings, prepare
from trivium.vectors.word2vec import Word2VecSettings

Settings = Word2VecSettings | GloveSettings | VocabularySettings
_MARKS = ".,;:!?\"'()[]"


@dataclass(frozen=True)
class TrainedVectors:
    """What ``train_vectors`` made. ``rate`` counts ``unit`` (words; for GloVe pairs) a second of the training alone."""

    path: Path
    algorithm: str
    format: Format
    words: int
    dimensions: int
    tokens: int  # of running text that were kept
    bytes: int
    fingerprint: str
    reading_seconds: float
    training_seconds: float
    unit: str
    rate: float | None
    punctuated: tuple[str, ...]  # frequent words that carry punctuation


def train_vectors(
    files: Sequence[str | Path],
    out: str | Path,
    settings: Settings | None = None,
    *,
    corpus: Literal["python-docs"] | None = None,
    documents: Iterable[str] | None = None,
    field: str = "text",
    errors: Errors = "strict",
    format: Format | None = None,
    progress: Report | None = None,
) -> TrainedVectors:
    """Learns vectors from files, from the embedded ``corpus`` or from ``documents``, and writes them to ``out``.

    The kind of ``settings`` names the method: ``Word2VecSettings`` (skip-gram, CBOW), ``GloveSettings``, or
    ``VocabularySettings`` alone for one-hot vectors. The end of ``out`` tells the file's format, or ``format`` does.
    """
    path = Path(out)
    if path.exists():
        raise SettingsError(f"{path} exists: choose another --out, or remove it first")
    kind = check_target(path, format)
    settings = settings or Word2VecSettings()
    text = _text(files, corpus, documents, field, errors)
    begun = time.perf_counter()
    made = prepare(text, settings if isinstance(settings, VocabularySettings) else settings.vocabulary)
    read = time.perf_counter()
    last: list[Progress] = []

    def report(news: Progress) -> None:
        last[:] = [news]
        if progress is not None:
            progress(news)

    algorithm: str
    if isinstance(settings, Word2VecSettings):
        from trivium.vectors import word2vec

        algorithm, vectors = settings.algorithm, word2vec.train_on(made, settings, progress=report)
    elif isinstance(settings, GloveSettings):
        from trivium.vectors import glove

        algorithm, vectors = "glove", glove.train_on(made, settings, progress=report)
    else:
        algorithm, vectors = "onehot", Vectors(made.words, one_hot(made.words).matrix, made.counts)
    trained = time.perf_counter()
    about = {"algorithm": algorithm, "settings": json.dumps(asdict(settings)), "tokens": str(made.tokens)}
    saved = save_vectors(vectors, path, kind, about=about)
    return TrainedVectors(
        path=path,
        algorithm=algorithm,
        format=kind,
        words=len(vectors),
        dimensions=vectors.dimensions,
        tokens=made.tokens,
        bytes=saved.bytes,
        fingerprint=saved.fingerprint,
        reading_seconds=read - begun,
        training_seconds=trained - read,
        unit=last[0].unit if last else "words",
        rate=last[0].rate if last else None,
        punctuated=_punctuated(vectors.words[:1000]),
    )


def _text(
    files: Sequence[str | Path],
    corpus: Literal["python-docs"] | None,
    documents: Iterable[str] | None,
    field: str,
    errors: Errors,
) -> Callable[[], Iterable[str]] | Iterable[str]:
    if bool(files) + (corpus is not None) + (documents is not None) != 1:
        raise SettingsError("give either files with text or --corpus python-docs")
    if documents is not None:
        return documents
    if corpus is None:
        return read_documents([Path(each) for each in files], field=field, errors=errors)
    return python_docs.training_texts(corpus)


def _punctuated(words: Sequence[str]) -> tuple[str, ...]:
    """Words such as "sea," among the frequent ones, which are two words' worth of rows for one word."""
    known = set(words)
    return tuple(word for word in words if (bare := word.strip(_MARKS)) != word and bare in known)
