"""``POST /v1/completions``: texts that go on from prompts, as OpenAI's API has it.

``prompt`` is a text, a list of texts, token ids, or a list of those. ``echo`` puts the prompt before the text, and with
``logprobs`` says what each of its tokens cost, by which evaluation harnesses score. ``suffix`` needs a model that was
trained to infill. What is left out is refused by name.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from trivium.generation.completion import Piece, best, joined
from trivium.generation.constraints import Guide
from trivium.generation.prompt_scores import Told, prompt_scores
from trivium.generation.prompts import Prompt, opening, source_ids, start_token
from trivium.generation.sampling import Sampling
from trivium.serving.abilities import infilling_tokens
from trivium.serving.bodies import Listed
from trivium.serving.choices import TokenLog, prompt_log, reason, written_log
from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal
from trivium.serving.sampling_fields import SamplingFields
from trivium.serving.streams import respond

Ids = Annotated[Listed[int], Field(max_length=1 << 20)]
SCORED = 1024  # tokens of prompts whose log-probabilities are worked out between two steps


class CompletionFields(SamplingFields):
    """The body of a request."""

    prompt: str | Listed[str] | Ids | Listed[Ids] = Field(description="A text, several, or their tokens.")
    max_tokens: int = Field(16, ge=0, description="The most tokens of a text; 0 with echo: only the prompt is scored.")
    best_of: int | None = Field(None, ge=1, description="How many are written; the n most probable by token are given.")
    echo: bool = Field(False, description="Give the prompt before the text.")
    logprobs: int | None = Field(None, ge=0, description="Log-probabilities, and this many alternatives to each token.")
    suffix: str | None = Field(None, description="What comes after the text, for models that were trained to infill.")


@dataclass(frozen=True)
class _Asked:
    """A prompt as the model reads it, and as an echo gives it. ``own``: the ids that are the client's, which stand at
    the end of the prompt's."""

    prompt: Prompt
    text: str
    own: tuple[int, ...]


def routes(house: House) -> APIRouter:
    """``POST /v1/completions``."""
    router = APIRouter()

    @router.post("/v1/completions", tags=["OpenAI"], summary="Texts that go on from prompts")
    async def completions(request: Request, body: CompletionFields) -> Response:
        """A decoder continues them, an encoder-decoder answers them; whole or as a stream of server-sent events."""
        served = house.served(body.model, "complete" if body.suffix is None else "infill")
        sampling = checked(body, served, house)
        asked, ends = await asyncio.to_thread(_prompts, body, served, house)
        guide = await asyncio.to_thread(served.guide, sampling, ends)
        work = _Work(house, request.state.key, served, body, sampling, asked, ends, guide)
        return await respond(work, body.stream)

    return router


def checked(body: CompletionFields, served: Served, house: House) -> Sampling:
    """The settings; refuses those that do not go together."""
    if body.best_of is not None:
        if body.stream:
            raise Refusal(400, "best_of ranks whole texts: leave out stream, or best_of", param="best_of")
        if not body.n <= body.best_of <= house.settings.caps.choices:
            most = house.settings.caps.choices
            raise Refusal(400, f"best_of is {body.best_of}: it must be from n to {most}", param="best_of")
    if body.max_tokens == 0 and not body.echo:
        raise Refusal(400, "max_tokens is 0: without echo nothing would be given", param="max_tokens")
    limit = served.model.config.limit
    if limit is not None and body.max_tokens > limit:
        raise Refusal(
            400, f"max_tokens is {body.max_tokens}, and the context of {served.name} is {limit}: lower it",
            param="max_tokens",
        )  # fmt: skip
    if body.echo and body.suffix is not None:
        raise Refusal(400, "echo gives the prompt before the text, and suffix what comes after: leave out one",
                      param="echo")  # fmt: skip
    if body.echo and body.logprobs is not None and served.model.kind != "decoder":
        raise Refusal(400, f"{served.name} answers its prompt, which has no log-probabilities: leave out echo",
                      param="echo")  # fmt: skip
    return body.sampling(max(1, body.max_tokens), body.logprobs or 0, house.settings.caps)


