"""``trivium vectors map``: words as points on an offline page, with their cosines where they are few."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivium.durable import check_file, replace_file
from trivium.text.decoding import Errors
from trivium.vectors.projection import project
from trivium.vectors.similarity import cosine_table
from trivium.verbs.vectors import Given, open_vectors

_TABLE = 12  # words whose cosines are written out


@dataclass(frozen=True)
class WordMap:
    """A map that was drawn: where each word is, how much of the variance the axes show, and the page."""

    path: Path | None
    words: tuple[str, ...]
    points: list[list[float]]
    shares: tuple[float, float]


def map_words(
    vectors: Given,
    groups: Sequence[Sequence[str]] = (),
    out: str | Path | None = None,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    count: int = 100,
    limit: int | None = None,
    errors: Errors = "strict",
) -> WordMap:
    """The principal components of the words in ``groups``, one colour each, or of the ``count`` most frequent words.

    ``pairs`` of words are joined by lines, and put on the map where no group holds them. ``out``: an HTML file.
    """
    from trivium.lab import Section, page, table
    from trivium.views.vector_map import vector_map

    if out is not None:
        check_file(Path(out))
    opened = open_vectors(vectors, limit, errors)
    named = [word for group in groups for word in group] + [word for pair in pairs for word in pair]
    drawn = project(opened, named or None, count)
    if out is not None:
        picture = vector_map(drawn, groups=groups, pairs=pairs)
        sections = [Section("The map", [picture], kicker="principal components")]
        if len(drawn.words) <= _TABLE:
            cosines = cosine_table(opened, drawn.words)
            rows = [
                [word, *(f"{value:.3f}" for value in row)]
                for word, row in zip(drawn.words, cosines.tolist(), strict=True)
            ]
            sections.append(Section("Cosines", [table(["", *drawn.words], rows)], kicker="every two words"))
        source = "" if not isinstance(vectors, str | Path) else f"{Path(vectors).name}: "
        subtitle = f"{source}{len(opened):,} words, {opened.dimensions} dimensions"
        content = page("A map of words", sections, subtitle=subtitle)
        replace_file(Path(out), content.encode())
    return WordMap(None if out is None else Path(out), drawn.words, drawn.points.tolist(), drawn.shares)
