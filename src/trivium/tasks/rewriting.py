"""A text into another text: summaries, translations, and with T5's casting every other task (Raffel et al. 2020, 2.4).

An encoder-decoder reads the source and writes the target; a decoder reads the source and a separator and goes on with
the target. Both learn by teacher forcing: each target token, the end token among them, from the true ones before it;
the source is no target. With ``label_smoothing`` e the loss of a token is (1 - e) times minus the log of its
probability plus e times the mean of the same over the whole vocabulary: torch's definition (Szegedy et al. 2016,
section 7). Texts are written by ``generation/``, greedily or by beam search, and scored as published.

The end token, and what the tokenizer puts around texts, stand around both sides. BART's targets so begin with ``<s>``;
a token that every target begins with is written first without asking the model. What is too long is cut at its end.
Left out: several references in training (the first is learnt), and scheduled sampling.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families.family import Head
from trivium.families.generation_config import GenerationConfig
from trivium.generation import engine
from trivium.generation.engine import Written
from trivium.generation.prompts import Prompt
from trivium.generation.reading import finished
from trivium.generation.rules import Forced
from trivium.generation.score import answers as log_probabilities
from trivium.generation.search import EarlyStopping, Search, foreign, search_in_steps
from trivium.objectives import Batch, Loss
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.packing import steady
from trivium.tasks.casting import CASTS, Cast, read_texts
from trivium.tasks.rewrite_items import LOSS, RewriteBatch, RewriteItems, encode_rewrites, rewrite_batch
from trivium.tasks.task import Outcome
from trivium.tasks.text_scores import TEXT_METRICS, TextMetric, references
from trivium.text.examples import Located, Rewrite
from trivium.text.fields import Columns
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config
from trivium.transformer.network import answers as reads_a_source

if TYPE_CHECKING:
    from trivium.transformer import Network

SIDE_BY_SIDE = 128  # texts, or beams of texts, that are written at once
UNCOUNTED = -100  # in place of a target: no token
_QUOTED = 300  # characters of a text in a list of errors


@dataclass(frozen=True)
class Rewritten:
    """What a model wrote. ``output`` is None where it was not asked to write; ``nats``: minus the log-probability of
    the true target's ``tokens``, where there is one."""

    output: str | None
    probability: float = 0.0  # the product of its tokens'
    label: str | None = None  # which label the output is, where a task was cast as text
    labelled: bool = False
    nats: float = 0.0
    tokens: int = 0

    def row(self) -> dict[str, object]:
        """Probabilities to six digits; an output that is no label has the label None."""
        label = {"label": self.label} if self.labelled else {}
        return {"output": self.output, **label, "probability": float(f"{self.probability:.6g}")}


@dataclass(frozen=True)
class Answer:
    """Of one item: what was written, if anything was, and what the true target costs, in nats."""

    written: Written | None
    nats: float


