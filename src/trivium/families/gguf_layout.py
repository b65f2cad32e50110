"""What an architecture is in GGUF: its names of tensors and settings, and Hugging Face's for the same. No torch."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from trivium.errors import DataError
from trivium.families.gguf_header import Header


def _no_heads(name: str, config: Mapping[str, Any]) -> int | None:
    return None


@dataclass(frozen=True)
class GgufLayout:
    """``names``: GGUF's name and Hugging Face's, where {n} is a layer's number and * weight or bias."""

    architecture: str
    hf_type: str
    names: tuple[tuple[str, str], ...]
    config_in: Callable[[Header, np.ndarray | None], dict[str, Any]]  # the numbers of rope_freqs.weight, or None
    metadata_out: Callable[[Mapping[str, Any]], dict[str, object]]
    turned_heads: Callable[[str, Mapping[str, Any]], int | None] = _no_heads  # of a tensor by either name
    transposed: str = "(?!)"  # a pattern of GGUF's names of matrices that Hugging Face keeps as (in, out)
    no_place: str = "(?!)"  # a pattern of Hugging Face's names of tensors that the architecture has no place for
    exactness: float = 1e-4  # how far llama.cpp's own sums in float32 stray, of the largest number

    @cached_property
    def _in(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_template(gguf), theirs) for gguf, theirs in self.names]

    @cached_property
    def _out(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_template(theirs), gguf) for gguf, theirs in self.names]

    def name_in(self, name: str) -> str | None:
        """Hugging Face's name of a GGUF tensor; None: it has none."""
        return _renamed(name, self._in)

    def name_out(self, name: str) -> str | None:
        """GGUF's name of a tensor under Hugging Face's."""
        return _renamed(name, self._out)

    def is_transposed(self, name: str) -> bool:
        """Whether Hugging Face keeps this tensor, by GGUF's name, the other way round."""
        return re.fullmatch(self.transposed, name) is not None

    def has_no_place(self, name: str) -> bool:
        """Whether the architecture cannot hold this tensor, by Hugging Face's name, and computes without it."""
        return re.fullmatch(self.no_place, name) is not None


def _template(text: str) -> re.Pattern[str]:
    return re.compile(
        re.escape(text).replace(r"\{n\}", r"(?P<n>0|[1-9]\d{0,5})").replace(r"\*", "(?P<end>weight|bias)")
    )


def _renamed(name: str, table: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, other in table:
        found = pattern.fullmatch(name)
        if found:
            groups = found.groupdict()
            return other.replace("{n}", groups.get("n") or "").replace("*", groups.get("end") or "")
    return None


class Settings:
    """The keys ``ARCHITECTURE.…`` of a file, checked one by one."""

    def __init__(self, header: Header, architecture: str) -> None:
        self.header, self.architecture = header, architecture

    def refuse(self, what: str) -> NoReturn:
        name = self.architecture.replace("gpt2", "GPT-2").replace("bert", "BERT").replace("llama", "Llama")
        raise DataError(f"the {name} in {self.header.path} cannot be read: {what}")

    def get(self, key: str, otherwise: object = None) -> Any:
        return self.header.metadata.get(f"{self.architecture}.{key}", otherwise)

    def integer(self, key: str, otherwise: int | None = None, most: int = 1 << 31) -> int:
        value = self.get(key, otherwise)
        if value is None:
            self.refuse(f"{self.architecture}.{key} is missing")
        if type(value) is not int or not 0 < value <= most:
            self.refuse(f"{self.architecture}.{key} is {str(value)[:40]}, not a whole number from 1 to {most}")
        return value

    def real(self, key: str, otherwise: float | None = None) -> float:
        """A float32 by its shortest spelling: 1e-05 and not 9.999999747378752e-06."""
        value = self.get(key, otherwise)
        if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
            self.refuse(f"{self.architecture}.{key} is {str(value)[:40]}, not a number above 0")
        return float(str(np.float32(value)))

    def rows(self, name: str, width: int) -> int:
        """How many rows a table of vectors of this width has."""
        stored = self.header.tensors.get(name)
        if stored is None or len(stored.shape) != 2 or stored.shape[1] != width:
            found = f"no tensor {name}" if stored is None else f"{name} of shape {stored.shape}"
            self.refuse(f"embedding_length is {width}, and it has {found}")
        return stored.shape[0]

    def control_tokens(self, vocabulary: int) -> dict[str, int | None]:
        """As ``config.json`` has them."""
        found: dict[str, int | None] = {}
        for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
            number = self.header.metadata.get(f"tokenizer.ggml.{theirs}_token_id")
            found[f"{ours}_token_id"] = number if type(number) is int and number < vocabulary else None
        return found