def _prompts(body: CompletionFields, served: Served, house: House) -> tuple[list[_Asked], frozenset[int]]:
    """All prompts, and the tokens that end texts between them and a suffix. Not on the event loop."""
    given: Sequence[str | list[int]]
    if isinstance(body.prompt, str):
        given = [body.prompt]
    elif body.prompt and isinstance(body.prompt[0], int):
        given = [[each for each in body.prompt if isinstance(each, int)]]
    else:
        given = [each for each in body.prompt if not isinstance(each, int)]
    if not given:
        raise Refusal(400, "prompt is an empty list: give at least one", param="prompt")
    if len(given) > house.settings.caps.texts:
        raise Refusal(
            400, f"prompt has {len(given)} texts: at most {house.settings.caps.texts} may be in one request",
            param="prompt",
        )  # fmt: skip
    most = house.settings.caps.text_characters
    if any(isinstance(each, str) and len(each) > most for each in (*given, body.suffix or "")):
        raise Refusal(400, f"a text has more than {most:,} characters: shorten it", param="prompt")
    if body.suffix is not None:
        return _between(given, body.suffix, served)
    return [_asked(each, served) for each in given], frozenset()


def _asked(given: str | list[int], served: Served) -> _Asked:
    model, tokenizer = served.model.model, served.model.tokenizer
    ids = _own_ids(given, served)
    text = given if isinstance(given, str) else tokenizer.decode(ids, skip_special=False)
    if served.model.kind == "encoder-decoder":
        source = source_ids(tokenizer, ids) if isinstance(given, str) else ids
        return _Asked(Prompt((start_token(model),), tuple(source)), text, tuple(ids))
    if isinstance(given, str):
        return _Asked(Prompt(opening(tokenizer, ids)), text, tuple(ids))
    return _Asked(Prompt(tuple(ids)), text, tuple(ids))


def _own_ids(given: str | list[int], served: Served) -> list[int]:
    tokenizer = served.model.tokenizer
    if isinstance(given, str):
        return tokenizer.encode(given).ids
    if not given:
        raise Refusal(400, "prompt has an empty list of tokens: give at least one", param="prompt")
    strange = next((each for each in given if not 0 <= each < tokenizer.vocab_size), None)
    if strange is not None:
        raise Refusal(
            400, f"prompt has the token {strange}, and {served.name} has {tokenizer.vocab_size} tokens, from 0 on",
            param="prompt",
        )  # fmt: skip
    return given


def _between(
    given: Sequence[str | list[int]], suffix: str, served: Served
) -> tuple[list[_Asked], frozenset[int]]:
    """What comes between a prompt and a suffix: a decoder reads both and writes the middle (Bavarian et al. 2022), an
    encoder-decoder fills a blank between them (Raffel et al. 2020)."""
    model, tokenizer = served.model.model, served.model.tokenizer
    after = tokenizer.encode(suffix).ids
    marks = infilling_tokens(tokenizer) if served.model.kind == "decoder" else None
    found = []
    for each in given:
        ids = _own_ids(each, served)
        if marks is not None:
            prefix, tail, middle = marks
            whole = (*tokenizer.layout().before, prefix, *ids, tail, *after, middle)
            found.append(_Asked(Prompt(whole), "", tuple(ids)))
            continue
        blank = tokenizer.sentinels[0]
        source = source_ids(tokenizer, [*ids, blank, *after])
        found.append(_Asked(Prompt((start_token(model), blank), source), "", tuple(ids)))
    return found, frozenset(marks or tokenizer.sentinels)


