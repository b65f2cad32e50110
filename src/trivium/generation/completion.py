"""Text in, text out: prompts to completions, streamed as pieces or all at once.

A decoder continues the prompt. An encoder-decoder reads the prompt and writes an answer to it. Texts end with the
tokens that the model's files name, or else with the tokenizer's end token. ``writer.py`` does the same for requests
that come one after another.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trivium.errors import SettingsError, TriviumError
from trivium.families.generation_config import GenerationConfig
from trivium.generation.constraints import Guide, guides
from trivium.generation.contrastive import Contrastive, ContrastiveDecoding
from trivium.generation.engine import Choice, Decoding, Finish
from trivium.generation.prompts import Prompt, opened, prompt_of
from trivium.generation.rules import Forced
from trivium.generation.sampling import Sampling
from trivium.generation.search import Search, search
from trivium.generation.speculative import Acceptance, Draft, SpeculativeDecoding
from trivium.generation.text_stream import TextStream
from trivium.generation.wording import wording
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers


@dataclass(frozen=True)
class Likely:
    """A token that could have come, and its log-probability by the model itself."""

    token: int
    text: str
    log_probability: float


@dataclass(frozen=True)
class Piece:
    """What one step adds to one completion; ``finish`` is set on its last piece. Where that is ``error``, ``problem``
    says why the text does not go on."""

    prompt: int  # which prompt, from 0
    sample: int  # which completion of that prompt, from 0
    text: str  # whole characters; may be empty
    token: int | None  # None: the model ended the text, and what was held back comes
    log_probability: float  # natural log, by the model itself, before temperature and filters
    finish: Finish | None = None
    acceptance: float | None = None  # on the last piece, of the draft tokens that were looked at the accepted share
    top: tuple[Likely, ...] = ()  # as many as were asked for, by falling probability
    problem: TriviumError | None = None
    end: int | None = None  # the token with which the model ended the text


@dataclass(frozen=True)
class Completion:
    """One text written by the model, and why it ended there.

    ``finish``: ``end`` the model ended the text, ``stop`` a stop string came (it is not part of ``text``) or the text
    has its prescribed form and nothing more may come, ``length`` ``max_tokens`` were written, ``context`` the model's
    context is full.
    """

    prompt: int
    sample: int
    text: str
    finish: Finish
    tokens: tuple[int, ...]  # those of a stop string included, the end token not
    log_probabilities: tuple[float, ...]  # one a token, then that of the end token where the model ended the text
    score: float | None = None  # what beam search ranked it by; of the best of several, the mean log-probability
    acceptance: float | None = None  # where another model drafted: the accepted share of its tokens
    top: tuple[tuple[Likely, ...], ...] = ()  # one a log-probability, where they were asked for

    @property
    def mean_log_probability(self) -> float:
        """Of a token, the end token among them."""
        return sum(self.log_probabilities) / len(self.log_probabilities)

    def __str__(self) -> str:
        return self.text


def stream(
    model: Network, tokenizer: Tokenizer, prompts: Sequence[str], sampling: Sampling | Contrastive, samples: int = 1,
    files: GenerationConfig = GenerationConfig(), draft: Draft | None = None,  # noqa: B008 (frozen)
) -> Iterator[Piece]:  # fmt: skip
    """Yields pieces as tokens are chosen, all prompts and their samples side by side; with a ``draft`` model one after
    another."""
    check_samples(samples)
    rows = [prompt_of(model, tokenizer, text, sample) for text in prompts for sample in range(samples)]
    return stream_rows(model, tokenizer, rows, sampling, samples, files, draft)


def stream_rows(
    model: Network, tokenizer: Tokenizer, rows: Sequence[Prompt], sampling: Sampling | Contrastive, samples: int = 1,
    files: GenerationConfig = GenerationConfig(), draft: Draft | None = None,  # noqa: B008 (frozen)
) -> Iterator[Piece]:  # fmt: skip
    """The same of prompts that are ids already, each prompt's ``samples`` side by side."""
    ends, forced = end_tokens(tokenizer, files), Forced(files.first, files.last)
    texts = text_streams(model, tokenizer, rows, sampling.stop)
    if isinstance(sampling, Contrastive):
        if draft is not None:
            raise SettingsError("contrastive search tries each token itself: leave out the draft model")
        words = wording(sampling, tokenizer)
        contrasting = ContrastiveDecoding(model, rows, sampling, ends, tokenizer.vocab_size, forced, words)
        return _pieces(contrasting, texts, samples, tokenizer) if rows else iter(())
    followed: list[Guide] = []
    if sampling.form:  # what is forced to be first writes no text, and what is forced to be last would cut it short
        followed, forced = guides(tokenizer, sampling.form, ends, len(rows), answers(model.config)), Forced()
        rows = [opened(row, files.first) for row in rows]
    size, words = tokenizer.vocab_size, wording(sampling, tokenizer)
    if draft is not None:
        if sampling.forced_words or sampling.top_log_probabilities:
            name = "forced_words" if sampling.forced_words else "top_log_probabilities"
            raise SettingsError(f"{name} cannot be had where another model drafts: leave out one")
        speculating = SpeculativeDecoding(model, rows, sampling, ends, size, draft, forced, followed, words)
        pieces = _pieces(speculating, texts, samples, tokenizer)
        return (_told(piece, speculating.acceptance[piece.prompt * samples + piece.sample]) for piece in pieces)
    decoding = Decoding(model, rows, sampling, ends, size, forced, followed, words)  # refuses what cannot be done
    return _pieces(decoding, texts, samples, tokenizer) if rows else iter(())


