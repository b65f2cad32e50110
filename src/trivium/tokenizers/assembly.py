"""From a learnt vocabulary to a ``Tokenizer``: control tokens, layout, and what is asked of control tokens."""

import json
from collections.abc import Iterable

from tokenizers.pre_tokenizers import PreTokenizer

import tokenizers
from tokenizers import AddedToken
from trivium.errors import SettingsError
from trivium.tokenizers.layouts import LayoutName, post_processor
from trivium.tokenizers.specials import SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer


def assembled(whole: tokenizers.Tokenizer, specials: SpecialTokens, layout: LayoutName) -> Tokenizer:
    """The tokenizer of a model whose vocabulary begins with the control tokens."""
    whole.add_special_tokens([AddedToken(content, normalized=False, special=True) for content in specials.strings()])
    document = json.loads(whole.to_str())
    document["post_processor"] = post_processor(layout, specials, whole)
    return Tokenizer(document, specials)


def numbered(specials: SpecialTokens, pieces: Iterable[str]) -> dict[str, int]:
    """Ids: control tokens first, then the pieces in their order."""
    return {piece: number for number, piece in enumerate((*specials.strings(), *pieces))}


def unknown_of(specials: SpecialTokens, algorithm: str) -> str:
    """The unknown token, which every vocabulary that is not of bytes needs."""
    if specials.unknown is None:
        raise SettingsError(f"a tokenizer of kind {algorithm!r} needs an unknown token: name one, such as <unk>")
    return specials.unknown


def check_controls(specials: SpecialTokens, pre_tokenizer: PreTokenizer) -> None:
    """Refuses control tokens that a text could hold as a word."""
    for content in specials.strings():
        if len(pre_tokenizer.pre_tokenize_str(content)) < 2:
            raise SettingsError(f"special token {content!r} could be a word of the text: write it like <{content}>")


def check_at_least(name: str, value: int | None, lowest: int) -> None:
    if value is not None and value < lowest:
        raise SettingsError(f"{name} is {value}: it is at least {lowest}")