@dataclass
class _Work:
    """One request on its way."""

    house: House
    key: str
    served: Served
    body: CompletionFields
    sampling: Sampling
    asked: list[_Asked]
    ends: frozenset[int]
    guide: Guide | None

    def __post_init__(self) -> None:
        self.id, self.created = f"cmpl-{uuid.uuid4().hex}", int(time.time())
        self.samples = self.body.best_of or self.body.n
        self.tokens = 0  # that were written, ends among them

    async def answer(self) -> dict[str, Any]:
        """The whole answer."""
        pieces: dict[tuple[int, int], list[Piece]] = {
            (number, sample): [] for number in range(len(self.asked)) for sample in range(self.samples)
        }
        logs = await self._prompt_logs()
        if self.body.max_tokens:
            async with aclosing(self._written()) as steps:
                async for step in steps:
                    for piece in step:
                        pieces[piece.prompt, piece.sample].append(piece)
        choices: list[dict[str, Any]] = []
        for number, asked in enumerate(self.asked):
            texts = [pieces[number, sample] for sample in range(self.samples)]
            if self.body.best_of is not None and self.body.max_tokens:
                ranked = best([joined(each) for each in texts], self.body.n)
                texts = [texts[each.sample] for each in ranked]
            for text in texts[: self.body.n]:
                choices.append(await asyncio.to_thread(self._choice, len(choices), asked, text, logs[number]))
        return {**self._head(), "choices": choices, "usage": self._usage()}

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """The answer chunk by chunk."""
        logs, told = await self._prompt_logs(), self.body.logprobs is not None
        lengths = [0] * (len(self.asked) * self.samples)  # characters of each text until now
        usage = self.body.stream_options is not None and self.body.stream_options.include_usage
        head = {**self._head(), **({"usage": None} if usage else {})}
        if self.body.echo:
            for number, asked in enumerate(self.asked):
                log = logs[number].record() if told else None
                for index in range(number * self.samples, (number + 1) * self.samples):
                    lengths[index] = len(asked.text)
                    ended = None if self.body.max_tokens else "length"
                    yield {**head, "choices": [_chunk(index, asked.text, log, ended)]}
        if self.body.max_tokens:
            async with aclosing(self._written()) as steps:
                async for step in steps:
                    choices = []
                    for piece in step:
                        index = piece.prompt * self.samples + piece.sample
                        ended = reason(piece)
                        if not (piece.text or ended or told):
                            continue
                        log = None
                        if told:
                            log = written_log([piece], self.served.model.tokenizer, lengths[index]).record()
                        lengths[index] += len(piece.text)
                        choices.append(_chunk(index, piece.text, log, ended))
                    for choice in choices:
                        yield {**head, "choices": [choice]}
        if usage:
            yield {**head, "choices": [], "usage": self._usage()}

    async def _written(self) -> AsyncGenerator[list[Piece]]:
        prompts = [each.prompt for each in self.asked]
        steps = self.house.scheduler.write(
            self.key, self.served, prompts, self.sampling, self.samples, self.ends, self.guide
        )
        async with aclosing(steps):
            async for step in steps:
                self.tokens += sum(piece.token is not None or piece.end is not None for piece in step)
                yield step

    async def _prompt_logs(self) -> list[TokenLog]:
        """Of prompts that are echoed with log-probabilities; otherwise empty ones."""
        if not (self.body.echo and self.body.logprobs is not None):
            return [TokenLog() for _ in self.asked]
        told: list[list[Told]] = []
        batch: list[_Asked] = []
        for each in self.asked:
            if batch and (len(batch) + 1) * max(len(one.prompt.ids) for one in (*batch, each)) > SCORED:
                told += await self._scored(batch)
                batch = []
            batch.append(each)
        told += await self._scored(batch)
        tokenizer = self.served.model.tokenizer
        return [
            await asyncio.to_thread(prompt_log, list(asked.own), each[len(each) - len(asked.own) :], tokenizer)
            for asked, each in zip(self.asked, told, strict=True)
        ]

    async def _scored(self, batch: Sequence[_Asked]) -> list[list[Told]]:
        model, rows = self.served.model, [each.prompt.ids for each in batch]
        size, top = model.tokenizer.vocab_size, self.sampling.top_log_probabilities
        return await self.house.scheduler.run(self.key, lambda: prompt_scores(model.model, rows, top, size))

    def _choice(self, index: int, asked: _Asked, pieces: list[Piece], log: TokenLog) -> dict[str, Any]:
        before = asked.text if self.body.echo else ""
        text = before + "".join(piece.text for piece in pieces)
        record = None
        if self.body.logprobs is not None:
            new = written_log(pieces, self.served.model.tokenizer, len(before))
            record = TokenLog(
                log.tokens + new.tokens, log.token_logprobs + new.token_logprobs, log.top_logprobs + new.top_logprobs,
                log.text_offset + new.text_offset,
            ).record()  # fmt: skip
        return _chunk(index, text, record, reason(pieces[-1]) if pieces else "length")

    def _head(self) -> dict[str, Any]:
        return {"id": self.id, "object": "text_completion", "created": self.created, "model": self.served.name}

    def _usage(self) -> dict[str, int]:
        prompts = sum(len(each.prompt.source or each.prompt.ids) for each in self.asked)
        return {"prompt_tokens": prompts, "completion_tokens": self.tokens, "total_tokens": prompts + self.tokens}


def _chunk(index: int, text: str, logprobs: dict[str, Any] | None, ended: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": ended}
