"""What a model reads before it writes: a decoder's first tokens, an encoder-decoder's source and start token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trivium.errors import SettingsError
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers


@dataclass(frozen=True)
class Prompt:
    """One sequence to continue: the decoder's tokens so far, and what the encoder reads where there is one."""

    ids: tuple[int, ...]
    source: tuple[int, ...] | None = None
    sample: int = 0  # which of several completions of the same prompt: it keys their randomness


def prompt_of(model: Network, tokenizer: Tokenizer, text: str, sample: int = 0) -> Prompt:
    """The prompt a text becomes: the beginning to continue, or the source to answer."""
    ids = tokenizer.encode(text).ids
    if answers(model.config):
        return Prompt((start_token(model),), source_ids(tokenizer, ids), sample)
    return Prompt(opening(tokenizer, ids), None, sample)


def opened(prompt: Prompt, first: int | None) -> Prompt:
    """The prompt with the token that is forced to be a text's first, where it comes next."""
    return prompt if first is None or len(prompt.ids) != 1 else replace(prompt, ids=(*prompt.ids, first))


def beginning(tokenizer: Tokenizer) -> tuple[int, ...]:
    """What stands before a text that begins: what the tokenizer puts before every text, or the end token, which stands
    between documents in training, or the begin token, or nothing."""
    for token in (tokenizer.end, tokenizer.begin):
        if token is not None:
            return tokenizer.layout().before or (token,)
    return tokenizer.layout().before


def opening(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[int, ...]:
    """A decoder's tokens for a prompt; an empty one is a text that begins."""
    whole = (*tokenizer.layout().before, *ids) or beginning(tokenizer)
    if not whole:
        raise SettingsError("the prompt is empty and this tokenizer has no begin or end token: give at least one word")
    return whole


def source_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[int, ...]:
    """An encoder-decoder's source: the text and the end token, or what the tokenizer puts around texts (BART's)."""
    layout = tokenizer.layout()
    end = () if tokenizer.end is None else (tokenizer.end,)
    return (*layout.before, *ids, *(layout.after or end))


def start_token(model: Network) -> int:
    """What an encoder-decoder's decoder begins with."""
    return model.config.pad_token if model.config.start_token is None else model.config.start_token


def frame(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What an encoder expects before and after a text: the tokenizer's layout, or else its classify and separator."""
    layout = tokenizer.layout()
    if layout.before or layout.after or tokenizer.classify is None or tokenizer.separator is None:
        return layout.before, layout.after
    return (tokenizer.classify,), (tokenizer.separator,)