def _told(piece: Piece, acceptance: Acceptance) -> Piece:
    """The last piece of a text says how the draft did."""
    return replace(piece, acceptance=acceptance.rate) if piece.finish else piece


class _Steps(Protocol):
    """Each of the ways to write token by token."""

    def __iter__(self) -> Iterator[list[Choice]]: ...
    def stop(self, row: int) -> None: ...


def _pieces(
    decoding: _Steps, texts: Sequence[TextStream], samples: int, tokenizer: Tokenizer
) -> Iterator[Piece]:
    for step in decoding:
        for choice in step:
            yield piece_of(choice, texts[choice.row], divmod(choice.row, samples), decoding.stop, tokenizer)


def piece_of(
    choice: Choice, text: TextStream, place: tuple[int, int], stop: Callable[[int], None], tokenizer: Tokenizer
) -> Piece:
    """What a token adds to a text, of a prompt and a sample; where a stop string is complete, ``stop`` is told."""
    gone = choice.finish in ("end", "error")
    piece = "" if gone else text.push(choice.token)
    finish = choice.finish
    if text.stopped:
        stop(choice.row)
        finish = "stop"
    elif finish:
        piece += text.flush()
    top = tuple(Likely(token, tokenizer.decode([token], skip_special=False), chance) for token, chance in choice.top)
    token = None if gone else choice.token
    end = choice.token if finish == "end" else None
    return Piece(*place, piece, token, choice.log_probability, finish, top=top, problem=choice.problem, end=end)


def complete(
    model: Network, tokenizer: Tokenizer, prompts: Sequence[str], sampling: Sampling | Search | Contrastive,
    samples: int = 1, files: GenerationConfig = GenerationConfig(), draft: Draft | None = None,  # noqa: B008 (frozen)
    best_of: int | None = None,
) -> list[Completion]:  # fmt: skip
    """All completions, by prompt and then by sample; of a search the best, by falling score. ``best_of``: so many are
    written, and the ``samples`` of the highest mean log-probability are kept, the best first."""
    if best_of is not None:
        _check_best_of(best_of, samples, sampling)
        made = complete(model, tokenizer, prompts, sampling, best_of, files, draft)
        groups = [made[start : start + best_of] for start in range(0, len(made), best_of)]
        return [each for group in groups for each in best(group, samples)]
    if isinstance(sampling, Search):
        if draft is not None:
            raise SettingsError("beam search follows several texts at once, for which nothing can be drafted")
        if samples > sampling.beams:
            raise SettingsError(f"{samples} texts cannot be had from {sampling.beams} beams: ask for as many beams")
        if sampling.beams > 1:
            return _searched(model, tokenizer, prompts, sampling, samples, files)
        sampling = sampling.greedy
    pieces: dict[tuple[int, int], list[Piece]] = {}
    for piece in stream(model, tokenizer, prompts, sampling, samples, files, draft):
        pieces.setdefault((piece.prompt, piece.sample), []).append(piece)
    return [joined(pieces[place]) for place in sorted(pieces)]


