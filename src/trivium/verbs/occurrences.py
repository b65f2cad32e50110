"""``trivium inspect text --word``: one word wherever it stands in a text, as static vectors or any model see it."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.families.demo_models import DEMO_MODELS
from trivium.families.hub import hub_model
from trivium.text import python_docs
from trivium.text.documents import read_documents
from trivium.tokenizers.alignment import word_spans
from trivium.vectors.vectors import Vectors
from trivium.views.concordance import Concordance, concordance
from trivium.views.occurrences import (
    Word,
    WordView,
    context_of,
    occurrence_list,
    occurrence_map,
    shown_cosines,
    view_of,
)

if TYPE_CHECKING:
    from trivium.verbs.load import LanguageModel

Data = str | PathLike[str] | Sequence[str | PathLike[str]]
_MOST_WORDS = 40_000  # of the lines read, among which neighbours are looked for


def inspect_word(
    model: "str | Path | LanguageModel | Vectors",
    word: str,
    texts: Iterable[str] = (),
    *,
    data: Data | None = None,
    corpus: Literal["python-docs"] | None = None,
    layer: int | None = None,
    neighbours: int = 5,
    most: int = 100,
    ignore_case: bool = False,
    field: str = "text",
    errors: Literal["strict", "replace"] = "strict",
) -> WordView:
    """The first ``most`` occurrences of ``word`` in ``texts``, the files ``data`` or the embedded ``corpus``, each
    with its ``neighbours``: other occurrences, and other words of the lines that were read.

    ``model``: what ``load`` opens, or a file of static vectors. ``layer``: 0 the embeddings; None the last.
    """
    documents = _text(word, texts, data, corpus, field, errors)
    *_, view = word_in_steps(model, word, documents, layer, neighbours, most, ignore_case)
    assert view is not None
    return view


def word_in_steps(
    model: "str | Path | LanguageModel | Vectors", word: str, documents: Iterable[str], layer: int | None,
    neighbours: int, most: int = 100, ignore_case: bool = False,
) -> Iterator[WordView | None]:  # fmt: skip
    """The same of ``documents`` in parts of bounded work, each None but the last."""
    if neighbours < 0:
        raise SettingsError(f"neighbours = {neighbours}: it must not be negative")
    seen = _opened(model)
    found = concordance(documents, word, most, ignore_case)
    if isinstance(seen, Vectors):
        if layer is not None:
            raise SettingsError("static vectors have no layers: leave out --layer")
        yield _static(seen, found, _name(model), neighbours)
    else:
        yield from _contextual(seen, found, _name(model), layer, neighbours)


def _text(
    word: str,
    texts: Iterable[str],
    data: Data | None,
    corpus: Literal["python-docs"] | None,
    field: str,
    errors: Literal["strict", "replace"],
) -> Iterable[str]:
    given = bool(texts) + (data is not None) + (corpus is not None)
    if given > 1:
        raise SettingsError("give the text itself, files with --data or --corpus python-docs: one of them")
    if not given:
        raise SettingsError(
            f"there is no text to look for {word!r} in: give files with --data, sentences, or --corpus python-docs"
        )
    if corpus is not None:
        return python_docs.training_texts(corpus)
    return texts if data is None else read_documents(data, field=field, errors=errors)


def _opened(model: "str | Path | LanguageModel | Vectors") -> "LanguageModel | Vectors":
    """A folder, a GGUF file, a demo model's name and a hub id are a model's; any other file holds vectors."""
    if isinstance(model, str | Path) and not _is_model(Path(model)):
        if not Path(model).exists():
            raise DataError(
                f"there is no model folder and no file of vectors {model}: check the name, or give a demo model "
                f"({', '.join(DEMO_MODELS)})"
            )
        from trivium.vectors.files import load_vectors

        return load_vectors(model)
    if isinstance(model, Vectors):
        return model
    from trivium.verbs.load import load

    return load(model)


def _is_model(path: Path) -> bool:
    if path.exists():
        return path.is_dir() or path.suffix == ".gguf"
    return str(path) in DEMO_MODELS or (hub_model(str(path)) is not None and not path.parent.is_dir())


def _name(model: "str | Path | LanguageModel | Vectors") -> str:
    if isinstance(model, str | Path):
        return str(model)
    return "vectors" if isinstance(model, Vectors) else str(model.directory)


def _static(vectors: Vectors, found: Concordance, name: str, neighbours: int) -> WordView:
    """Every occurrence has the word's one vector; other words are those of the lines that have one."""
    joined = found.word.replace(" ", "_")  # how phrases are spelt in files of vectors
    row = np.asarray(vectors[joined if joined in vectors else found.word], np.float32)
    words: dict[str, Word] = {}
    for line, hit in enumerate(found.hits):
        for start, end in word_spans(hit.text):
            text = hit.text[start:end]
            if text in vectors and _counts(text) and text.casefold() != found.word.casefold():
                words.setdefault(text, Word(text, line, context_of(hit.text, start, end), hit.document))
    chosen = list(words.values())[:_MOST_WORDS]
    others = np.array([vectors[each.text] for each in chosen], np.float32).reshape(len(chosen), vectors.dimensions)
    rows = np.tile(row, (len(found.hits), 1))
    return view_of(found, name, None, rows, range(len(found.hits)), chosen, others, neighbours)


