"""What a model reads before it writes: a decoder's first tokens, an encoder-decoder's source and start token."""

from collections.abc import Sequence
from dataclasses import dataclass

from trivium.errors import SettingsError
from trivium.tokenizers import Tokenizer
from trivium.transformer import Model


@dataclass(frozen=True)
class Prompt:
    """One sequence to continue: the decoder's tokens so far, and what the encoder reads where there is one."""

    ids: tuple[int, ...]
    source: tuple[int, ...] | None = None
    sample: int = 0  # which of several completions of the same prompt: it keys their randomness


def prompt_of(model: Model, tokenizer: Tokenizer, text: str, sample: int = 0) -> Prompt:
    """The prompt a text becomes: the beginning to continue, or the source to answer."""
    ids = tokenizer.encode(text).ids
    if model.config.encoder_layers:
        return Prompt((start_token(model),), source_ids(tokenizer, ids), sample)
    return Prompt(opening(tokenizer, ids), None, sample)


def opening(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[int, ...]:
    """A decoder's tokens for a text that begins here: after what the tokenizer puts before every text, if anything.

    An empty text is begun by the end token, which stands between documents in training, or else by the begin token.
    """
    whole = (*tokenizer.layout().before, *ids)
    if whole:
        return whole
    begin = tokenizer.begin if tokenizer.end is None else tokenizer.end
    if begin is None:
        raise SettingsError("the prompt is empty and this tokenizer has no begin or end token: give at least one word")
    return (begin,)


def source_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[int, ...]:
    """An encoder-decoder's source: the text and the end token."""
    return (*ids,) if tokenizer.end is None else (*ids, tokenizer.end)


def start_token(model: Model) -> int:
    """What an encoder-decoder's decoder begins with."""
    return model.config.pad_token if model.config.start_token is None else model.config.start_token
