"""Which questions a text makes: a continuation after a prompt, or a whole text in sliding windows.

Decoders, encoder-decoders and two-stream networks give the exact log-probability. Encoders have none; for them every
token is masked in turn and the log-probabilities of the masked tokens are added up: the pseudo-log-likelihood of
Salazar et al. (2020).
"""

from collections.abc import Sequence

from trivium.errors import SettingsError
from trivium.generation.prompts import beginning, frame, opening, source_ids, start_token
from trivium.generation.score_rows import Question
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers, writes


def about_continuation(model: Network, tokenizer: Tokenizer, prompt: str, continuation: str) -> list[Question]:
    """How probable is ``continuation`` after ``prompt``? A token that spans both counts as the continuation's."""
    if answers(model.config):
        targets = tuple(tokenizer.encode(continuation).ids)
        _check_not_empty(targets)
        inputs = (start_token(model), *targets[:-1])
        source = source_ids(tokenizer, tokenizer.encode(prompt).ids)
        return [Question(inputs, tuple(range(len(targets))), targets, source)]
    whole = tokenizer.encode(prompt + continuation)
    known = next((i for i, (_, end) in enumerate(whole.offsets) if end > len(prompt)), len(whole.ids))
    _check_not_empty(whole.ids[known:])
    if not writes(model.config):
        return _masked(tokenizer, whole.ids, range(known, len(whole.ids)))
    begun, targets = opening(tokenizer, whole.ids[:known]), tuple(whole.ids[known:])
    positions = tuple(range(len(begun) - 1, len(begun) + len(targets) - 1))
    return [Question((*begun, *targets[:-1]), positions, targets, known=len(begun))]


def about_ids(model: Network, tokenizer: Tokenizer, prompt: Sequence[int], continuation: str) -> list[Question]:
    """The same after a prompt of ids, such as one that a chat template has written."""
    targets = tuple(tokenizer.encode(continuation).ids)
    _check_not_empty(targets)
    if answers(model.config):
        inputs = (start_token(model), *targets[:-1])
        return [Question(inputs, tuple(range(len(targets))), targets, source_ids(tokenizer, prompt))]
    if not writes(model.config):
        return _masked(tokenizer, (*prompt, *targets), range(len(prompt), len(prompt) + len(targets)))
    last = len(prompt) - 1
    ids = (*prompt, *targets[:-1])
    return [Question(ids, tuple(range(last, last + len(targets))), targets, known=len(prompt))]


def about_text(
    model: Network, tokenizer: Tokenizer, text: str, stride: int | None = None, context: int | None = None
) -> list[Question]:
    """How probable is each token of a text, up to a context of text before it being seen?

    Windows of ``context`` tokens (the model's) move by ``stride`` (half of it). The first token is counted where the
    tokenizer has a token to begin with. By an encoder: within pieces that fill the context. By a model without a
    longest text: each token sees all before it, and there are no windows unless a context is given.
    """
    ids = tokenizer.encode(text).ids
    windowed = context is not None or model.config.limit is not None
    context = _context(model, context)
    if not writes(model.config):
        room = context - sum(map(len, frame(tokenizer)))
        if room < 1:
            raise SettingsError(f"context is {context}: no text fits beside the control tokens; make it longer")
        parts = [ids[start : start + room] for start in range(0, len(ids), room)]
        return [question for part in parts for question in _masked(tokenizer, part, range(len(part)))]
    if answers(model.config):
        raise SettingsError(
            "an encoder-decoder gives no probability to a text alone: score a continuation after a prompt instead"
        )
    begun = (*beginning(tokenizer), *ids)
    if not windowed:
        count = len(begun) - 1
        return [Question(begun[:-1], tuple(range(count)), begun[1:])] if count else []
    return [
        Question(
            begun[start:end],
            tuple(range(end - start - scored, end - start)),
            begun[end - scored + 1 : end + 1],
            known=end - start - scored + 1,
        )
        for start, end, scored in windows(len(begun) - 1, context, max(1, context // 2) if stride is None else stride)
    ]


def _context(model: Network, wanted: int | None) -> int:
    limit = model.config.limit
    if wanted is None:
        return model.config.context
    if wanted < 1 or limit is not None and wanted > limit:
        raise SettingsError(f"context is {wanted}: it must be between 1 and what this model reads, {limit or 'any'}")
    return wanted


def windows(count: int, context: int, stride: int) -> list[tuple[int, int, int]]:
    """(begin, end, scored) of the windows over ``count`` predictions; each is scored once, in its first window.

    The first window scores all it holds, later ones their last ``stride``.
    """
    if not 1 <= stride <= context:
        raise SettingsError(f"stride is {stride}: it must be between 1 and the context, {context}")
    cuts = [(0, min(context, count), min(context, count))] if count else []
    while cuts and cuts[-1][1] < count:
        begin, end = cuts[-1][:2]
        following = min(end + stride, count)
        cuts.append((begin + stride, following, following - end))
    return cuts


def _masked(tokenizer: Tokenizer, ids: Sequence[int], places: Sequence[int]) -> list[Question]:
    """A question for each place: the token there when it is masked and all others are seen."""
    if tokenizer.mask is None:
        raise SettingsError("this model's tokenizer has no mask token, which an encoder's scores need")
    before, after = frame(tokenizer)
    row = (*before, *ids, *after)
    shifted = [place + len(before) for place in places]
    return [Question((*row[:at], tokenizer.mask, *row[at + 1 :]), (at,), (row[at],)) for at in shifted]


def _check_not_empty(targets: Sequence[int]) -> None:
    if not targets:
        raise SettingsError("the continuation to score is empty: give at least one character")
