"""A model with its vocabulary from one GGUF file."""

from pathlib import Path

import torch

from trivium.families.gguf_tensors import GgufTensors
from trivium.families.huggingface import Loaded, filled, with_tokenizer
from trivium.families.inspection import check_vocabulary, vocabulary_of


def load_gguf(path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32) -> Loaded:
    """Everything is checked before a weight is read; weights that are stored in blocks are widened to ``dtype``."""
    with GgufTensors(path) as files:
        tokenizer = vocabulary_of(files.file)
        loaded = filled(files, files.config, path, device=device, dtype=dtype)
    check_vocabulary(tokenizer, loaded.config, path)
    return with_tokenizer(loaded, tokenizer)
