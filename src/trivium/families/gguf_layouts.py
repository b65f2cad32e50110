"""The architectures that are read from GGUF files and written into them."""

from typing import Any

from trivium.errors import DataError, SettingsError
from trivium.families.bert_gguf import BERT_LAYOUT
from trivium.families.gguf_header import Header
from trivium.families.gguf_layout import GgufLayout
from trivium.families.gpt2_gguf import GPT2_LAYOUT
from trivium.families.llama_gguf import LLAMA_LAYOUT

LAYOUTS = {layout.architecture: layout for layout in (LLAMA_LAYOUT, GPT2_LAYOUT, BERT_LAYOUT)}


def layout_in(header: Header) -> GgufLayout:
    """That of a file."""
    name = header.metadata.get("general.architecture")
    if name not in LAYOUTS:
        raise DataError(
            f"{header.path} holds a model of architecture {str(name)[:40]!r}: of GGUF files, {_known()} are read"
        )
    return LAYOUTS[str(name)]


def layout_out(model_type: Any) -> GgufLayout:
    """That of a model which Hugging Face calls ``model_type``."""
    found = [layout for layout in LAYOUTS.values() if layout.hf_type == model_type]
    if not found:
        raise SettingsError(
            f"a model of type {model_type!r} cannot be written as GGUF, only {_known()} can: convert it to hf or onnx"
        )
    return found[0]


def _known() -> str:
    names = [repr(name) for name in LAYOUTS]
    return f"{', '.join(names[:-1])} and {names[-1]}"