@dataclass(frozen=True)
class Rewriting:
    """``source_length`` and ``target_length``: tokens with those around them; the first None: as many as fit.
    ``separator``: between a decoder's source and target. From ``beams`` on: how texts are written, see ``Search``."""

    columns: ClassVar[tuple[str, ...]] = ("source", "target", "text", "text2", "label")
    quick: ClassVar[bool] = False

    prefix: str = ""
    cast: str | None = None  # a name of ``CASTS``: T5's way to make text of a task's rows
    separator: str = "\n"
    source_length: int | None = None
    target_length: int = 128
    label_smoothing: float = 0.0
    metric: Literal["rouge", "bleu", "chrf", "exact"] = "rouge"  # of a cast task its own
    dev_texts: int = 100  # written in an evaluation while weights learn, greedily; the loss is of all
    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    min_tokens: int = 0
    no_repeat_ngram: int = 0

    def __post_init__(self) -> None:
        if self.cast is not None and self.cast not in CASTS:
            raise SettingsError(f"cast = {self.cast!r} is not known: choose one of {', '.join(CASTS)}")
        if self.cast is not None and self.prefix:
            raise SettingsError(f"cast = {self.cast!r} has its own prefix: leave out prefix = {self.prefix!r}, or cast")
        if not 0 <= self.label_smoothing < 1:
            raise SettingsError(f"label_smoothing = {self.label_smoothing}: it must be at least 0 and below 1")
        for name in ("source_length", "target_length", "dev_texts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} = {value}: it must be at least 1")
        self.searched(self.target_length)  # refuses what a search cannot be

    @property
    def main(self) -> str:
        return self._metric.main

    @property
    def _cast(self) -> Cast | None:
        return None if self.cast is None else CASTS[self.cast]

    @property
    def _metric(self) -> TextMetric:
        return TEXT_METRICS[self.metric] if self._cast is None else self._cast.metric

    @property
    def _prefix(self) -> str:
        """With a space, where it ends in no white space."""
        prefix = self.prefix if self._cast is None else self._cast.prefix
        return prefix if not prefix or prefix[-1].isspace() else f"{prefix} "

    def searched(self, most: int) -> Search:
        """How texts of at most ``most`` tokens are written."""
        return Search(
            self.beams, most, self.length_penalty, self.early_stopping, min(self.min_tokens, most), self.no_repeat_ngram
        )

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Rewrite:
        """Fields ``source`` and ``target``, or of a cast task its own."""
        return (read_texts if self._cast is None else self._cast.read)(place, row, columns, gold)

    def learn(self, train: Sequence[Located[Rewrite]], dev: Sequence[Located[Rewrite]]) -> Self:
        """As it is; refuses empty texts."""
        for located in (*train, *dev):
            for name in ("source", "target"):
                if not getattr(located.example, name).strip():
                    raise DataError(f"{located.place}: the {name} is empty: give a text, or remove this example")
        return self

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        return None  # any model with a vocabulary could be one

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """As it is: the vocabulary's projection is what learns. Refuses what does not write."""
        if not config.decoder_layers:
            raise SettingsError(
                "this model is an encoder, which writes no text: rewriting needs a decoder (gpt2, llama ...) or an "
                "encoder-decoder (t5, bart ...)"
            )
        if config.vocabulary_head in ("none", "two-way"):
            raise SettingsError("this model has no vocabulary projection to write with: take the one it was made from")
        return config

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        return {}

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """An encoder-decoder's texts end in the end token, for other programs too; a layout of its own is kept."""
        own = tokenizer.layout()
        ends = reads_a_source(config) and not own.before and not own.after and tokenizer.end is not None
        return tokenizer.with_layout("end") if ends else tokenizer

    def room(self, config: Config) -> tuple[int | None, int]:
        """How many tokens of a source (None: any number) and of a target are read."""
        limit = config.limit
        target = self.target_length if limit is None else min(self.target_length, limit - 1)
        if reads_a_source(config) or limit is None:
            return min((each for each in (limit, self.source_length) if each is not None), default=None), target
        if limit <= self.target_length:
            raise SettingsError(
                f"target_length = {self.target_length} leaves no room for the source in this model's context of "
                f"{limit} tokens: lower it"
            )
        return min(limit - self.target_length, self.source_length or limit), target

    def encode(self, examples: Sequence[Rewrite], tokenizer: Tokenizer, config: Config) -> RewriteItems:
        """``prefix source`` to what the encoder reads, or with the separator what the decoder begins with."""
        return encode_rewrites(
            [self._prefix + example.source for example in examples],
            [example.target for example in examples],
            tokenizer, config, self.separator, self.room(config), self._notes(examples),
        )  # fmt: skip

    def _notes(self, examples: Sequence[Rewrite]) -> tuple[str, ...]:
        """How the scores are computed, where there is a custom to say so."""
        known = [references(example) for example in examples if example.target]
        if self._metric.signature is None or not known:
            return ()
        most = max(known, key=len)
        return (f"scored by {self._metric.signature([most])}",)

    def batch(self, items: RewriteItems, numbers: np.ndarray) -> RewriteBatch:
        return rewrite_batch(items, numbers, self._to_write(len(items), numbers))

    def _to_write(self, count: int, numbers: np.ndarray) -> list[int]:
        """All of a batch, or where it has to be quick those of ``dev_texts`` evenly out of the whole."""
        if not self.quick or count <= self.dev_texts:
            return [int(number) for number in numbers]
        chosen = set(np.linspace(0, count - 1, self.dev_texts).round().astype(int).tolist())
        return [int(number) for number in numbers if int(number) in chosen]

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        logits = model(batch.inputs, at=steady(batch.targets.get("at"))).logits
        assert logits is not None
        targets, count = batch.targets[LOSS], batch.counts[LOSS]
        if not self.label_smoothing:
            return {LOSS: Loss(cross_entropy(logits, targets), count)}
        flat = logits.reshape(-1, logits.shape[-1]).float()
        evened = F.pad(targets, (0, len(flat) - len(targets)), value=UNCOUNTED)
        total = F.cross_entropy(
            flat, evened, reduction="sum", label_smoothing=self.label_smoothing, ignore_index=UNCOUNTED
        )
        return {LOSS: Loss(total, count)}

    def answers(self, model: "Network", batch: Batch) -> list[Answer]:
        """Writes a text for each item, and says what its true target costs."""
        return finished(self.answers_in_steps(model, batch))

    @torch.no_grad()
    def answers_in_steps(self, model: "Network", batch: Batch) -> Generator[None, None, list[Answer]]:
        """The same for a caller who has other work between two tokens."""
        assert isinstance(batch, RewriteBatch)
        items, size = batch.items, max(1, SIDE_BY_SIDE // self.beams)
        written: dict[int, Written] = {}
        for start in range(0, len(batch.written), size):
            numbers = batch.written[start : start + size]
            texts = yield from self._write(model, [items.prompts[number] for number in numbers], items)
            written.update(zip(numbers, texts, strict=True))
        known = [number for number in batch.draws if items.targets[number]]
        scores = log_probabilities(model, [items.question(number) for number in known])
        costs = {number: -score.log_probability for number, score in zip(known, scores, strict=True)}
        return [Answer(written.get(number), costs.get(number, 0.0)) for number in batch.draws]

    def _write(
        self, model: "Network", prompts: Sequence[Prompt], items: RewriteItems
    ) -> Generator[None, None, list[Written]]:
        settings, ends, forced = self.searched(items.most), frozenset({items.end}), Forced(items.first)
        vocabulary = items.tokenizer.vocab_size
        if settings.beams == 1:
            return (yield from engine.run_in_steps(model, prompts, settings.greedy, ends, vocabulary, forced))
        found = yield from search_in_steps(model, prompts, settings, ends, vocabulary, forced)
        return [
            Written(h.tokens[: -1 if h.finish == "end" else None], h.log_probabilities, h.finish or "length")
            for h, *_ in found
        ]

    def predictions(
        self, examples: Sequence[Rewrite], items: RewriteItems, answers: Sequence[Answer]
    ) -> list[Rewritten]:
        found = []
        labelled = self._cast is not None and bool(self._cast.words)
        for answer, target in zip(answers, items.targets, strict=True):
            known = Rewritten(None, labelled=labelled, nats=answer.nats, tokens=len(target))
            if answer.written is not None:
                output = items.tokenizer.decode(answer.written.tokens).strip()
                label = self._cast.label(output) if self._cast is not None else None
                known = replace(known, output=output, probability=answer.written.probability, label=label)
            found.append(known)
        return found

    def score(self, predicted: Sequence[Rewritten], examples: Sequence[Rewrite]) -> dict[str, float]:
        """By the metric, of what was written; and the mean of minus the log of the true tokens' probabilities."""
        pairs = [(p.output, e) for p, e in zip(predicted, examples, strict=True) if p.output is not None]
        scores = self._metric.score([output for output, _ in pairs], [example for _, example in pairs])
        tokens = sum(each.tokens for each in predicted)
        return {**scores, "loss": sum(each.nats for each in predicted) / max(1, tokens)}

    def outcomes(self, predicted: Sequence[Rewritten], examples: Sequence[Rewrite]) -> list[Outcome]:
        return [
            Outcome(_short(example.source), _short(example.target), _short(each.output or ""), each.nats)
            for each, example in zip(predicted, examples, strict=True)
        ]

    def settled(self, predicted: Sequence[Rewritten], examples: Sequence[Rewrite]) -> Self:
        return self

    def hurried(self) -> "Rewriting":
        return _Quick(**{**vars(self), "beams": 1})

    def generation(self, tokenizer: Tokenizer, config: Config) -> GenerationConfig:
        items = self.encode((), tokenizer, config)
        forced = {} if items.first is None else {"forced_bos_token_id": items.first}
        written: dict[str, Any] = {"eos_token_id": items.end, "do_sample": False, **forced}
        return GenerationConfig(frozenset({items.end}), items.first, None, written | foreign(self.searched(items.most)))


class _Quick(Rewriting):
    """The same where weights still learn."""

    quick: ClassVar[bool] = True


def _short(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]} ..."
