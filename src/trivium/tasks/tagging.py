"""A tag for each word: parts of speech, chunks, named entities; by each word alone or as a chain (a CRF).

``y_i = softmax(W z_i)`` for the pieces z of a tokenizer (Devlin et al. 2019, 5.3). BERT trains on a word's first piece;
giving its tag to all of its pieces is the other custom. Where entities are marked, a piece that goes on with a word
tagged B-X is I-X then. A word's tag is its first piece's, or that of the product, the mean or the maximum of its
pieces' distributions. With ``crf`` a word's scores come of its pieces in the same way, and the most probable sequence
of tags that the scheme allows is found (Lample et al. 2016). Long sentences are read in windows, joined before tags
are chosen, so every word has one and no entity is cut.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families.family import Head
from trivium.metrics import entity_scores
from trivium.objectives import Batch, Loss
from trivium.recurrent.characters import place_spellings
from trivium.tasks.class_weights import ClassWeights, check_weights, learnt_weights, weight_vector
from trivium.tasks.crf import ChainScores, Triple, chain_loss, decode
from trivium.tasks.tagged_words import TagItems, WordTags, encode_tagged
from trivium.tasks.task import Outcome
from trivium.tasks.word_scores import Decision, word_scores
from trivium.text.examples import Located, Tagged
from trivium.text.fields import Columns, text_of, texts_of
from trivium.text.tag_schemes import Scheme, forbidden, from_iob1, in_order, is_iob1, misplaced, scheme_of
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.alignment import word_spans
from trivium.transformer import TOKEN, Config, EachToken, Inputs, TokenHead, Tokens, make_head
from trivium.transformer.network import changed

if TYPE_CHECKING:
    from trivium.transformer import Network

class Scored(NamedTuple):
    """What a model says of the words of one item: (W, K) log-probabilities, which a chain has yet to join; and (W,) the
    tags' numbers by other decisions, where they are compared."""

    words: np.ndarray
    chain: ChainScores | None
    others: dict[str, np.ndarray]


