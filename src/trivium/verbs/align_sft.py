"""``trivium align --method sft``: supervised fine-tuning on conversations."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from trivium.alignment.lessons import LOSS, lesson_batch, lesson_loss, rows_of
from trivium.errors import DataError, SettingsError
from trivium.objectives import Batch
from trivium.randomness import key
from trivium.text.chat_fields import read_chats
from trivium.text.chats import Chat
from trivium.text.examples import Located, Rewrite
from trivium.text.order import permuted
from trivium.tokenizers.chats import ChatRenderer, Rendered
from trivium.transformer import Network
from trivium.verbs.alignment_answers import answerable, answered, nearness
from trivium.verbs.alignment_parts import EMPTY, Prepared, Start, Unfit, left_out
from trivium.verbs.data_checks import checked
from trivium.verbs.pretraining_batches import batch_flops

ROW = 1024  # tokens that conversations are packed into together; a longer one has a row of its own
SHOWN = 2  # conversations of dev that are answered at each evaluation


@dataclass(frozen=True)
class Sft:
    """``length``: tokens of a conversation that are learnt from, as far as the model's context goes; of a longer one
    whole turns are left out from the end, and where not even the first reply fits, all of it; with ``too_long`` "error"
    it is refused. One with an ``empty`` turn is refused, or with "drop" left out. ``answers``: so many conversations of
    dev are answered before and after, and held against the answers that are known."""

    kind: Literal["sft"] = "sft"
    length: int = 2048
    too_long: Unfit = "drop"
    empty: Unfit = "error"
    answers: int = 16

    defaults: ClassVar[Mapping[str, Any]] = {"training": {"epochs": 3}}

    def __post_init__(self) -> None:
        if self.length < 2:
            raise SettingsError(f"method.length = {self.length}: it must be at least 2")
        if self.answers < 0:
            raise SettingsError(f"method.answers = {self.answers}: it must be 0 (none) or more")

    def prepare(self, start: Start) -> Prepared:
        """The data rendered, and the model that learns from it."""
        renderer = start.renderer()
        limit = start.model.config.limit
        length = self.length if limit is None else min(self.length, limit)
        chats, notes = self._chats("train", start.train, start)
        train = self._lessons("train", chats, renderer, start, length)
        dev_chats, more = self._chats("dev", start.dev, start) if start.dev is not None else ([], [])
        dev = self._lessons("dev", dev_chats, renderer, start, length) if dev_chats else None
        _, checks = checked(_asked(chats), _asked(dev_chats))
        asked = answerable(start.model.model, renderer, [each.example for each in dev_chats])
        model = start.learner()
        pad = max(start.model.config.pad_token, 0)
        training = start.training
        per_epoch = -(-len(train.rendered) // training.batch)
        return Prepared(
            model=model,
            loss=lesson_loss,
            feed=_feed(train.rendered, training.batch, training.micro_tokens, training.seed, pad),
            steps=training.planned(per_epoch),
            learning_rate=start.learning_rate(),
            fingerprint=fingerprint([train.rendered, dev.rendered if dev else []]),
            evaluate=_evaluation(model, dev.rendered, training.micro_tokens, pad) if dev else None,
            sample=_sampler(model, renderer, start, asked[:SHOWN]) if asked else None,
            judge=_judge(model, renderer, start, asked[: self.answers]) if asked and self.answers else None,
            flops=partial(batch_flops, model.config) if start.weights == "full" else None,
            notes=(*notes, *more, *train.notes, *(dev.notes if dev else ()), *replace(checks, contradicted=0).notes),
            examples=len(train.rendered),
        )

    def _chats(self, name: str, file: Path, start: Start) -> tuple[list[Located[Chat]], list[str]]:
        """The conversations of a file, and what is to be said of others."""
        empty: list[str] = []
        found = read_chats(file, start.columns, start.format, empty if self.empty == "drop" else None)
        told = left_out(name, "conversations", empty, len(found) + len(empty), EMPTY)
        if not found:
            raise DataError(f"no conversation of {name} can be learnt from: {''.join(told)}: give others")
        return found, told

    def _lessons(
        self, name: str, chats: Sequence[Located[Chat]], renderer: ChatRenderer, start: Start, length: int
    ) -> "Lessons":
        ends = start.generation(renderer).ends
        rendered, shortened, dropped = [], 0, 0
        for located in chats:
            messages = located.example.messages
            made = renderer.render(messages, ends, located.place)
            while len(made.ids) > length + 1:
                earlier = [n for n, each in enumerate(messages[:-1]) if each.role == "assistant"]
                if self.too_long == "error" or not earlier:
                    break
                messages = messages[: earlier[-1] + 1]
                made = renderer.render(messages, ends, located.place)
            if len(made.ids) <= length + 1:
                rendered.append(made)
                shortened += len(messages) < len(located.example.messages)
            elif self.too_long == "error":
                raise DataError(
                    f"{located.place}: the conversation has {len(made.ids)} tokens, and {length} are read: raise "
                    "method.length as far as the model's context goes, shorten it, or set method.too_long=drop"
                )
            else:
                dropped += 1
        if not rendered:
            raise DataError(
                f"no conversation of {name} fits into {length} tokens: raise method.length as far as the model's "
                "context goes, or give shorter ones"
            )
        notes = []
        if shortened:
            notes.append(f"{shortened} conversations of {name} were cut to whole turns that fit into {length} tokens")
        if dropped:
            notes.append(f"{dropped} conversations of {name}, longer than {length} tokens, were left out")
        return Lessons(rendered, tuple(notes))


def _asked(chats: Sequence[Located[Chat]]) -> list[Located[Rewrite]]:
    """What leaks are looked for in: all before the last reply, and that; a question has many good answers."""
    return [
        Located(Rewrite("\n".join(f"{m.role}: {m.content}" for m in each.example.prompt), each.example.reply or ""),
                each.place)
        for each in chats
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Lessons:
    """Conversations to learn from, and what is to be said of them."""

    rendered: list[Rendered]
    notes: tuple[str, ...]


def fingerprint(parts: Sequence[Sequence[Rendered]]) -> str:
    """Of ids and of who says them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}.".encode())
        for each in part:
            digest.update(each.ids.tobytes() + each.replies.tobytes())
    return digest.hexdigest()


