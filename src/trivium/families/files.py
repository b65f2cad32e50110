"""Files written whole or not at all, and tensors read only after every header was checked (``model_folder``)."""

import json
import math
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trivium.durable import replace_file
from trivium.errors import DataError
from trivium.families.model_folder import BYTES, FLOATS, Stored
from trivium.families.tensor_bytes import DTYPES, tensor_pieces


def write_text(path: Path, text: str) -> None:
    replace_file(path, text.encode())


def write_json(path: Path, content: Mapping[str, object]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, as durably."""
    replace_file(path, tensor_pieces(tensors))


class TensorFiles:
    """The weights of a folder, in one file or several: names and shapes as their headers say (``stored_tensors``),
    tensors when asked for."""

    def __init__(self, tensors: Mapping[str, Stored]):
        self._tensors = tensors
        self._stack = ExitStack()
        self._open: dict[Path, safe_open] = {}
        self._buffer = torch.empty(0, dtype=torch.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    @property
    def names(self) -> Collection[str]:
        return self._tensors.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name].shape

    def read(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
        """One tensor of floating-point numbers, in ``dtype``. As it is in the file it stays there, mapped into memory;
        what changes is read apart, so that never both are held of more than one tensor."""
        stored = self._tensors[name]
        if stored.dtype not in FLOATS:
            raise DataError(f"{stored.path} keeps {name} as {stored.dtype}: weights must be one of {', '.join(FLOATS)}")
        try:
            same = dtype in (None, DTYPES[stored.dtype])
            tensor = self._mapped(name, stored) if same else self._read_apart(stored)
        except (SafetensorError, OSError) as problem:
            raise DataError(f"{stored.path} is damaged ({problem}): copy or download it again") from None
        return tensor.to(device=device, dtype=dtype)

    def _mapped(self, name: str, stored: Stored) -> Tensor:
        if stored.path not in self._open:
            self._open[stored.path] = self._stack.enter_context(safe_open(stored.path, framework="pt"))
        tensor: Tensor = self._open[stored.path].get_tensor(name)
        return tensor

    def _read_apart(self, stored: Stored) -> Tensor:
        """In one buffer for all, which the next call writes over: a new one each time, between those that stay, leaves
        the memory in pieces (measured: up to 1.4 times the weights at the peak, and a third slower)."""
        size = math.prod(stored.shape) * BYTES[stored.dtype]
        if size > len(self._buffer):
            self._buffer = torch.empty(0, dtype=torch.uint8)  # the old one goes first
            self._buffer = torch.empty(size, dtype=torch.uint8)
        part = self._buffer[:size]
        with open(stored.path, "rb") as file:
            file.seek(stored.begin)
            file.readinto(part.numpy().data)
        return part.view(DTYPES[stored.dtype]).view(stored.shape)
