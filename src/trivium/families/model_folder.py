"""The files of a model's folder, as far as they can be judged without torch: JSON, the list of weight files, their
headers.

Nothing in a file is believed. Sizes, counts and offsets are held against the bytes that are there before memory is
taken for them, so that a damaged or hostile file costs no more than a second. Pickled weights are never opened.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from trivium.errors import DataError

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
LARGEST_CONFIG = 2 << 20  # bytes
LARGEST_HEADER = 16 << 20  # bytes of a weight file's header, or of an index
MOST_TENSORS = 100_000
MOST_DIMENSIONS = 8
LONGEST_NAME = 1000  # characters of a tensor's name
MOST_VALUES = 16 * MOST_TENSORS  # between the commas of one file
FLOATS: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
BYTES: Mapping[str, int] = {**FLOATS, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
DISGUISES = {
    b"PK\x03\x04": "a zip archive, as pickled weights are",
    b"\x80\x02": "pickled weights",
    b"\x80\x03": "pickled weights",
    b"\x80\x04": "pickled weights",
    b"\x80\x05": "pickled weights",
    b"GGUF": "a GGUF file: name it .gguf and give it by itself",
    b"version ": "a Git LFS pointer, whose download is unfinished",
}
"""What files of another kind begin with."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True)
class Stored:
    """A tensor as a header describes it; ``path`` is the file that holds it, from byte ``begin`` on."""

    dtype: str
    shape: tuple[int, ...]
    path: Path
    begin: int


def read_json(path: Path, largest: int = LARGEST_CONFIG) -> dict[str, object]:
    """A JSON object; what it is not is said with the file's name."""
    return parse_object(_content(path, largest), path)


def read_document(path: Path) -> object:
    """Any JSON, with the same limits."""
    return _parsed(_content(path, LARGEST_CONFIG), path)


def _content(path: Path, largest: int) -> bytes:
    try:
        if path.stat().st_size > largest:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes: a file of its kind has at most {largest:,}")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: a model's folder needs it") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None


def parse_object(content: bytes, path: Path) -> dict[str, object]:
    """A JSON object of so few values that it cannot fill the memory, no name in it twice."""
    found = _parsed(content, path)
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no JSON object: it does not describe a model")
    return found


def _parsed(content: bytes, path: Path) -> object:
    if max(content.count(b","), content.count(b"["), content.count(b"{")) > MOST_VALUES:
        raise DataError(f"{path} holds more than {MOST_VALUES:,} values: it is damaged, or made to fill the memory")
    try:
        found: object = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
        return found
    except RecursionError:
        raise DataError(f"{path} nests too deeply: copy or download it again") from None
    except ValueError as problem:  # not UTF-8, not JSON, a number of thousands of digits, a name twice
        reason = str(problem).partition(";")[0]
        raise DataError(f"{path} cannot be read ({reason}): copy or download it again") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{name[:80]!r} is there twice")
    return made


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder's weights."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        _refuse_without_weights(folder)
    return [folder / name for name in sorted(set(_weight_map(folder).values()))]


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """Every tensor of the folder's weight files, by name; their headers, and an index, are checked whole."""
    if (folder / WEIGHTS).exists():
        return read_header(folder / WEIGHTS)
    files = weight_files(folder)
    placed = _weight_map(folder)
    found: dict[str, Stored] = {}
    for path in files:
        held = read_header(path)
        twice = next((tensor for tensor in held if tensor in found), None)
        if twice is not None:
            raise DataError(f"{path} and {found[twice].path.name} both hold {twice!r}: download both again")
        found |= held
        if len(found) > MOST_TENSORS:
            raise DataError(f"{folder} has weight files of more than {MOST_TENSORS:,} tensors")
    for tensor, name in placed.items():
        if tensor not in found or found[tensor].path.name != name:
            raise DataError(
                f"{folder / INDEX} says that {name} holds {tensor[:80]!r}, which it does not: download both again"
            )
    return found


def _weight_map(folder: Path) -> dict[str, str]:
    placed = _placed(folder / INDEX)
    for name in shards(folder / INDEX):
        if not (folder / name).is_file():
            _missing(folder / INDEX, name)
    return placed


def shards(index: Path) -> list[str]:
    """The names of the files that an index spreads tensors over: plain ones, which need not be there."""
    names = sorted(set(_placed(index).values()))
    for name in names:
        plain = name == Path(name).name and "\\" not in name and name.isprintable() and len(name) < 256
        if not plain or not name.endswith(".safetensors"):
            _missing(index, name)
    return names


