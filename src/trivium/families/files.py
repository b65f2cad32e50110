"""Files written whole or not at all, and tensors read only after their header was checked. No pickle."""

import json
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trivium.durable import replace_file
from trivium.errors import DataError
from trivium.families.tensor_bytes import DTYPES, tensor_pieces

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
"""Endings of files of weights that run code when they are opened, and so never are."""


def write_text(path: Path, text: str) -> None:
    replace_file(path, text.encode())


def write_json(path: Path, content: Mapping[str, object]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, as durably."""
    replace_file(path, tensor_pieces(tensors))


def read_document(path: Path) -> object:
    """Any JSON; what is wrong is said with the file's name."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: a model's folder needs it") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise DataError(f"{path} cannot be read: {problem}") from None


def read_json(path: Path) -> dict[str, object]:
    """A JSON object."""
    content = read_document(path)
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object: it is not a model's configuration")
    return content


class TensorFiles:
    """One ``model.safetensors`` or a sharded set: names and shapes first, tensors when asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._stack = ExitStack()
        self._home: dict[str, safe_open] = {}
        self._places: dict[str, tuple[Path, int]] = {}  # where in a file the bytes of a tensor begin
        try:
            for path in tensor_files(folder):
                file = self._stack.enter_context(safe_open(path, framework="pt"))
                self._home |= dict.fromkeys(file.keys(), file)
                self._places |= _places(path)
        except (SafetensorError, OSError) as problem:
            self._stack.close()
            raise DataError(f"{path} is damaged or cut short ({problem}): copy or download it again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    @property
    def names(self) -> Collection[str]:
        return self._home.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._home[name].get_slice(name).get_shape())

    def read(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
        """One tensor; floating-point ones in ``dtype``. As it is in the file it stays there, mapped into memory; what
        changes is read apart, so that never both are held of more than one tensor."""
        home = self._home[name]
        stored = DTYPES.get(home.get_slice(name).get_dtype())
        if stored is None or not stored.is_floating_point or dtype in (None, stored):
            tensor: Tensor = home.get_tensor(name)
            return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)
        tensor = torch.empty(self.shape(name), dtype=stored)
        path, start = self._places[name]
        with open(path, "rb") as file:
            file.seek(start)
            file.readinto(tensor.view(-1).view(torch.uint8).numpy().data)
        return tensor.to(device=device, dtype=dtype)


def _places(path: Path) -> dict[str, tuple[Path, int]]:
    """From a header that was checked before."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    tensors = {name: about for name, about in header.items() if name != "__metadata__"}
    return {name: (path, 8 + length + about["data_offsets"][0]) for name, about in tensors.items()}


def tensor_files(folder: Path) -> list[Path]:
    """The files of a model's weights."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        names = shards(folder / INDEX)
        for name in names:
            if not (folder / name).is_file():
                raise DataError(f"{folder / INDEX} names {name!r}, which is not a file in that folder")
        return [folder / name for name in names]
    if any(each.suffix in PICKLED for each in folder.iterdir()):
        raise DataError(
            f"{folder} holds pickled weights only, which can run code when opened and are never read: "
            "get the model.safetensors of the model instead"
        )
    raise DataError(f"{folder} has no {WEIGHTS}: it is not a model's folder, or its download is unfinished")


def shards(index: Path) -> list[str]:
    """The names of the files that an index spreads tensors over."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(n, str) for n in weight_map.values()):
        raise DataError(f"{index} has no weight_map from tensors to files")
    names = sorted(set(weight_map.values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise DataError(f"{index} names {name!r}, which is not a file in that folder")
    return names
