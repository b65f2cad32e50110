"""A GGUF file read and written as a Hugging Face folder is: settings and tensors under Hugging Face's names."""

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from trivium.errors import DataError
from trivium.families.gguf import GgufFile, Outgoing, Precision, outgoing, write_gguf
from trivium.families.gguf_layouts import layout_in, layout_out
from trivium.families.llama_gguf import ROPE_FREQUENCIES, frequencies_out, halved, interleaved

FILE_TYPES: dict[str, int] = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
"""llama.cpp's numbers for how most of a file's weights are kept."""


class GgufTensors:
    """The same questions as ``files.TensorFiles`` answers, and ``config``: what ``config.json`` would say."""

    def __init__(self, path: Path) -> None:
        self.file = GgufFile(path)
        try:
            self.layout = layout_in(self.file.header)
            self._home = {self._name(name): name for name in self.file.header.tensors if name != ROPE_FREQUENCIES}
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.file.close()

    def _name(self, name: str) -> str:
        return self.layout.name_in(name) or name  # one that is not known is reported under its own name

    @cached_property
    def config(self) -> dict[str, Any]:
        scaled = ROPE_FREQUENCIES in self.file.header.tensors
        return self.layout.config_in(self.file.header, self.file.read(ROPE_FREQUENCIES) if scaled else None)

    @property
    def names(self) -> Collection[str]:
        return self._home.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        own = self._home[name]
        shape = self.file.header.tensors[own].shape
        return shape[::-1] if self.layout.is_transposed(own) else shape

    def read(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
        """One tensor in ``dtype`` (None: float32)."""
        own = self._home[name]
        heads, transposed = self.layout.turned_heads(own, self.config), self.layout.is_transposed(own)
        if heads is not None or transposed or dtype in (None, torch.float32):
            values = self.file.read(own)
            if transposed:
                values = np.ascontiguousarray(values.T)
            if heads is not None:
                if values.shape[0] % (2 * heads):
                    raise DataError(
                        f"{self.file.path}: {own} has {values.shape[0]} rows, which {heads} heads do not share"
                    )
                values = halved(values, heads)
            return torch.from_numpy(values).to(device=device, dtype=dtype)
        out = torch.empty(self.shape(name), dtype=dtype)
        flat, at = out.view(-1), 0
        for chunk in self.file.chunks(own):
            flat[at : at + len(chunk)] = torch.from_numpy(chunk)
            at += len(chunk)
        return out.to(device)


def write_model(
    path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], metadata: Mapping[str, object],
    precision: Precision = "F16",
) -> tuple[str, ...]:  # fmt: skip
    """A GGUF file of a model given as Hugging Face has it. ``metadata``: what else the file shall say (its name, its
    vocabulary). Returns the tensors that the format has no place for and computes without."""
    layout = layout_out(config.get("model_type"))
    rows: list[Outgoing] = []
    left_out = []
    full = {**config, "num_key_value_heads": config.get("num_key_value_heads") or config.get("num_attention_heads")}
    for name, tensor in tensors.items():
        own = layout.name_out(name)
        if own is None and layout.has_no_place(name):
            left_out.append(name)
        elif own is None:
            raise DataError(f"{name!r} has no name in a GGUF file of a {layout.architecture}: it is of another kind")
        elif own != "output.weight" or not config.get("tie_word_embeddings"):
            given = tensor.t() if layout.is_transposed(own) else tensor
            rows.append(_row(own, given, layout.turned_heads(own, full), precision))
    frequencies = frequencies_out(config)
    if frequencies is not None:
        rows.insert(0, outgoing(ROPE_FREQUENCIES, frequencies.shape, "F32", lambda: frequencies))
    kinds = {"general.file_type": FILE_TYPES[precision], "general.quantization_version": 2}
    write_gguf(path, {**layout.metadata_out(config), **kinds, **metadata}, rows)
    return tuple(left_out)


def _row(name: str, tensor: Tensor, heads: int | None, precision: Precision) -> Outgoing:
    def values() -> Any:
        plain = tensor.detach().to("cpu", torch.float32).numpy()
        return plain if heads is None else interleaved(plain, heads)

    # llama.cpp adds the vectors of positions and segments up in float32, and reads them in no other kind everywhere.
    kind: Precision = "F32" if name in ("position_embd.weight", "token_types.weight") else precision
    return outgoing(name, tuple(tensor.shape), kind, values)
