"""Where a model keeps its chat template: in a GGUF file's metadata, in ``chat_template.jinja``, or, in older folders,
in ``tokenizer_config.json``. It is text here, and only ``text/templates.py`` renders it."""

import json
from pathlib import Path

from trivium.errors import DataError
from trivium.families.gguf_header import read_header
from trivium.families.gguf_tokenizer import chat_template
from trivium.text.templates import LONGEST_TEMPLATE

LARGEST_CONFIG = 64 << 20  # bytes: some list thousands of added tokens


def find_template(model: Path) -> str | None:
    """The template of a model's folder or ``.gguf`` file; None: it has none, so it was not taught to talk."""
    if model.suffix == ".gguf" and not model.is_dir():
        return chat_template(read_header(model))
    if (model / "chat_template.jinja").is_file():
        return _text(model / "chat_template.jinja", 4 * LONGEST_TEMPLATE)
    config = model / "tokenizer_config.json"
    if not config.is_file():
        return None
    try:
        content = json.loads(_text(config, LARGEST_CONFIG))
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{config} is not valid JSON ({problem}): save the tokenizer again") from None
    found = content.get("chat_template") if isinstance(content, dict) else None
    if isinstance(found, list):  # several with names
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    if found is not None and not isinstance(found, str):
        raise DataError(f"{config}: chat_template is no text")
    return found


def _text(path: Path, most: int) -> str:
    if path.stat().st_size > most:
        raise DataError(f"{path} has {path.stat().st_size} bytes: at most {most} are read")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read: {problem}") from None
