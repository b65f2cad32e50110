"""Which tokens end a model's answer, by the files that it came in."""

from typing import Any

from trivium.families.files import read_json
from trivium.families.gguf_header import read_header
from trivium.verbs.load import LanguageModel


def generation_settings(model: LanguageModel) -> dict[str, Any]:
    """The content of ``generation_config.json``; nothing where there is none."""
    file = model.directory / "generation_config.json"
    return read_json(file) if file.is_file() else {}


def stop_ids(model: LanguageModel) -> list[int]:
    """The end token first; none of a model without a decoder."""
    if model.kind == "encoder":
        return []
    if model.directory.is_file():
        metadata = read_header(model.directory).metadata
        stated: list[Any] = [metadata.get(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot")]
    else:
        stated = [generation_settings(model).get("eos_token_id")]
        if stated == [None]:
            stated = [read_json(model.directory / "config.json").get("eos_token_id")]
        stated = stated[0] if isinstance(stated[0], list) else stated
    known = [each for each in stated if type(each) is int and 0 <= each < model.config.vocab_size]
    found = list(dict.fromkeys(known))
    return found if found or model.tokenizer.end is None else [model.tokenizer.end]
