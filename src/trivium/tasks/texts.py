"""What tasks that decide about whole texts have in common: how a text is read, summed up and scored.

The summary is the family's, with the head of its published class: BERT's pooled first token, RoBERTa's first token
through a layer of the head, GPT-2's last token, T5's and BART's last state of the decoder; or the mean over tokens,
which small models that never trained a first-token summary learn fastest from.

A decoder may be tuned in GPT-1's way (Radford et al. 2018, sections 3.2 and 3.3): between tokens of its own that mark
where a text starts, where the next begins and where the answer is to be read; and, beside the task, on predicting the
text itself. Left out: that its code scores next tokens among positions, too, and drops the same states of all choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from trivium.errors import DataError, SettingsError
from trivium.families.family import Head
from trivium.objectives import Batch, Loss
from trivium.objectives.cross_entropy import cross_entropy
from trivium.recurrent.characters import place_spellings
from trivium.tasks.encoding import Encoded, Row, encode
from trivium.text.examples import Labelled, Located, MultiLabelled, Pair, Rated
from trivium.text.fields import Columns, refuse_near_miss, text_of
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.extension import with_extract
from trivium.transformer import SEQUENCE, Config, Inputs, Pooled, SequenceHead, Tokens, make_head, moved_right
from trivium.transformer.network import changed

if TYPE_CHECKING:
    from trivium.transformer import Network

LANGUAGE = "causal"
"""The name of the auxiliary loss: the next token's."""

SHOWN = 40  # characters of a text that an error quotes


class Scored(NamedTuple):
    """What a model says of a batch: (R or R / 2, K) float32 scores, and where it was asked, (N, V) of next tokens."""

    scores: Tensor
    logits: Tensor | None