def _contextual(
    loaded: "LanguageModel", found: Concordance, name: str, layer: int | None, neighbours: int
) -> Iterator[WordView | None]:
    from trivium.views.word_states import Reading, read_in_steps

    readings: list[Reading] = []
    for part in read_in_steps(loaded.model, loaded.tokenizer, [(hit.text, hit.span) for hit in found.hits], layer):
        if part is None:
            yield None
        else:
            readings = part
    numbers: dict[str, int] = {}
    lines = [numbers.setdefault(hit.text, len(numbers)) for hit in found.hits]
    rows: list[np.ndarray] = []
    static: list[np.ndarray] = []
    words: list[Word] = []
    others: list[np.ndarray] = []
    seen: set[tuple[int, int]] = set()
    for hit, line, reading in zip(found.hits, lines, readings, strict=True):
        own = [n for n, (start, end) in enumerate(reading.words) if start >= hit.span[0] and end <= hit.span[1]]
        rows.append(reading.states[own].mean(0))
        if reading.static is not None:
            static.append(reading.static[own].mean(0))
        for number, (start, end) in enumerate(reading.words):
            text = hit.text[start:end]
            if (line, start) in seen or not _counts(text) or text.casefold() == found.word.casefold():
                continue
            seen.add((line, start))
            if len(words) < _MOST_WORDS:
                words.append(Word(text, line, context_of(hit.text, start, end), hit.document))
                others.append(reading.states[number])
    width = rows[0].shape[0]
    last = layers_of(loaded) if layer is None else layer
    yield view_of(
        found, name, last, np.stack(rows), lines, words, np.array(others, np.float32).reshape(-1, width), neighbours,
        np.stack(static) if static else None,
    )  # fmt: skip


def layers_of(loaded: "LanguageModel") -> int:
    """The number of the last layer."""
    return loaded.config.encoder_layers or loaded.config.decoder_layers


def _counts(word: str) -> bool:
    return any(letter.isalnum() for letter in word)


def word_page(view: WordView) -> str:
    """The occurrences as one offline HTML page: the map, their cosines, and the list with neighbours."""
    from trivium.lab import Section, Shown, page, table
    from trivium.lab.report import Cell

    cosines = shown_cosines(view)
    shown = len(cosines)
    rows: list[list[Cell]] = [
        [str(n), *(Shown(value, f"{value:.3f}") for value in row)] for n, row in enumerate(cosines.tolist(), 1)
    ]
    head = ["", *(str(n) for n in range(1, shown + 1))]
    caption = f"Cosines between the first {shown} of {len(view.occurrences)} occurrences" if shown < len(
        view.occurrences
    ) else "Cosines between occurrences"  # fmt: skip
    sections = [
        Section("Map", [occurrence_map(view)], kicker="where they lie"),
        Section("Cosines", [table(head, rows, caption=caption)], kicker="how alike they are"),
        Section("Occurrences", [occurrence_list(view)], kicker="what is near each"),
    ]
    return page(f"“{view.word}” in {Path(view.model).name}", sections, subtitle=summary(view))


def summary(view: WordView) -> str:
    """What was found, in a sentence or two."""
    count = len(view.occurrences)
    which = f"the first {count} occurrences" if view.more else f"{count} occurrence{'s' * (count != 1)}"
    kind = "static vectors" if view.static else f"layer {view.layer}"
    said = f"{which} of {view.word!r} in {view.lines:,} line{'s' * (view.lines != 1)}, {kind}"
    if view.mean_cosine is not None:
        said += f"; mean cosine between them {view.mean_cosine:.3f}"
    if view.mean_cosine is not None and view.static_cosines is not None:
        apart = view.static_cosines[~np.eye(len(view.static_cosines), dtype=bool)]
        said += f", before any context {apart.mean():.3f}"
    return said + (f", between different words {view.background:.3f}" if view.background is not None else "")