def best(completions: Sequence[Completion], count: int) -> list[Completion]:
    """The ``count`` completions with the highest mean log-probability, the best first, with that as their score."""
    ranked = sorted(completions, key=lambda each: -each.mean_log_probability)  # of equal ones the first
    return [replace(each, score=each.mean_log_probability) for each in ranked[:count]]


def _check_best_of(best_of: int, samples: int, sampling: Sampling | Search | Contrastive) -> None:
    if not isinstance(sampling, Sampling):
        raise SettingsError("best_of ranks texts that are drawn, and beam search ranks its own: leave out one")
    if sampling.greedy:
        raise SettingsError("with temperature 0 all texts are the same, and none is the best of them: raise it")
    if best_of < samples:
        raise SettingsError(f"the best {samples} of {best_of} texts cannot be had: write as many, or ask for fewer")


def joined(pieces: Sequence[Piece]) -> Completion:
    """All pieces of one completion."""
    last = pieces[-1]
    assert last.finish is not None
    return Completion(
        last.prompt,
        last.sample,
        "".join(piece.text for piece in pieces),
        last.finish,
        tuple(piece.token for piece in pieces if piece.token is not None),
        tuple(piece.log_probability for piece in pieces),
        acceptance=last.acceptance,
        top=tuple(piece.top for piece in pieces) if last.top else (),
    )


def _searched(
    model: Network, tokenizer: Tokenizer, prompts: Sequence[str], settings: Search, samples: int,
    files: GenerationConfig,
) -> list[Completion]:  # fmt: skip
    check_samples(samples)
    if not prompts:
        return []
    rows = [prompt_of(model, tokenizer, text) for text in prompts]
    streams = text_streams(model, tokenizer, rows, settings.stop)
    ends, forced = end_tokens(tokenizer, files), Forced(files.first, files.last)
    watched = streams if settings.stop else None
    words = wording(settings, tokenizer)
    found = search(model, rows, settings, ends, tokenizer.vocab_size, forced, watched, words)
    completions = []
    for prompt, best in enumerate(found):
        for sample, each in enumerate(best[:samples]):
            assert each.finish is not None
            tokens = each.tokens[:-1] if each.finish == "end" else each.tokens
            text = streams[prompt].fork()
            for token in tokens:
                text.push(token)
            text.flush()
            completions.append(
                Completion(prompt, sample, text.text, each.finish, tokens, each.log_probabilities, each.score)
            )
    return completions


def check_samples(samples: int) -> None:
    """Refuses none and fewer."""
    if samples < 1:
        raise SettingsError(f"samples is {samples}: it must be at least 1")


def end_tokens(tokenizer: Tokenizer, files: GenerationConfig) -> frozenset[int]:
    """Those that the model's files name, or else the tokenizer's."""
    return files.ends or (frozenset() if tokenizer.end is None else frozenset({tokenizer.end}))


def text_streams(
    model: Network, tokenizer: Tokenizer, rows: Sequence[Prompt], stop: Sequence[str]
) -> list[TextStream]:
    """What turns the tokens of each row into text."""
    continues = not answers(model.config)
    return [TextStream(tokenizer.decode, stop, row.ids if continues else ()) for row in rows]
