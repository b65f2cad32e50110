"""Answers to questions as spans of a passage (extractive QA): a score of each token to begin the answer, one to end it.

``p(start = i) = softmax_i(S h_i)``, the end alike, and the loss is the mean of the two (Devlin et al. 2019, 4.2). A
window without the answer, and a question that has none (4.3), point at the control token that sums up the window. A
question is left unanswered where that is better than the best span by more than a threshold, the best one on dev, as in
the official evaluation of SQuAD 2.0; only where the training examples had such questions. XLNet's own head, whose end
depends on the start, is left out: its published simple one is used.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families.family import Head
from trivium.metrics.answers import best_threshold, exact_match, squad, squad_each
from trivium.objectives import Batch, Loss
from trivium.tasks.answer_spans import Answered, Best, answered, best_places
from trivium.tasks.passages import QuestionItems, encode_questions
from trivium.tasks.task import Outcome
from trivium.text.examples import Located, Question
from trivium.text.fields import Columns
from trivium.text.question_fields import check_answers, named, question_of
from trivium.tokenizers import Tokenizer
from trivium.transformer import SPAN, Config, EachToken, Inputs, TokenHead, Tokens, make_head, moved_right
from trivium.transformer.network import changed

if TYPE_CHECKING:
    from trivium.transformer import Network

NO_ANSWER = "(no answer)"


@dataclass(frozen=True)
class Answering:
    """``length`` of a window, question included, in tokens; a new window after every ``stride`` tokens."""

    columns: ClassVar[tuple[str, ...]] = ("question", "context", "answers", "id")
    main: ClassVar[str] = "f1"

    length: int = 384  # the context's where that is shorter
    stride: int = 128
    max_query: int = 64  # tokens of a question; the rest is cut
    max_answer: int = 30  # tokens
    n_best: int = 20  # places to begin and to end of each window, and answers in the end
    unanswerable: bool = False  # whether a question may have no answer; found out from the training examples
    null_threshold: float | None = None  # None: the best one on dev, 0 without dev

    def __post_init__(self) -> None:
        for name in ("length", "stride", "max_query", "max_answer", "n_best"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} = {getattr(self, name)}: it must be at least 1")
        if self.null_threshold is not None and not math.isfinite(self.null_threshold):
            raise SettingsError(f"null_threshold = {self.null_threshold}: it must be a finite number")

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Question:
        """Fields ``question``, ``context``, ``answers`` and, where there is one, ``id``."""
        return question_of(place, row, columns, gold)

    def learn(self, train: Sequence[Located[Question]], dev: Sequence[Located[Question]]) -> Self:
        """Whether questions may have no answer. Answers must be where they are said to be, and dev may lack one only
        where a training question does."""
        for located in (*train, *dev):
            if not located.example.question.strip() or not located.example.context.strip():
                raise DataError(f"{named(located.place, located.example.id)}: question or passage is empty: remove it")
            check_answers(located.place, located.example)
        if not any(located.example.answers for located in train):
            raise DataError(
                f"{train[0].place.rpartition(':')[0] or 'train'}: none of the {len(train)} questions has an answer: "
                "nothing can be learned"
            )
        learnt = replace(self, unanswerable=self.unanswerable or not all(each.example.answers for each in train))
        silent = next((each for each in dev if not each.example.answers), None)
        if silent is not None and not learnt.unanswerable:
            raise DataError(
                f"{named(silent.place, silent.example.id)} has no answer, but every training question has one: add "
                "such questions to train, or set unanswerable=true"
            )
        return learnt

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        return cls() if SPAN in model.heads and isinstance(model.heads[SPAN], TokenHead) else None

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """The same body without a vocabulary projection."""
        if config.characters:
            raise SettingsError("answers are not found by a network that spells words: take a Transformer")
        return changed(config, vocabulary_head="none", pooler=False)

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        """The published class's, where the family has one."""
        return {SPAN: make_head(config, published[SPAN].made if SPAN in published else EachToken(2, dropout=0.0))}

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """The tokenizer with control tokens around question and passage; one that has its own keeps it."""
        own = tokenizer.layout(pair=True)
        if own.between:
            return tokenizer
        if config.decoder_layers:
            return tokenizer.with_layout("end")
        return tokenizer.with_layout("classify-last" if config.pooling == "last" else "classify")

    def encode(self, examples: Sequence[Question], tokenizer: Tokenizer, config: Config) -> QuestionItems:
        length = self.length if config.limit is None else min(self.length, config.limit)
        return encode_questions(
            examples, tokenizer, length, self.stride, self.max_query, self.max_answer, config.segments > 1,
            decoder=not config.encoder_layers,
        )  # fmt: skip

    def batch(self, items: QuestionItems, numbers: np.ndarray) -> Batch:
        """(B, T) ids, right-padded. ``targets``: (B, 2) places of the answer's first and last token; (B, T) where an
        answer may begin and where it may end; (B,) the place that says it is not there, and the passage's shift."""
        rows = [items.rows[number] for number in numbers]
        lengths = np.array([len(row.ids) for row in rows])
        real = np.arange(lengths.max()) < lengths[:, None]

        def filled(parts: list[np.ndarray]) -> Tensor:
            array = np.zeros(real.shape, np.int64)
            array[real] = np.concatenate(parts)
            return torch.from_numpy(array)

        own, within = np.zeros(real.shape, bool), np.zeros(real.shape, bool)
        for place, row in enumerate(rows):
            inside = slice(row.offset, row.offset + row.window.size)
            own[place, inside], within[place, inside] = row.window.own, True
        kinds = [row.segments for row in rows if row.segments is not None]
        side = Tokens(
            ids=filled([row.ids for row in rows]),
            documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
            segments=filled(kinds) if kinds else None,
        )
        targets = {
            SPAN: torch.tensor([row.target for row in rows]),
            "own": torch.from_numpy(own),
            "within": torch.from_numpy(within),
            "shift": torch.tensor([row.window.first - row.offset for row in rows]),
            "nowhere": torch.tensor([row.nowhere for row in rows]),
        }
        return Batch(Inputs(side, side), targets, {SPAN: len(rows)}, int(lengths.sum()), numbers.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        """The mean of the start's and the end's cross-entropy, over the real tokens of the window."""
        return {SPAN: Loss(_losses(self.scores(model, batch), batch).sum(), batch.counts[SPAN])}

    def scores(self, model: "Network", batch: Batch) -> Tensor:
        """(B, T, 2) float32. The decoder of an encoder-decoder reads the same text moved right by one, as BART's."""
        inputs, config = batch.inputs, model.config
        if config.encoder_layers and config.decoder_layers and inputs.source is not None:
            start = config.pad_token if config.start_token is None else config.start_token
            inputs = Inputs(inputs.source, moved_right(inputs.source, start))
        return model.scores(inputs, SPAN).float()

    def answers(self, model: "Network", batch: Batch) -> list[Best]:
        given, scores = batch.targets, self.scores(model, batch)
        found = best_places(scores, given["own"], given["within"], given["shift"], given["nowhere"], self.n_best)
        losses = _losses(scores, batch).tolist()
        return [best._replace(loss=loss) for best, loss in zip(found, losses, strict=True)]

    def predictions(
        self, examples: Sequence[Question], items: QuestionItems, answers: Sequence[Best]
    ) -> list[Answered]:
        parts: list[list[Best]] = [[] for _ in examples]
        for number, answer in zip(items.examples, answers, strict=True):
            parts[number].append(answer)
        return [
            answered(example, passage, found, self.n_best, self.max_answer, self._threshold)
            for example, passage, found in zip(examples, items.passages, parts, strict=True)
        ]

    @property
    def _threshold(self) -> float | None:
        return (self.null_threshold or 0.0) if self.unanswerable else None

    def score(self, predicted: Sequence[Answered], examples: Sequence[Question]) -> dict[str, float]:
        """SQuAD's exact match and F1, where some questions have no answer those of either kind, and the mean loss of
        the questions' windows."""
        loss = float(np.mean([each.loss for each in predicted]))
        return {**squad(self._said(predicted), _golds(examples)), "loss": loss}

    def _said(self, predicted: Sequence[Answered]) -> list[str]:
        found = (each.decided(self._threshold) for each in predicted)
        return ["" if span is None else span.text for span in found]

    def outcomes(self, predicted: Sequence[Answered], examples: Sequence[Question]) -> list[Outcome]:
        """One for each question. The gold is the answer said where that is as good as one of those marked."""
        found = []
        for each, said, golds in zip(predicted, self._said(predicted), _golds(examples), strict=True):
            wanted = golds or [""]
            gold = next((said for answer in wanted if exact_match(said, answer)), wanted[0])
            chance = sum(s.probability for s in each.spans if any(exact_match(s.text, answer) for answer in wanted))
            chance = chance if golds else each.no_answer
            loss = -math.log(max(chance, 1e-30))
            found.append(Outcome(each.example.question, gold or NO_ANSWER, said or NO_ANSWER, loss))
        return found

    def settled(self, predicted: Sequence[Answered], examples: Sequence[Question]) -> Self:
        """The threshold with the best F1, where dev has questions of both kinds."""
        golds = _golds(examples)
        answerable = [bool(each) for each in golds]
        if not self.unanswerable or self.null_threshold is not None or len(set(answerable)) < 2:
            return self
        best = [each.spans[0].text if each.spans else "" for each in predicted]
        margins = [each.margin for each in predicted]
        _, threshold = best_threshold(margins, squad_each(best, golds)[1].tolist(), answerable)
        return replace(self, null_threshold=threshold)


def _losses(scores: Tensor, batch: Batch) -> Tensor:
    """(B,) of (B, T, 2) scores."""
    documents = batch.inputs.source.documents if batch.inputs.source is not None else None
    if documents is not None:
        scores = scores.masked_fill((documents < 0)[:, :, None], -torch.inf)
    return F.cross_entropy(scores, batch.targets[SPAN], reduction="none").mean(1)


def _golds(examples: Sequence[Question]) -> list[list[str]]:
    return [[answer.text for answer in example.answers] for example in examples]
