"""Which tokens end a model's answer, by the files that it came in."""

from typing import Any

from trivium.families.gguf_header import read_header
from trivium.verbs.load import LanguageModel


def stop_ids(model: LanguageModel) -> list[int]:
    """The end token first; none of a model without a decoder."""
    if model.kind == "encoder":
        return []
    if model.directory.is_file():
        metadata = read_header(model.directory).metadata
        stated: list[Any] = [metadata.get(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot")]
    else:
        named = model.generation.written.get("eos_token_id")
        stated = named if isinstance(named, list) else [named]
    known = [each for each in stated if type(each) is int and 0 <= each < model.config.vocab_size]
    found = list(dict.fromkeys(known))
    return found if found or model.tokenizer.end is None else [model.tokenizer.end]
