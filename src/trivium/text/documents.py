"""Files and folders to documents, streamed: never a whole file in memory, every error with its file and line.

A document of a ``.txt`` file, or of any file whose name says nothing, is a section of about a page (``formats.plain``);
of ``.jsonl``, ``.csv``, ``.tsv`` and ``.parquet`` it is a row. ``.gz`` of all but Parquet is unzipped on the way.
Folders are read in the order of their names, hidden files and unknown kinds left out.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from trivium.errors import DataError
from trivium.text.decoding import CHUNK_BYTES, Errors
from trivium.text.formats import READERS, Reader, parquet, plain

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def read_documents(paths: Paths, *, field: str = "text", errors: Errors = "strict") -> Iterator[str]:
    """Every document of ``paths`` in order. ``field``: the field or column with the text, where a format has some.

    What is missing is an error at once; what is malformed when it is met.
    """
    return (text for _, text in named_documents(paths, field=field, errors=errors))


def named_documents(paths: Paths, *, field: str = "text", errors: Errors = "strict") -> Iterator[tuple[str, str]]:
    """The same, each after the name of its file."""
    return _documents(files(paths), field, errors)


def _documents(found: list[tuple[Path, bool]], field: str, errors: Errors) -> Iterator[tuple[str, str]]:
    any_text = False
    for path, named in found:
        empty = True
        for text in reader(path)(path, field, errors):
            empty = False
            yield str(path), text
        if empty and named:
            raise DataError(f"{path} is empty: name a file with text")
        any_text |= not empty
    if not any_text:
        raise DataError(f"{found[0][0].parent} holds only empty files: name files with text")


def reader(path: Path) -> Reader:
    """The function that reads a file, by the end of its name."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    kind = READERS.get(suffixes[-2 if zipped else -1], plain) if len(suffixes) > zipped else plain
    if zipped and kind is parquet:
        raise DataError(f"{path}: Parquet is compressed inside; unzip it (gunzip)")
    return kind


def is_plain(name: str) -> bool:
    """Whether a file is one text, whose documents are its pages, and no table of texts."""
    return reader(Path(name)) is plain


def files(paths: Paths) -> list[tuple[Path, bool]]:
    """The files to read, folders opened, and whether each was named itself."""
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    found: list[tuple[Path, bool]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = _inside(path)
            found.extend((file, False) for file in inside)
        elif path.exists():
            found.append((path, True))
        else:
            raise DataError(f"{path} does not exist: check the name" + _similar(path))
    if not found:
        raise DataError("no file was named: name files or folders with text")
    return found


def _inside(folder: Path) -> list[Path]:
    known, others = [], Counter[str]()
    for place, names, contents in os.walk(folder, onerror=_unreadable):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(contents):
            path = Path(place, name)
            ends = [suffix.lower() for suffix in path.suffixes[-2:]]
            if name.startswith("."):
                continue
            if ends and (ends[-1] in READERS or (ends[-1] == ".gz" and ends[0] in READERS)):
                known.append(path)
            else:
                others[path.suffix or name] += 1
    if not known:
        seen = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5)) or "nothing"
        raise DataError(f"{folder} holds no {' '.join(READERS)} file ({seen}): name the files themselves")
    return known


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def _similar(path: Path) -> str:
    try:
        others = sorted(other.name for other in path.parent.iterdir() if other.suffix == path.suffix)[:3]
    except OSError:
        return f" ({path.parent} does not exist either)" if not path.parent.exists() else ""
    return f" (beside it: {', '.join(others)})" if others else ""


def source_fingerprint(paths: Paths, *, field: str = "text", errors: Errors = "strict") -> str:
    """SHA-256 over the names and contents of the files and how they are read: changes when the documents may."""
    digest = hashlib.sha256(f"1 {field} {errors}".encode())
    for path, _ in files(paths):
        content = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while data := file.read(CHUNK_BYTES):
                    content.update(data)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        digest.update(f"\n{path.name} {content.hexdigest()}".encode())
    return digest.hexdigest()
