"""A language model as suites use it, by three calls: how probable continuations are after prompts, what a text costs
in sliding windows, and what is written after a prompt.

What is asked twice is computed once, and similar lengths share a batch. Whatever is longer than the model's context
loses its beginning, which is counted. A prompt is a text, or ids where a chat template has written it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trivium.errors import SettingsError
from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import Completion, Piece, complete, stream_rows
from trivium.generation.prompts import Prompt, prompt_of, source_ids, start_token
from trivium.generation.questions import about_continuation, about_ids, about_text
from trivium.generation.sampling import Sampling
from trivium.generation.score import Score, answers, joined
from trivium.generation.score_rows import Question
from trivium.generation.search import Search
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers as replies
from trivium.transformer.network import writes

TOKENS = 8192  # in a batch, with padding
SIDE_BY_SIDE = 32  # texts that are written at once

AnyPrompt = str | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scorer:
    """``tokens``: of a batch."""

    model: Network
    tokenizer: Tokenizer
    tokens: int = TOKENS
    files: GenerationConfig = GenerationConfig()

    @property
    def kind(self) -> str:
        """decoder, encoder or encoder-decoder."""
        if not writes(self.model.config):
            return "encoder"
        return "encoder-decoder" if replies(self.model.config) else "decoder"

    def continuations(self, pairs: Sequence[tuple[AnyPrompt, str]]) -> tuple[list[Score], int]:
        """The score of each (prompt, continuation), and how many prompts were cut."""
        unique = list(dict.fromkeys(pairs))
        asked = [self._about(*pair) for pair in unique]
        limit = self.model.config.limit
        cut = [[shortened(question, limit) for question in each] for each in asked]
        found = iter(answers(self.model, [question for each in cut for question in each], self.tokens))
        scores = {pair: joined([next(found) for _ in each]) for pair, each in zip(unique, cut, strict=True)}
        shorter = {pair for pair, old, new in zip(unique, asked, cut, strict=True) if old != new}
        return [scores[pair] for pair in pairs], sum(pair in shorter for pair in pairs)

    def _about(self, prompt: AnyPrompt, continuation: str) -> list[Question]:
        about = about_continuation if isinstance(prompt, str) else about_ids
        return about(self.model, self.tokenizer, prompt, continuation)  # type: ignore[arg-type]

    def write(self, prompts: Sequence[AnyPrompt], sampling: Sampling | Search) -> tuple[list[Completion], int]:
        """What is written after each prompt, and how many prompts were cut so that ``max_tokens`` have a place. A
        search cuts none: what is too long is refused."""
        if isinstance(sampling, Search):
            return self._search(prompts, sampling), 0
        limit = self.model.config.limit
        whole = [self._prompt(each) for each in prompts]
        room = None if limit is None else max(1, limit - sampling.max_tokens)
        short = [each if room is None else _ending(each, room, limit) for each in whole]
        order = sorted(range(len(short)), key=lambda i: -len(short[i].source or short[i].ids))
        found: dict[int, Completion] = {}
        for start in range(0, len(order), SIDE_BY_SIDE):
            part = order[start : start + SIDE_BY_SIDE]
            pieces: list[list[Piece]] = [[] for _ in part]
            for piece in stream_rows(
                self.model, self.tokenizer, [short[i] for i in part], sampling, files=self.files
            ):
                pieces[piece.prompt].append(piece)
            found |= zip(part, map(_joined, pieces), strict=True)
        return [found[i] for i in range(len(prompts))], sum(a != b for a, b in zip(whole, short, strict=True))

    def _search(self, prompts: Sequence[AnyPrompt], search: Search) -> list[Completion]:
        texts = [each for each in prompts if isinstance(each, str)]
        if len(texts) < len(prompts):
            raise SettingsError("a chat template's prompts are not searched with beams: leave beams out")
        found: list[Completion] = []
        for start in range(0, len(texts), SIDE_BY_SIDE):
            part = texts[start : start + SIDE_BY_SIDE]
            found += complete(self.model, self.tokenizer, part, search, files=self.files)
        return found

    def _prompt(self, prompt: AnyPrompt) -> Prompt:
        if isinstance(prompt, str):
            return prompt_of(self.model, self.tokenizer, prompt)
        if replies(self.model.config):
            return Prompt((start_token(self.model),), source_ids(self.tokenizer, prompt))
        return Prompt(prompt)

    def text(self, text: str, context: int | None = None, stride: int | None = None) -> list[Score]:
        """One score for each window (by an encoder: for each masked token) of a text."""
        questions = about_text(self.model, self.tokenizer, text, stride, context)
        return answers(self.model, questions, self.tokens)


def _joined(pieces: Sequence[Piece]) -> Completion:
    """All pieces of one text."""
    last = pieces[-1]
    assert last.finish is not None
    return Completion(
        0, 0, "".join(piece.text for piece in pieces), last.finish,
        tuple(piece.token for piece in pieces if piece.token is not None),
        tuple(piece.log_probability for piece in pieces),
    )  # fmt: skip


def _ending(prompt: Prompt, room: int, limit: int | None) -> Prompt:
    """The end of what is read, as much as fits: a decoder's beside what it is to write."""
    if prompt.source is None:
        return replace(prompt, ids=prompt.ids[-room:])
    return replace(prompt, source=prompt.source[-limit:] if limit is not None else prompt.source)


def shortened(question: Question, limit: int | None) -> Question:
    """A question that fits: the beginning of what is only read is left out."""
    if limit is None:
        return question
    source = question.source
    if source is not None and len(source) > limit:
        question = replace(question, source=source[-limit:])
    extra = len(question.ids) - limit
    if extra <= 0:
        return question
    if question.source is not None or extra > min(question.positions):
        raise SettingsError(
            f"a continuation of {len(question.targets)} tokens does not fit into this model's context of {limit}: "
            "leave it out, or take a model with a longer context"
        )
    positions = tuple(place - extra for place in question.positions)
    return replace(question, ids=question.ids[extra:], positions=positions, known=max(0, question.known - extra))
