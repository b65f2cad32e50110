"""``tokenizer_config.json``: which strings are control tokens, beside every format of vocabulary; read and written."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from trivium.tokenizers.specials import HF_ROLES, SpecialTokens, recognise, sentinels_among
from trivium.tokenizers.validation import read_json


def config_beside(path: Path) -> dict[str, Any]:
    """What ``tokenizer_config.json`` and the older ``special_tokens_map.json`` in the folder of ``path`` say."""
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (path.parent / name).exists():
            config |= read_json(path.parent / name)
    return config


def roles(config: Mapping[str, Any], contents: Collection[str]) -> SpecialTokens:
    """The control tokens that a config states, where they are among ``contents``; else known strings among them."""
    stated = {role: _content(config.get(name)) for role, name in HF_ROLES.items()}
    if not any(string in contents for string in stated.values()):
        return recognise(list(contents))
    known = {role: string if string in contents else None for role, string in stated.items()}
    return SpecialTokens(**known, sentinels=sentinels_among(list(contents)))


def added_tokens(
    config: Mapping[str, Any], vocab: Mapping[str, int], specials: SpecialTokens, swallowing: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The control tokens as tokenizer.json lists them. ``swallowing``: those that take the space before them, where the
    config does not say so itself."""
    stated = config.get("added_tokens_decoder")
    flags = {_content(each): each for each in stated.values()} if isinstance(stated, dict) else {}
    listed = []
    for content in specials.strings():
        own = flags.get(content) or {"lstrip": content in swallowing}
        given = {name: own.get(name) is True for name in ("single_word", "lstrip", "rstrip", "normalized")}
        listed.append({"id": vocab[content], "content": content, **given, "special": True})
    return sorted(listed, key=lambda token: token["id"])


def config_for(specials: SpecialTokens, context: int | None = None) -> dict[str, Any]:
    """The part of a config that names the control tokens."""
    config: dict[str, Any] = {}
    for role, name in HF_ROLES.items():
        if getattr(specials, role) is not None:
            config[name] = getattr(specials, role)
    if specials.sentinels:
        config["additional_special_tokens"] = list(specials.sentinels)
    if context is not None:
        config["model_max_length"] = context
    return config


def _content(value: object) -> str | None:
    """A token in these files is a string or an object with its content."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None