def _feed(
    lessons: Sequence[Rendered], size: int, micro_tokens: int, seed: int, pad: int
) -> Callable[[int], list[Batch]]:
    """The micro-batches of a step, a pure function of its number: ``size`` conversations, packed into rows."""
    count = len(lessons)
    per_epoch = -(-count // size)

    @lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return permuted(key(seed, "conversations"), epoch, count, np.arange(count))

    def feed(number: int) -> list[Batch]:
        epoch, turn = divmod(number, per_epoch)
        chosen = order(epoch)[turn * size : (turn + 1) * size]
        return batches_of(lessons, chosen, micro_tokens, pad)

    return feed


def batches_of(lessons: Sequence[Rendered], chosen: np.ndarray, micro_tokens: int, pad: int) -> list[Batch]:
    """Some conversations in rows, and these in batches of at most ``micro_tokens`` with their padding, or one row."""
    lengths = np.array([len(lessons[number].ids) - 1 for number in chosen], np.int64)
    room = max(int(lengths.max()), min(ROW, int(lengths.sum())))
    rows = rows_of(lengths, room)
    a_batch = max(1, micro_tokens // room)
    made = []
    for at in range(0, len(rows), a_batch):
        part = rows[at : at + a_batch]
        draws = [int(chosen[number]) for row in part for number in row]
        made.append(lesson_batch([[lessons[chosen[number]] for number in row] for row in part], draws, pad))
    return made


def _evaluation(
    model: Network, lessons: Sequence[Rendered], micro_tokens: int, pad: int
) -> Callable[[], dict[str, float]]:
    """What the assistant's words of dev cost, a token."""
    kept = batches_of(lessons, np.arange(len(lessons)), micro_tokens, pad)

    def evaluate() -> dict[str, float]:
        device = next(model.parameters()).device
        total = sum(lesson_loss(model, batch.to(device))[LOSS].total.item() for batch in kept)
        loss = total / sum(batch.counts[LOSS] for batch in kept)
        return {"loss": loss, "perplexity": float(np.exp(min(loss, 700.0)))}

    return torch.no_grad()(evaluate)


def _judge(
    model: Network, renderer: ChatRenderer, start: Start, chats: Sequence[Chat]
) -> Callable[[], dict[str, float]]:
    files = start.generation(renderer)
    return lambda: nearness(answered(model, renderer, files, chats), chats)


def _sampler(model: Network, renderer: ChatRenderer, start: Start, chats: Sequence[Chat]) -> Callable[[], str]:
    """The questions and what the model answers, for people."""
    files = start.generation(renderer)

    def sample() -> str:
        answers = answered(model, renderer, files, chats)
        pairs = zip(chats, answers, strict=True)
        return "\n".join(f"{chat.prompt[-1].content} -> {answer.text}" for chat, answer in pairs)

    return sample
