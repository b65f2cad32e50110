"""Filling blanks of any length with a model trained on span corruption (Raffel et al. 2020, section 3.1.4).

The encoder reads the text with a sentinel in each blank; the decoder writes sentinel, span, next sentinel and so on.
Blanks are filled from left to right. Candidates for a blank begin with its most probable first tokens, each continued
with the most probable tokens up to the next sentinel. They are different texts, so their probabilities, which include
that of ending there, add up to at most 1.

A blank of a chosen size gets exactly so many tokens: none of the sentinels comes before, and nothing after. (T5's
``fill_in_the_blank_sized`` has the size written in the text, for models that were trained on such texts.)
"""

from collections.abc import Generator, Iterator, Sequence

from trivium.errors import SettingsError
from trivium.generation.blanks import split, with_blanks
from trivium.generation.engine import next_tokens, run_in_steps
from trivium.generation.fill import Blank, Candidate, Filling
from trivium.generation.prompts import Prompt, source_ids, start_token
from trivium.generation.sampling import Sampling
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network


def fill_spans(
    model: Network, tokenizer: Tokenizer, texts: Sequence[str], top: int = 5, max_tokens: int = 20,
    size: Sequence[int] = (),
) -> list[Filling]:  # fmt: skip
    """Fills the blanks of each text; ``top`` candidates a blank, of at most ``max_tokens`` tokens each. ``size``: of
    exactly so many, one number for every blank or one for all."""
    fillings = []
    for text in texts:
        *_, filling = fill_in_steps(model, tokenizer, text, top, max_tokens, size)
        assert filling is not None
        fillings.append(filling)
    return fillings


def fill_in_steps(
    model: Network, tokenizer: Tokenizer, text: str, top: int = 5, max_tokens: int = 20, size: Sequence[int] = ()
) -> Iterator[Filling | None]:
    """The same of one text, for a caller who has other work between two tokens: None after each, the filling at the
    end."""
    if top < 1:
        raise SettingsError(f"top is {top}: it must be at least 1")
    if min(size, default=1) < 1:
        raise SettingsError(f"size is {min(size)}: a blank has at least 1 token")
    parts = split(text)
    count = len(parts) - 1
    if count > len(tokenizer.sentinels):
        raise SettingsError(
            f"the text has {count} blanks, and this tokenizer has {len(tokenizer.sentinels)} sentinels: "
            + ("split the text" if tokenizer.sentinels else "fill needs a model trained by span corruption")
        )
    if len(size) not in (0, 1, count):
        raise SettingsError(f"the text has {count} blanks and {len(size)} sizes are given: give one, or one for each")
    sizes: list[int | None] = [*size] * count if len(size) == 1 else [*size] or [None] * count
    sentinels = tokenizer.sentinels[:count]
    source = source_ids(tokenizer, with_blanks(parts, lambda part: tokenizer.encode(part).ids, sentinels))
    written = [start_token(model)]
    blanks = []
    for sentinel, wanted in zip(sentinels, sizes, strict=True):
        written.append(sentinel)
        blank = yield from _candidates(model, tokenizer, Prompt(tuple(written), source), top, max_tokens, wanted)
        blanks.append(blank)
        written += blank.candidates[0].tokens
        yield None
    whole = with_blanks(parts, lambda part: tokenizer.encode(part).ids, sentinels)
    spans = dict(zip(sentinels, (blank.candidates[0].tokens for blank in blanks), strict=True))
    filled = [token for original in whole for token in spans.get(original, (original,))]
    yield Filling(tokenizer.decode(filled), tuple(blanks))


def _candidates(
    model: Network, tokenizer: Tokenizer, prompt: Prompt, top: int, max_tokens: int, size: int | None
) -> Generator[None, None, Blank]:  # fmt: skip
    ends = frozenset(tokenizer.sentinels) | ({tokenizer.end} if tokenizer.end is not None else set())
    first = next_tokens(model, prompt, tokenizer.vocab_size).exp()  # (V,)
    first[list(ends)] = 0.0  # a blank is never empty in training; what the model thinks of it counts as other
    best = first.topk(min(top, len(first)))
    starts = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    if size == 1:
        candidates = [Candidate(tokenizer.decode([token]), probability, (token,)) for token, probability in starts]
    else:
        candidates = []
        more = max_tokens if size is None else size - 1
        greedy = Sampling(max_tokens=more, temperature=0, min_tokens=0 if size is None else more)
        rows = [Prompt((*prompt.ids, token), prompt.source) for token, _ in starts]
        texts = yield from run_in_steps(model, rows, greedy, ends, tokenizer.vocab_size)
        for (token, probability), row in zip(starts, texts, strict=True):
            tokens = (token, *row.tokens)
            candidates.append(Candidate(tokenizer.decode(tokens), probability * row.probability, tokens))
    candidates.sort(key=lambda candidate: -candidate.probability)
    return Blank(tuple(candidates), max(0.0, 1.0 - sum(c.probability for c in candidates)))
