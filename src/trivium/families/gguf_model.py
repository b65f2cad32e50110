"""A model with its vocabulary from one GGUF file."""

from pathlib import Path

import torch

from trivium.families.gguf_tensors import GgufTensors
from trivium.families.gguf_tokenizer import gguf_tokenizer
from trivium.families.huggingface import Loaded, filled, with_tokenizer


def load_gguf(path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32) -> Loaded:
    """Everything is checked before a weight is read; weights that are stored in blocks are widened to ``dtype``."""
    with GgufTensors(path) as files:
        tokenizer = gguf_tokenizer(files.file.header)
        loaded = filled(files, files.config, path, device=device, dtype=dtype)
    return with_tokenizer(loaded, tokenizer)