@dataclass(frozen=True)
class Tagging:
    """``labels`` in the order of the head's rows; ``length``: the longest window in tokens, None for the context.
    ``class_weights``: how much a word counts in training, by its tag, 1 where none is said; "balanced": so much that
    every tag counts the same in all. ``compare``: dev is scored by every way to decide, too."""

    columns: ClassVar[tuple[str, ...]] = ("words", "tags", "text")

    labels: tuple[str, ...] = ()  # empty: those of the training examples
    crf: bool = False
    train_on: Literal["first", "all"] = "all"  # pieces of a word; a CRF is trained on words
    b_to_i: bool | None = None  # later pieces of a B-X are I-X; None: where tags mark entities and first pieces decide
    decide: Decision = "first"
    compare: bool = False
    class_weights: ClassWeights = None
    constrained: bool = False  # a CRF gives no probability to what the scheme does not allow, in training too
    iob1: bool = False  # the examples' tags are of the scheme IOB1; found out from the training examples
    length: int | None = None

    def __post_init__(self) -> None:
        if len(self.labels) == 1:
            raise SettingsError(f"there is only one tag ({', '.join(self.labels)}): nothing can be learned")
        if self.crf and (self.train_on == "first" or self.b_to_i is not None):
            raise SettingsError(
                "a CRF is trained on words, not on pieces: leave out train_on and b_to_i, or crf; decide says which "
                "pieces a word's scores come from"
            )
        if self.constrained and not self.crf:
            raise SettingsError("constrained = true is for a CRF: set crf = true, too")
        if self.decide != "first" and self.train_on == "first":
            raise SettingsError(
                f'decide = "{self.decide}" asks all pieces of a word, and train_on = "first" trains one: choose one of '
                "the two"
            )
        if self.compare and (self.crf or self.train_on == "first" or self.b_to_i):
            raise SettingsError(
                "compare = true asks all pieces of a word for its tag: leave out crf, train_on and b_to_i, which train "
                "for one way to decide"
            )
        if self.crf and self.class_weights:
            raise SettingsError("a CRF learns whole sequences, where no tag counts by itself: leave out class_weights")
        check_weights(self.class_weights)
        if self.b_to_i and (self.decide != "first" or self.train_on == "first"):
            raise SettingsError('b_to_i = true gives later pieces other tags: it needs decide "first", train_on "all"')

    @property
    def scheme(self) -> Scheme | None:
        """Of the tags, where they mark entities."""
        return scheme_of(self.labels)

    @property
    def main(self) -> str:
        return "accuracy" if self.scheme is None else "f1"

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Tagged:
        """Fields ``words`` and ``tags``; to predict for, a ``text`` is enough, which is cut into words."""
        words, tags, text = (columns.get(name, name) for name in self.columns)
        if words not in row and text in row and not gold:
            whole = text_of(place, row, text)
            spans = tuple(word_spans(whole))
            return Tagged(tuple(whole[start:end] for start, end in spans), (), whole, spans)
        given = texts_of(place, row, words)
        if not given:
            raise DataError(f"{place}: {words!r} holds no words: remove this row")
        known = texts_of(place, row, tags) if gold or tags in row else ()
        example = Tagged(given, tuple(tag.strip() for tag in known))
        _check_lengths(place, example, words, tags)
        return example

    def learn(self, train: Sequence[Located[Tagged]], dev: Sequence[Located[Tagged]]) -> Self:
        """The tags of the training examples and their scheme; refuses tags that the scheme does not allow."""
        for located in (*train, *dev):
            if not located.example.words:
                raise DataError(f"{located.place}: there are no words: remove this example")
            if not located.example.tags:
                raise DataError(f"{located.place}: there are no tags: give one for each word")
            _check_lengths(located.place, located.example, "words", "tags")
        found = {tag for located in train for tag in located.example.tags}
        scheme = scheme_of(self.labels or found)
        iob1 = self.iob1 or (scheme == "bio" and is_iob1(located.example.tags for located in train))
        learnt = replace(self, iob1=iob1)
        labels = self.labels or in_order({tag for located in train for tag in learnt.gold(located.example)})
        if len(labels) < 2:
            raise DataError(
                f"{train[0].place.rpartition(':')[0] or 'train'}: all words have the tag {labels[0]!r}: a tagger needs "
                "at least two tags"
            )
        for located in (*train, *dev):
            learnt._check(located, labels, scheme)
        counts = Counter(tag for located in train for tag in learnt.gold(located.example))
        return replace(learnt, labels=labels, class_weights=learnt_weights(self.class_weights, labels, counts))

    def _check(self, located: Located[Tagged], labels: tuple[str, ...], scheme: Scheme | None) -> None:
        tags, words = self.gold(located.example), located.example.words
        for place, tag in enumerate(tags):
            if tag not in labels:
                raise DataError(
                    f"{located.place}: word {place + 1} ({words[place]!r}) has the tag {tag!r}, which does not occur "
                    f"in the training examples, whose tags are {', '.join(labels[:20])}: correct it, or add examples "
                    "of it to train"
                )
        wrong = None if scheme is None else misplaced(tags, scheme)
        if wrong is None:
            return
        if wrong == len(tags):
            what = f"the last word ({words[-1]!r}) has the tag {tags[-1]!r}, and its entity does not end"
        else:
            before = f"behind {tags[wrong - 1]!r}" if wrong else "at the beginning"
            what = f"word {wrong + 1} ({words[wrong]!r}) has the tag {tags[wrong]!r} {before}"
        raise DataError(f"{located.place}: {what}, which {str(scheme).upper()} does not allow: correct the tags")

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        head = model.heads[TOKEN] if TOKEN in model.heads else None
        if not isinstance(head, TokenHead) or len(labels.get(TOKEN, ())) < 2:
            return None
        chained = head.chain is not None
        return cls(labels[TOKEN], crf=chained, train_on="all" if chained else "first")

    def gold(self, example: Tagged) -> tuple[str, ...]:
        """The true tags, those of IOB1 as BIO."""
        return from_iob1(example.tags) if self.iob1 else example.tags

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """The tagger's configuration: no vocabulary projection; of an encoder-decoder the encoder alone."""
        both = config.encoder_layers and config.decoder_layers
        return changed(config, vocabulary_head="none", pooler=False, **({"decoder_layers": 0} if both else {}))

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        """The published class's, where the family has one."""
        made = published[TOKEN].made if TOKEN in published else EachToken(0)
        assert isinstance(made, EachToken)
        return {TOKEN: make_head(config, replace(made, labels=len(self.labels), chained=self.crf))}

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """An encoder's has control tokens around the text; one that has a layout of its own keeps it."""
        own = tokenizer.layout()
        return tokenizer if own.before or own.after or not config.encoder_layers else tokenizer.with_layout("classify")

    def encode(self, examples: Sequence[Tagged], tokenizer: Tokenizer, config: Config) -> TagItems:
        length = self.length or config.context
        if config.limit is not None:
            length = min(length, config.limit)
        notes: list[str] = []
        if self.iob1:
            notes.append("the tags are of the scheme IOB1, where I-X begins an entity: they are learnt and told as BIO")
        numbers = {label: number for number, label in enumerate(self.labels)}
        tags = [[numbers.get(tag, -1) for tag in self.gold(example)] for example in examples]
        later = self._later() if self.train_on == "all" and not self.crf else None
        return encode_tagged(examples, tags, later, tokenizer, length, config.characters, notes)

    def _later(self) -> np.ndarray:
        """(K,) the label of a word's later pieces by that of its first."""
        later = list(range(len(self.labels)))
        if self.b_to_i is not False and self.decide == "first" and not self.compare and self.scheme is not None:
            for number, label in enumerate(self.labels):
                inside = "I" + label[1:]
                if label.startswith("B") and inside in self.labels:
                    later[number] = self.labels.index(inside)
        return np.array(later)

    def batch(self, items: TagItems, numbers: np.ndarray) -> Batch:
        """(B, T) ids, right-padded. ``targets``: (B, W) tags of the windows' own words and the places of their first
        pieces, (B, T) each piece's word and tag, -1 where there is none, and (B,) what tells the chain's ends."""
        rows = [items.rows[number] for number in numbers]
        lengths = np.array([len(row.ids) for row in rows])
        words = np.array([len(row.firsts) for row in rows])
        real = np.arange(lengths.max()) < lengths[:, None]
        own = np.arange(words.max()) < words[:, None]

        def filled(mask: np.ndarray, parts: list[np.ndarray], rest: int) -> Tensor:
            array = np.full(mask.shape, rest, np.int64)
            array[mask] = np.concatenate(parts)
            return torch.from_numpy(array)

        spelt = place_spellings([row.unknown for row in rows], real.shape[1], items.characters)
        side = Tokens(
            ids=filled(real, [row.ids for row in rows], 0),
            documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
            characters=None if spelt is None else torch.from_numpy(spelt),
        )
        targets = {
            TOKEN: filled(own, [row.tags for row in rows], -1),
            "firsts": filled(own, [row.firsts for row in rows], -1),
            "pieces": filled(real, [row.piece_tags for row in rows], -1),
            "words": filled(real, [row.words for row in rows], -1),
            "counts": torch.from_numpy(words),
            "begins": torch.tensor([row.begins for row in rows]),
            "ends": torch.tensor([row.ends for row in rows]),
        }
        on_pieces = self.train_on == "all" and not self.crf
        count = int((targets["pieces" if on_pieces else TOKEN] >= 0).sum())
        return Batch(Inputs(side, side), targets, {TOKEN: count}, int(lengths.sum()), numbers.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        scores, targets = self.scores(model, batch), batch.targets
        if self.crf:
            forbidden = self._forbidden() if self.constrained else None
            words = word_scores(scores, targets, self.decide)
            total = chain_loss(words, model.heads[TOKEN].chain(), forbidden, targets)  # type: ignore[operator]
        elif self.train_on == "all":
            total = self._cross_entropy(scores, targets["pieces"])
        else:
            total = self._cross_entropy(word_scores(scores, targets, "first"), targets[TOKEN])
        return {TOKEN: Loss(total, batch.counts[TOKEN])}

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The sum over those that are known: not -1."""
        weights = weight_vector(self.class_weights, self.labels, scores)
        return F.cross_entropy(scores.flatten(0, 1), labels.flatten(), weights, ignore_index=-1, reduction="sum")

    def _forbidden(self) -> Triple:
        return forbidden(self.labels, self.scheme)

    def scores(self, model: "Network", batch: Batch) -> Tensor:
        """(B, T, K) float32, of every piece."""
        return model.scores(batch.inputs, TOKEN).float()

    def answers(self, model: "Network", batch: Batch) -> list[Scored]:
        chain = None
        if self.crf:
            chain = ChainScores.of(model.heads[TOKEN].chain(), self._forbidden())  # type: ignore[operator]
        scores, targets = self.scores(model, batch), batch.targets
        words = word_scores(scores, targets, self.decide).detach().cpu().numpy()
        others = {
            decide: word_scores(scores, targets, decide).argmax(2).cpu().numpy()
            for decide in (get_args(Decision) if self.compare else ())
        }
        return [
            Scored(words[row, :count], chain, {decide: tags[row, :count] for decide, tags in others.items()})
            for row, count in enumerate(targets["counts"].tolist())
        ]

    def predictions(self, examples: Sequence[Tagged], items: TagItems, answers: Sequence[Scored]) -> list[WordTags]:
        parts: list[list[Scored]] = [[] for _ in examples]
        for number, answer in zip(items.examples, answers, strict=True):
            parts[number].append(answer)
        whole = [np.concatenate([answer.words for answer in each]) for each in parts]  # (W, K) each
        if answers and answers[0].chain is not None:
            chosen, chances = decode(whole, answers[0].chain)
        else:
            chances = [np.exp(each) for each in whole]
            chosen = [each.argmax(1) for each in whole]
        return [
            WordTags(
                example, self._named(path), path, row, self.scheme is not None,
                {
                    decide: self._named(np.concatenate([answer.others[decide] for answer in part]))
                    for decide in part[0].others
                },
            )
            for example, path, row, part in zip(examples, chosen, chances, parts, strict=True)
        ]  # fmt: skip

    def _named(self, numbers: np.ndarray) -> tuple[str, ...]:
        return tuple(self.labels[number] for number in numbers)

    def score(self, predicted: Sequence[WordTags], examples: Sequence[Tagged]) -> dict[str, float]:
        """Where tags mark entities those entities' precision, recall and F1 (conlleval's); the share of words with the
        right tag; minus the mean log of the true tags' probabilities; and, where they are compared, the main score by
        each way to decide."""
        loss = float(np.mean([each.loss for each in self.outcomes(predicted, examples)]))
        compared = {
            f"{self.main}_{decide}": self._scores([each.others[decide] for each in predicted], examples)[self.main]
            for decide in (get_args(Decision) if self.compare else ())
        }
        return {**self._scores([each.tags for each in predicted], examples), "loss": loss, **compared}

    def _scores(self, said: Sequence[Sequence[str]], examples: Sequence[Tagged]) -> dict[str, float]:
        gold = [self.gold(example) for example in examples]
        if self.scheme is not None:
            return entity_scores([list(each) for each in gold], [list(each) for each in said])
        pairs = [pair for each in zip(gold, said, strict=True) for pair in zip(*each, strict=True)]
        return {"accuracy": sum(a == b for a, b in pairs) / len(pairs)}

    def outcomes(self, predicted: Sequence[WordTags], examples: Sequence[Tagged]) -> list[Outcome]:
        """One for each word."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        found = []
        for each, example in zip(predicted, examples, strict=True):
            for place, (word, tag, said) in enumerate(zip(example.words, self.gold(example), each.tags, strict=True)):
                chance = float(each.probabilities[place, numbers[tag]]) if tag in numbers else 0.0
                found.append(Outcome(word, tag, said, -math.log(max(chance, 1e-30))))
        return found

    def settled(self, predicted: Sequence[WordTags], examples: Sequence[Tagged]) -> Self:
        return self


def _check_lengths(place: str, example: Tagged, words: str, tags: str) -> None:
    if example.tags and len(example.words) != len(example.tags):
        raise DataError(
            f"{place}: {len(example.words)} words in {words!r} but {len(example.tags)} tags in {tags!r}: give one for "
            "each word"
        )