def _missing(index: Path, name: str) -> NoReturn:
    raise DataError(f"{index} names {name[:80]!r}, which is not a file in that folder: download the missing one")


def _placed(index: Path) -> dict[str, str]:
    placed = read_json(index, LARGEST_HEADER).get("weight_map")
    if not isinstance(placed, dict) or not placed or not all(isinstance(name, str) for name in placed.values()):
        raise DataError(f"{index} has no weight_map from tensors to files: download it again")
    return placed


def _refuse_without_weights(folder: Path) -> NoReturn:
    pickled = sorted(path for path in folder.glob("*.*") if path.suffix in PICKLES)
    if pickled:
        raise DataError(
            f"{folder} holds pickled weights only ({pickled[0].name}), which can run code when opened and are never "
            f"read: get the {WEIGHTS} of the model instead"
        )
    raise DataError(f"{folder} has no {WEIGHTS}: it is not a model's folder, or its download is unfinished")


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of one safetensors file, whose bytes must follow each other without a gap to its very end."""
    with _opened(path) as file:
        size = path.stat().st_size
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:  # what a file of another kind begins with is no length that fits
            for beginning, what in DISGUISES.items():
                if start.startswith(beginning):
                    raise DataError(f"{path} is no safetensors file but {what}: get the model's own {WEIGHTS}")
            _damaged(path, f"its header claims {length:,} bytes and the file has {size:,}")
        if length > LARGEST_HEADER:
            _damaged(path, f"its header claims {length:,} bytes, of at most {LARGEST_HEADER:,}")
        content = file.read(length)
    if (many := content.count(b'"data_offsets"')) > MOST_TENSORS:  # before a second is spent on parsing them
        _damaged(path, f"it lists {many:,} tensors, of at most {MOST_TENSORS:,}")
    listed = parse_object(content, path)
    _check_metadata(listed.pop("__metadata__", {}), path)
    if len(listed) > MOST_TENSORS:
        _damaged(path, f"it lists {len(listed):,} tensors, of at most {MOST_TENSORS:,}")
    found = (_tensor(name, described, path, 8 + length) for name, described in listed.items())
    placed = sorted(found, key=lambda each: each[1:3])
    end = 0
    for name, first, last, _ in placed:
        if first != end:
            _damaged(path, f"the tensor {name[:80]!r} begins at byte {first:,} of the data, where {end:,} is next")
        end = last
    if end != size - 8 - length:
        _damaged(path, f"its tensors have {end:,} bytes and the file has {size - 8 - length:,} for them")
    return {name: stored for name, _, _, stored in placed}


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None


def _damaged(path: Path, what: str) -> NoReturn:
    raise DataError(f"{path} is damaged or cut short ({what}): copy or download it again")


def _check_metadata(described: object, path: Path) -> None:
    if not isinstance(described, dict) or not all(isinstance(value, str) for value in described.values()):
        _damaged(path, "its __metadata__ is not an object of texts")


def _tensor(name: str, described: object, path: Path, data: int) -> tuple[str, int, int, Stored]:
    """The name, the first and last byte in the data, which begins at byte ``data``, and what is stored there."""
    what = f"the tensor {name[:80]!r}"
    if not name.isprintable() or len(name) > LONGEST_NAME:
        _damaged(path, f"{what} has a name that is longer than {LONGEST_NAME} or cannot be printed")
    if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
        _damaged(path, f"{what} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise DataError(
            f"{path} keeps {name[:80]!r} as {str(dtype)[:20]!r}, which is not read here: get the model as one of "
            f"{', '.join(FLOATS)}"
        )
    if not _are_sizes(shape, MOST_DIMENSIONS) or not _are_sizes(offsets, 2) or len(offsets) != 2:
        _damaged(path, f"{what} has no shape of at most {MOST_DIMENSIONS} sizes, or not two offsets")
    first, last = offsets
    if last - first != math.prod(shape) * BYTES[dtype]:
        _damaged(path, f"{what} is {dtype} of shape {tuple(shape)} and lies at bytes {first:,} to {last:,}")
    return name, first, last, Stored(dtype, tuple(shape), path, data + first)


def _are_sizes(values: object, most: int) -> bool:
    """Whole numbers of 63 bits, not negative."""
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(value) is int and 0 <= value < 1 << 63 for value in values)
    )
