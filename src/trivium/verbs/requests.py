"""``trivium generate --requests``: many prompts, each with its own settings, written side by side as slots free up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.generation.completion import Completion, Piece, joined
from trivium.generation.sampling import Sampling
from trivium.generation.writer import Writer
from trivium.settings import build, dump
from trivium.verbs.load import LanguageModel

_OWN = ("id", "prompt", "samples")  # of a row; all other fields are settings


def write_requests(
    model: LanguageModel, rows: Iterable[tuple[str, Mapping[str, Any]]], sampling: Sampling = Sampling(), *,  # noqa: B008
    slots: int = 16, longest: int | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A row for each text, as soon as it has ended: ``id`` and ``sample``, and what a ``Completion`` has; or ``error``,
    where one cannot be gone on with.

    ``rows``: each with its place for errors to name: a ``prompt``; an ``id`` (else its number) and ``samples`` if
    wanted; and settings of ``Sampling``, which are else those of ``sampling``. They are read as places get free.
    """
    writer = model.writer(slots=slots, longest=longest)
    names: dict[int, object] = {}
    pieces: dict[tuple[int, int], list[Piece]] = {}
    waiting = iter(rows)
    more = True
    while more or writer.busy:
        while more and writer.engine.queued < slots:
            found = next(waiting, None)
            more = found is not None
            if found is not None:
                place, row = found
                names[_submitted(writer, place, row, sampling)] = row.get("id", len(names))
        for piece in writer.step():
            place_of = (piece.prompt, piece.sample)
            pieces.setdefault(place_of, []).append(piece)
            if piece.finish:
                yield _row(names[piece.prompt], pieces.pop(place_of))


def _submitted(writer: Writer, place: str, row: Mapping[str, Any], sampling: Sampling) -> int:
    prompt, samples = row.get("prompt"), row.get("samples", 1)
    if not isinstance(prompt, str):
        raise DataError(f"{place}: prompt is missing or no text: each request needs one")
    if not isinstance(samples, int) or isinstance(samples, bool):
        raise DataError(f"{place}: samples is {samples!r}: it must be a whole number")
    given = {name: value for name, value in row.items() if name not in _OWN}
    try:
        return writer.submit(prompt, build(Sampling, dump(sampling) | given), samples)
    except (SettingsError, RefusedError) as problem:
        raise DataError(f"{place}: {problem}") from None


def _row(name: object, pieces: list[Piece]) -> dict[str, Any]:
    last = pieces[-1]
    if last.problem is not None:
        text = "".join(piece.text for piece in pieces)
        return {"id": name, "sample": last.sample, "text": text, "finish": last.finish, "error": str(last.problem)}
    completion: Completion = joined(pieces)
    shown = asdict(completion)
    del shown["prompt"], shown["score"]
    if not completion.top:
        del shown["top"]
    return {"id": name, **shown}
