"""A GGUF file read and written as a Hugging Face folder is: settings and tensors under Hugging Face's names."""

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from trivium.errors import DataError
from trivium.families.gguf import GgufFile, Outgoing, Precision, outgoing, write_gguf
from trivium.families.llama_gguf import (
    ROPE_FREQUENCIES,
    frequencies_out,
    halved,
    interleaved,
    metadata_out,
    name_in,
    name_out,
    settings_in,
    turned_heads,
)


class GgufTensors:
    """The same questions as ``files.TensorFiles`` answers, and ``config``: what ``config.json`` would say."""

    def __init__(self, path: Path) -> None:
        self.file = GgufFile(path)
        try:
            self._home = {self._name(name): name for name in self.file.header.tensors if name != ROPE_FREQUENCIES}
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.file.close()

    def _name(self, name: str) -> str:
        return name_in(name) or name  # one that is not known is reported under its own name

    @cached_property
    def config(self) -> dict[str, Any]:
        return settings_in(self.file)

    @property
    def names(self) -> Collection[str]:
        return self._home.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return self.file.header.tensors[self._home[name]].shape

    def read(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
        """One tensor in ``dtype`` (None: float32)."""
        own = self._home[name]
        heads = turned_heads(own, self.config)
        if heads is not None or dtype in (None, torch.float32):
            values = self.file.read(own)
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


def write_llama(
    path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], metadata: Mapping[str, object],
    precision: Precision = "F16",
) -> None:  # fmt: skip
    """A GGUF file of a Llama given as Hugging Face has it. ``metadata``: what else the file shall say (its name, its
    vocabulary)."""
    tied = bool(config.get("tie_word_embeddings"))
    rows: list[Outgoing] = []
    full = {**config, "num_key_value_heads": config.get("num_key_value_heads") or config["num_attention_heads"]}
    for name, tensor in tensors.items():
        own = name_out(name)
        if own is None:
            raise DataError(f"{name!r} has no name in a GGUF file of a Llama: the model is of another kind")
        if not (tied and own == "output.weight"):
            rows.append(_row(own, tensor, turned_heads(own, full), precision))
    frequencies = frequencies_out(config)
    if frequencies is not None:
        rows.insert(0, outgoing(ROPE_FREQUENCIES, frequencies.shape, "F32", lambda: frequencies))
    kinds = {"F32": 0, "F16": 1, "Q8_0": 7}
    said = {**metadata_out(config), "general.file_type": kinds[precision], "general.quantization_version": 2}
    write_gguf(path, {**said, **metadata}, rows)


def _row(name: str, tensor: Tensor, heads: int | None, precision: Precision) -> Outgoing:
    def values() -> Any:
        plain = tensor.detach().to("cpu", torch.float32).numpy()
        return plain if heads is None else interleaved(plain, heads)

    return outgoing(name, tuple(tensor.shape), precision, values)