@dataclass(frozen=True, kw_only=True)
class TextTask:
    """``length``: the longest input in tokens, None for the context. ``on_truncate``: longer ones are cut and counted
    ("warn"), refused ("error"), or read in windows that overlap, whose answers are averaged ("split").

    ``inputs`` "gpt1": between GPT-1's three tokens, which a decoder learns as new ones; "family": that for the families
    whose paper does so. ``symmetric``: a pair is read in both orders, and the two summaries are added. ``lm_weight``:
    of the loss of predicting the text itself; the paper's is 0.5.
    """

    name: ClassVar[str] = SEQUENCE  # of the head

    pooling: Literal["family", "first", "last", "mean", "mix"] = "family"
    length: int | None = None
    on_truncate: Literal["warn", "error", "split"] = "warn"
    inputs: Literal["family", "plain", "gpt1"] = "family"
    symmetric: bool = False
    lm_weight: float = 0.0
    mix_norm: bool = False  # each layer is normed before it is mixed
    mix_penalty: float = 0.0  # times the sum of squares of the mixture's scores; ELMo: 0.001, or 1 for even weights

    def __post_init__(self) -> None:
        for each in ("mix_penalty", "lm_weight"):
            if getattr(self, each) < 0:
                raise SettingsError(f"{each} = {getattr(self, each)}: it must not be negative")
        if (self.mix_norm or self.mix_penalty) and self.pooling not in ("mix", "family"):
            raise SettingsError(f"pooling {self.pooling!r} mixes no layers: leave out mix_norm and mix_penalty, or mix")
        if self.symmetric and self.on_truncate == "split":
            raise SettingsError('symmetric pairs cannot be split: set on_truncate = "warn" or "error"')

    # ---- what each task says ----

    @property
    def outputs(self) -> int:
        """Scores that the head gives."""
        raise NotImplementedError

    def rows(self, example: Any) -> tuple[Row, ...]:
        """What is read of an example; several rows share a batch."""
        first, second = texts_of(example)
        if second is None or not self.symmetric:
            return (Row(first, second),)
        return Row(first, second), Row(second, first)

    def targets(self, examples: Sequence[Any]) -> np.ndarray:
        """(E, ...) what is to be predicted, by example."""
        raise NotImplementedError

    def total(self, scores: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The sum over the batch's items of their losses."""
        raise NotImplementedError

    # ---- the model ----

    def of_family(self, published: Mapping[str, Head]) -> Self:
        """With what is left to the family decided by it."""
        if self.inputs == "family" and self.name in published and published[self.name].extracts:
            return replace(self, inputs="gpt1")
        return self

    def head(self, config: Config, published: Mapping[str, Head]) -> Pooled:
        """What stands on top: with pooling "family" the published class's head, where the family has one."""
        summed = 2 if self.symmetric else 1
        known = published.get(self.name) or published.get(SEQUENCE)
        if self.pooling == "family" and known is not None:
            made = known.made
            assert isinstance(made, Pooled)
            return replace(made, labels=self.outputs, summed=summed)
        if config.encoder_layers and config.decoder_layers:
            raise SettingsError(
                "an encoder-decoder has no one summary of a text but its family's: leave out the pooling, or classify "
                "with an encoder or a decoder"
            )
        pooling = config.pooling if self.pooling == "family" else self.pooling
        return Pooled(self.outputs, pooling, bias=pooling != "last", mix_norm=self.mix_norm, summed=summed)

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """The body's configuration: BERT's pooler just where it is read; the vocabulary's projection where the text is
        learnt, too, or where the published class has one."""
        head, alone = self.head(config, published), config.decoder_layers > 0 and not config.encoder_layers
        if not alone and (self.inputs == "gpt1" or self.lm_weight):
            what = 'inputs = "gpt1" is' if self.inputs == "gpt1" else f"lm_weight = {self.lm_weight} is"
            raise SettingsError(f"{what} for models that read from left to right, such as GPT's: leave it out")
        if self.lm_weight and config.vocabulary_head == "none":
            raise SettingsError(f"lm_weight = {self.lm_weight}: this model has no projection on its vocabulary")
        theirs = published.get(self.name) if self.pooling == "family" else None
        keep = self.lm_weight > 0 or (theirs is not None and theirs.alone is None)
        pooler = head.pooling == "first" and head.dense is None
        return changed(config, pooler=pooler, **({} if keep else {"vocabulary_head": "none"}))

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        return {self.name: make_head(config, self.head(config, published))}

    @classmethod
    def settings_of(cls, model: "Network", labels: int | None) -> dict[str, Any] | None:
        """The settings that a model's head shows; None where it has none of this kind or of another number of
        ``labels``."""
        head = model.heads[cls.name] if cls.name in model.heads else None
        if not isinstance(head, SequenceHead) or head.labels != (labels or head.labels):
            return None
        return {"pooling": head.pooling, "symmetric": head.summed == 2}

    # ---- from texts to batches ----

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """The tokenizer with control tokens around the text; one that has a layout of its own keeps it."""
        if self.inputs == "gpt1":
            return with_extract(tokenizer)
        own = tokenizer.layout()
        if own.before or own.after:
            return tokenizer
        if config.decoder_layers:
            return tokenizer.with_layout("end")
        return tokenizer.with_layout("classify-last" if config.pooling == "last" else "classify")

    def encode(self, examples: Sequence[Any], tokenizer: Tokenizer, config: Config) -> Encoded:
        length = self.length or config.context
        if config.limit is not None:
            length = min(length, config.limit)
        rows = [self.rows(example) for example in examples]
        items = encode(
            rows, tokenizer, length, config.segments > 1, config.characters,
            split=self.on_truncate == "split", even=self.symmetric,
        )  # fmt: skip
        if items.cut and self.on_truncate == "error":
            begun = " ".join(rows[items.cut[0]][0].first.split())[:SHOWN]
            raise DataError(
                f"{items.truncated} of {len(examples)} examples are longer than {length} tokens, the first of them the "
                f"one that begins {begun!r} (number {items.cut[0] + 1}): shorten them, or set on_truncate to warn or "
                "split"
            )
        return replace(items, targets=self.targets(examples))

    def batch(self, items: Encoded, numbers: np.ndarray) -> Batch:
        """(R, T) ids of the items' rows, right-padded; ``targets``: (B, ...) by item, and the number of its rows."""
        rows = items.rows(numbers)
        lengths = np.array([len(items.ids[n]) for n in rows])
        real = np.arange(lengths.max()) < lengths[:, None]

        def padded(parts: list[np.ndarray]) -> Tensor:
            array = np.zeros(real.shape, np.int64)
            array[real] = np.concatenate([parts[n] for n in rows])
            return torch.from_numpy(array)

        unknown = [items.unknown[n] for n in rows] if items.unknown else []
        spelt = place_spellings(unknown, real.shape[1], items.characters)
        side = Tokens(
            ids=padded(items.ids),
            documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
            segments=None if items.segments is None else padded(items.segments),
            characters=None if spelt is None else torch.from_numpy(spelt),
        )
        targets = {
            self.name: torch.from_numpy(items.targets[items.examples[numbers]]),
            "rows": torch.from_numpy(items.counts[numbers]),
        }
        counts = {self.name: len(numbers)}
        if self.lm_weight:
            targets |= _next_tokens(side.ids, lengths)
            counts[LANGUAGE] = len(rows)
        # Both sides are given: an encoder reads its source, a decoder its target.
        return Batch(Inputs(side, side), targets, counts, int(lengths.sum()), numbers.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        said = self._read(model, batch, batch.targets.get("at"))
        total, count = self.total(said.scores, batch.targets), batch.counts[self.name]
        mix = getattr(model.heads[self.name], "mix", None)
        if self.mix_penalty and mix is not None:
            total = total + self.mix_penalty * count * mix.penalty()
        losses = {self.name: Loss(total, count)}
        if said.logits is not None:
            text = cross_entropy(said.logits, batch.targets["next"], batch.targets["shares"])
            losses[LANGUAGE] = Loss(self.lm_weight * text, batch.counts[LANGUAGE])
        return losses

    def scores(self, model: "Network", batch: Batch) -> Tensor:
        """(R, K) float32, or (R / 2, K) of pairs in both orders."""
        return self._read(model, batch, None).scores

    def _read(self, model: "Network", batch: Batch, at: Tensor | None) -> Scored:
        """The decoder of an encoder-decoder reads the same text moved right by one, as BART's."""
        inputs, config = batch.inputs, model.config
        if config.encoder_layers and config.decoder_layers and inputs.source is not None:
            start = config.pad_token if config.start_token is None else config.start_token
            inputs = Inputs(inputs.source, moved_right(inputs.source, start))
        if at is None:
            return Scored(model.scores(inputs, self.name).float(), None)
        said = model(inputs, at=at, heads=(self.name,))
        return Scored(said.heads[self.name].float(), said.logits)


def _next_tokens(ids: Tensor, lengths: np.ndarray) -> dict[str, Tensor]:
    """Flat places (N,) that have a next token, that token, and the share that it has in its row: each row counts 1."""
    width = ids.shape[1]
    followed = np.arange(width) < lengths[:, None] - 1
    at = torch.from_numpy(np.flatnonzero(followed))
    shares = np.repeat(1 / np.maximum(lengths - 1, 1), lengths - 1).astype(np.float32)
    return {"at": at, "next": ids.flatten()[at + 1], "shares": torch.from_numpy(shares)}


Texts = Labelled | Pair | Rated | MultiLabelled


def texts_of(example: Texts) -> tuple[str, str | None]:
    """The text, and of a pair the other."""
    return (example.text, None) if isinstance(example, Labelled) else (example.first, example.second)


def shown(example: Texts) -> str:
    """For people."""
    return " | ".join(text for text in texts_of(example) if text is not None)


def read_texts(
    place: str, row: Mapping[str, object], columns: Columns, gold: str
) -> tuple[str, str | None]:
    """Fields ``text`` and for pairs ``text2``; ``gold``: the row's field with what is to be predicted."""
    first, second = columns.get("text", "text"), columns.get("text2", "text2")
    if first in row:  # else this is what is wrong
        refuse_near_miss(place, row, second, frozenset(("text", first, gold)), "for text pairs")
    return text_of(place, row, first), text_of(place, row, second) if second in row else None


def check_texts(train: Sequence[Located[Any]], dev: Sequence[Located[Any]], symmetric: bool) -> None:
    """Refuses empty texts, and examples of which some have one text and some two."""
    pairs = texts_of(train[0].example)[1] is not None
    if symmetric and not pairs:
        raise DataError(f"{train[0].place}: symmetric = true reads pairs in both orders, and this example has one text")
    for located in (*train, *dev):
        texts = texts_of(located.example)
        if (texts[1] is not None) is not pairs:
            raise DataError(f"{located.place}: train and dev must both have one text, or both two")
        if not all(text.strip() for text in texts if text is not None):
            raise DataError(f"{located.place}: the text is empty: remove this example")


def averaged(items: Encoded, answers: Sequence[np.ndarray], count: int) -> np.ndarray:
    """(count, K): what is said of each example, the mean over its windows."""
    said = np.stack(answers)
    if len(said) == count:  # each is its own window
        return said
    total = np.zeros((count, *said.shape[1:]), np.float64)
    np.add.at(total, items.examples, said)
    mean: np.ndarray = total / np.bincount(items.examples, minlength=count)[:, None]
    return mean
