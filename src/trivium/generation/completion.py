"""Text in, text out: prompts to completions, streamed as pieces or all at once.

A decoder continues the prompt. An encoder-decoder reads the prompt and writes an answer to it. Texts end with the
tokens that the model's files name, or else with the tokenizer's end token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trivium.errors import SettingsError
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
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers


@dataclass(frozen=True)
class Piece:
    """What one step adds to one completion; ``finish`` is set on its last piece."""

    prompt: int  # which prompt, from 0
    sample: int  # which completion of that prompt, from 0
    text: str  # whole characters; may be empty
    token: int | None  # None: the model ended the text, and what was held back comes
    log_probability: float  # natural log, by the model itself, before temperature and filters
    finish: Finish | None = None
    acceptance: float | None = None  # on the last piece, of the draft tokens that were looked at the accepted share


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
    score: float | None = None  # what beam search ranked it by
    acceptance: float | None = None  # where another model drafted: the accepted share of its tokens

    def __str__(self) -> str:
        return self.text


def stream(
    model: Network, tokenizer: Tokenizer, prompts: Sequence[str], sampling: Sampling | Contrastive, samples: int = 1,
    files: GenerationConfig = GenerationConfig(), draft: Draft | None = None,  # noqa: B008 (frozen)
) -> Iterator[Piece]:  # fmt: skip
    """Yields pieces as tokens are chosen, all prompts and their samples side by side; with a ``draft`` model one after
    another."""
    _check_samples(samples)
    rows = [prompt_of(model, tokenizer, text, sample) for text in prompts for sample in range(samples)]
    return stream_rows(model, tokenizer, rows, sampling, samples, files, draft)


def stream_rows(
    model: Network, tokenizer: Tokenizer, rows: Sequence[Prompt], sampling: Sampling | Contrastive, samples: int = 1,
    files: GenerationConfig = GenerationConfig(), draft: Draft | None = None,  # noqa: B008 (frozen)
) -> Iterator[Piece]:  # fmt: skip
    """The same of prompts that are ids already, each prompt's ``samples`` side by side."""
    ends, forced = end_tokens(tokenizer, files), Forced(files.first, files.last)
    texts = _streams(model, tokenizer, rows, sampling.stop)
    if isinstance(sampling, Contrastive):
        if draft is not None:
            raise SettingsError("contrastive search tries each token itself: leave out the draft model")
        contrasting = ContrastiveDecoding(model, rows, sampling, ends, tokenizer.vocab_size, forced)
        return _pieces(contrasting, texts, samples) if rows else iter(())
    followed: list[Guide] = []
    if sampling.form:  # what is forced to be first writes no text, and what is forced to be last would cut it short
        followed, forced = guides(tokenizer, sampling.form, ends, len(rows), answers(model.config)), Forced()
        rows = [opened(row, files.first) for row in rows]
    size = tokenizer.vocab_size
    if draft is not None:
        speculating = SpeculativeDecoding(model, rows, sampling, ends, size, draft, forced, followed)
        pieces = _pieces(speculating, texts, samples)
        return (_told(piece, speculating.acceptance[piece.prompt * samples + piece.sample]) for piece in pieces)
    decoding = Decoding(model, rows, sampling, ends, size, forced, followed)  # refuses what cannot be done
    return _pieces(decoding, texts, samples) if rows else iter(())


def _told(piece: Piece, acceptance: Acceptance) -> Piece:
    """The last piece of a text says how the draft did."""
    return replace(piece, acceptance=acceptance.rate) if piece.finish else piece


class _Steps(Protocol):
    """Each of the ways to write token by token."""

    def __iter__(self) -> Iterator[list[Choice]]: ...
    def stop(self, row: int) -> None: ...


def _pieces(decoding: _Steps, texts: Sequence[TextStream], samples: int) -> Iterator[Piece]:
    for step in decoding:
        for choice in step:
            text, ended = texts[choice.row], choice.finish == "end"
            piece = "" if ended else text.push(choice.token)
            finish = choice.finish
            if text.stopped:
                decoding.stop(choice.row)
                finish = "stop"
            elif finish:
                piece += text.flush()
            prompt, sample = divmod(choice.row, samples)
            yield Piece(prompt, sample, piece, None if ended else choice.token, choice.log_probability, finish)


def complete(
    model: Network, tokenizer: Tokenizer, prompts: Sequence[str], sampling: Sampling | Search | Contrastive,
    samples: int = 1, files: GenerationConfig = GenerationConfig(), draft: Draft | None = None,  # noqa: B008 (frozen)
) -> list[Completion]:  # fmt: skip
    """All completions, by prompt and then by sample; of a search the best, by falling score."""
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
    return [_joined(pieces[place]) for place in sorted(pieces)]


def _joined(pieces: Sequence[Piece]) -> Completion:
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
    )


def _searched(
    model: Network, tokenizer: Tokenizer, prompts: Sequence[str], settings: Search, samples: int,
    files: GenerationConfig,
) -> list[Completion]:  # fmt: skip
    _check_samples(samples)
    if not prompts:
        return []
    rows = [prompt_of(model, tokenizer, text) for text in prompts]
    streams = _streams(model, tokenizer, rows, settings.stop)
    ends, forced = end_tokens(tokenizer, files), Forced(files.first, files.last)
    watched = streams if settings.stop else None
    found = search(model, rows, settings, ends, tokenizer.vocab_size, forced, watched)
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


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise SettingsError(f"samples is {samples}: it must be at least 1")


def end_tokens(tokenizer: Tokenizer, files: GenerationConfig) -> frozenset[int]:
    """Those that the model's files name, or else the tokenizer's."""
    return files.ends or (frozenset() if tokenizer.end is None else frozenset({tokenizer.end}))


def _streams(model: Network, tokenizer: Tokenizer, rows: Sequence[Prompt], stop: Sequence[str]) -> list[TextStream]:
    continues = not answers(model.config)
    return [TextStream(tokenizer.decode, stop, row.ids if continues else ()) for row in rows]
