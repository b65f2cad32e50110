"""``trivium evaluate --shots``: a model asked by examples in its prompt, over how many there are; beside it the same
model told in words, and fine-tuned on the same examples: the choice that whoever has a few examples faces.

Nothing of the model changes but in the ways that fine-tune a copy of it.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from statistics import stdev

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation import Score, Scorer
from trivium.evaluation.demonstrations import cosines, nearest, word_overlap
from trivium.evaluation.in_context import Asked, InContext, Said, ask, chosen, most_that_fit, sampling_of, written
from trivium.evaluation.resampling import crossed
from trivium.evaluation.scorer import TOKENS
from trivium.generation.text_stream import never_written
from trivium.text.fields import Columns
from trivium.verbs.embed import embedded
from trivium.verbs.few_shot_data import FewShotData, numbered, read_few_shot
from trivium.verbs.few_shot_rivals import BESIDE, instructed, tuned_on
from trivium.verbs.load import LanguageModel, Precision, load
from trivium.verbs.tuning import FineTuning

IN_CONTEXT, UNDESCRIBED, MAJORITY = "in context", "without description", "most frequent label"


@dataclass(frozen=True)
class Way:
    """One way to answer, with so many examples. ``score``: of the main metric, with an interval over rows and draws;
    ``deviation``: of the draws; ``shown``: examples that stood in the prompts, on average; ``cut``: questions that lost
    their own beginning; ``others``: further scores, with intervals of the same kind."""

    model: str
    way: str
    shots: int
    score: Score
    deviation: float | None
    draws: int
    shown: float
    cut: int
    seconds: float
    others: Mapping[str, Score]
    said: tuple[tuple[Said, ...], ...] = ()  # by draw


@dataclass(frozen=True)
class FewShot:
    """``ways``: by model and number of examples; ``metric``: the main score; ``layout`` and ``prompt``: what was asked,
    the prompt being that of the first row with the most examples; ``signature``: how."""

    task: str
    kind: str
    metric: str
    rows: int
    pool: int
    ways: tuple[Way, ...]
    prompt: str
    questions: tuple[str, ...]
    words: Mapping[str, str]
    signature: Mapping[str, str]
    notes: tuple[str, ...]

    def surest(self, count: int) -> list[tuple[str, Said]]:
        """The answers of the last way in context of which the model is surest, each with the question; of the first
        draw (Radford et al. 2019, table 5)."""
        way = [each for each in self.ways if each.way == IN_CONTEXT][-1]
        paired = zip(self.questions, way.said[0], strict=True)
        return sorted(paired, key=lambda pair: -pair[1].probability)[:count]

    def curve(self, model: str, way: str) -> list[Way]:
        """One way of one model over the number of examples."""
        return [each for each in self.ways if (each.model, each.way) == (model, way)]


AnyModel = str | Path | LanguageModel


def few_shot(
    model: AnyModel | Sequence[AnyModel],
    data: str | Path | None = None,
    train: str | Path | None = None,
    *,
    shots: Sequence[int | None] = (0, 1, 4, 16),
    suite: str | None = None,
    task: str | None = None,
    columns: Columns | None = None,
    format: str | None = None,
    settings: InContext | None = None,
    undescribed: bool = False,
    beside: Sequence[str] = (),
    tuning: FineTuning | None = None,
    limit: int | None = None,
    precision: Precision = "float32",
    device: str = "auto",
    tokens: int = TOKENS,
    tell: Callable[[str], None] = lambda text: None,
    names: Sequence[str] | None = None,
) -> FewShot:
    """Every number of ``shots`` (None: as many as the context holds), each with several draws of examples of ``train``.

    ``data``: a labelled file: texts or pairs with labels, options, questions, or texts and what they become (``task``:
    which, where its columns do not tell); of a ``suite`` its file, of word puzzles a text, or none. Without ``train``
    half of the rows become examples. ``beside``: "instruction", "finetune" and "lora", which learn from the very
    examples of each draw, as ``tuning`` says. ``undescribed``: also without the task's description. ``names``: what the
    models are called, if not by their folders.
    """
    settings, wanted = settings or InContext(), numbered(shots)
    if limit is not None and limit < 1 or tokens < 1:
        raise SettingsError(f"limit = {limit}, tokens = {tokens}: each must be at least 1")
    for rival in beside:
        if rival not in BESIDE:
            near = get_close_matches(rival, BESIDE, 1)
            advice = f"did you mean {near[0]}?" if near else f"choose of {', '.join(BESIDE)}"
            raise SettingsError(f"beside names {rival!r}: {advice}")
    needed = any(each is None or each > 0 for each in wanted)
    read = read_few_shot(
        None if data is None else Path(data), None if train is None else Path(train), suite, task, columns or {},
        format, settings, limit, needed,
    )  # fmt: skip
    most = max((each for each in wanted if each is not None), default=0)
    if most > len(read.pool):
        raise DataError(f"{most} examples are to be shown, and there are {len(read.pool)}: give more, or ask for fewer")
    if undescribed and not read.layout.description:
        raise SettingsError("there is no description to leave out: give one, as in description=Is this text happy?")
    models: list[AnyModel] = list(model) if isinstance(model, list | tuple) else [model]  # type: ignore[list-item]
    notes = list(read.notes)
    ways, prompt = _majority(read), ""
    for number, each in enumerate(models):
        loaded = load(each, precision=precision, device=device)
        name = names[number] if names else str(each.directory if isinstance(each, LanguageModel) else each)
        run = _Run(name, loaded, read, settings, tokens, tell)
        ways += run.in_context(wanted)
        if undescribed:
            bare = replace(read, layout=replace(read.layout, description=""))
            ways += replace(run, read=bare).in_context(wanted, UNDESCRIBED)
        for name in BESIDE:
            if name in beside:
                ways += run.instructed() if name == "instruction" else run.tuned(name, wanted, tuning or FineTuning())
        notes += run.notes(ways)
        prompt = prompt or run.prompt(wanted)
    return FewShot(
        read.name, read.kind, _main(read, settings), len(read.rows), len(read.pool), tuple(ways), prompt,
        tuple(case.fields.get("question") or case.text for case in read.rows), read.words,
        _signature(read, settings), tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Run:
    """One model on one task."""

    name: str
    model: LanguageModel
    read: FewShotData
    settings: InContext
    tokens: int
    tell: Callable[[str], None]

    @property
    def scorer(self) -> Scorer:
        self.model._check_vocabulary()
        return Scorer(self.model.model, self.model.tokenizer, self.tokens, self.model.generation)

    def draws(self, shots: int | None) -> int:
        return 1 if shots == 0 or self.settings.by_likeness else self.settings.draws

    def numbers(self, shots: int, draw: int) -> list[list[int]]:
        """Of each row, which examples it is shown."""
        return chosen(self.settings, self.read.pool, shots, len(self.read.rows), draw, self.likeness(shots))

    def likeness(self, count: int) -> list[list[int]]:
        if not self.settings.by_likeness or not count:
            return [[] for _ in self.read.rows]
        texts = [case.text for case in self.read.rows], [case.text for case in self.read.pool]
        if self.settings.choose == "overlap":
            return nearest(word_overlap(*texts), count)
        return nearest(cosines(*(embedded(self.model, part).vectors for part in texts)), count)

    def most(self, draw: int) -> int:
        """As many as every row's prompt has a place for, at most all there are."""
        pool = self.read.pool
        fits = most_that_fit(
            self.scorer, self.read.layout, self.settings, self.read.rows, pool, self.numbers(len(pool), draw)
        )
        if not fits:
            raise SettingsError(
                f"the context of {self.name} holds no example beside the longest question: ask with 0 shots, or by a "
                "model with a longer context"
            )
        return fits

    def in_context(self, shots: Sequence[int | None], way: str = IN_CONTEXT) -> list[Way]:
        found = []
        for each in shots:
            begun = time.perf_counter()
            asked: list[Asked] = []
            count = min(self.most(draw) for draw in range(self.draws(None))) if each is None else each
            for draw in range(self.draws(count)):
                self.tell(f"{self.read.name}, {self.name}: {way}, {count} examples, draw {draw + 1}")
                asked.append(
                    ask(self.scorer, self.read.layout, self.settings, self.read.rows, self.read.pool,
                        self.numbers(count, draw))
                )  # fmt: skip
            found.append(self.way(way, count, asked, begun))
        return found

    def instructed(self) -> list[Way]:
        begun = time.perf_counter()
        self.tell(f"{self.read.name}, {self.name}: instruction")
        return [self.way("instruction", 0, [instructed(self.model, self.scorer, self.read, self.settings)], begun)]

    def tuned(self, method: str, shots: Sequence[int | None], tuning: FineTuning) -> list[Way]:
        if self.settings.redraw or self.settings.by_likeness:
            raise SettingsError("fine-tuning learns from one set of examples: leave out redraw, and choose=similar")
        found = []
        for count in [each for each in shots if each]:
            begun, asked = time.perf_counter(), []
            for draw in range(self.draws(count)):
                self.tell(f"{self.read.name}, {self.name}: {BESIDE[method]}, {count} examples, draw {draw + 1}")
                asked.append(
                    tuned_on(self.model, self.read, self.numbers(count, draw)[0], method, tuning, draw,
                             self.settings.max_tokens)
                )  # fmt: skip
            found.append(self.way(BESIDE[method], count, asked, begun))
        return found

    def way(self, way: str, shots: int, asked: Sequence[Asked], begun: float) -> Way:
        main = _main(self.read, self.settings)
        values = np.stack([each.scores(main) for each in asked])
        means = values.mean(axis=1)
        hits = [name for name in asked[0].said[0].hits if name != main]
        others = {name: crossed(np.stack([each.scores(name) for each in asked])) for name in hits}
        published = self.read.published([[each.answer for each in one.said] for one in asked])
        others |= {name: score for name, score in published.items() if name != main}
        return Way(
            self.name, way, shots, crossed(values), stdev(means) if len(means) > 1 else None, len(asked),
            float(np.mean([each.shown for one in asked for each in one.said])), max(each.cut for each in asked),
            round(time.perf_counter() - begun, 2), others, tuple(each.said for each in asked),
        )  # fmt: skip

    def notes(self, ways: Sequence[Way]) -> list[str]:
        """What the context did to the prompts, and whether answers can end."""
        found = []
        if written(self.read.rows, self.settings):
            stop = sampling_of(self.read.layout, self.settings, self.read.rows).stop
            found += [
                f"{self.name}: its tokenizer cannot write {each!r}, which ends an answer: all go on to max_tokens"
                for each in never_written(self.model.tokenizer, stop)
            ]
        for each in (way for way in ways if way.model == self.name and way.way in (IN_CONTEXT, UNDESCRIBED)):
            if each.shown < each.shots:
                found.append(
                    f"{self.name}, {each.way}, {each.shots} examples: the context of {self.model.config.context} "
                    f"tokens held {each.shown:.1f} of them on average; the furthest from the question were left out"
                )
            if each.cut:
                found.append(f"{self.name}: {each.cut} questions did not fit and lost their beginning")
        return found

    def prompt(self, shots: Sequence[int | None]) -> str:
        """As the first row is asked with the most examples that have a fixed number."""
        count = max((each for each in shots if each is not None), default=0)
        shown = [self.read.pool[i] for i in self.numbers(count, 0)[0]]
        return self.read.layout.prompt(shown, self.read.rows[0].fields)


def _main(read: FewShotData, settings: InContext) -> str:
    if read.rows[0].options:
        return "accuracy"
    return "f1" if read.kind == "answers" else "exact"


def _majority(read: FewShotData) -> list[Way]:
    """What needs no model: the answer that is most frequent among the examples, or the rows where there are none."""
    if read.kind != "sequence":
        return []
    counts = Counter(case.label for case in read.pool or read.rows)
    most = min(counts, key=lambda label: (-counts[label], label))
    hits = np.array([[float(case.label == most) for case in read.rows]])
    label = crossed(np.array([[float(case.label == most) for case in read.pool or read.rows]]))
    return [Way("", MAJORITY, 0, crossed(hits), None, 1, 0.0, 0, 0.0, {"label": label})]


def _signature(read: FewShotData, settings: InContext) -> dict[str, str]:
    how = "generate" if written(read.rows, settings) else settings.score
    return {
        "task": Path(read.name).name, "n": str(len(read.rows)), "choose": settings.choose,
        "redraw": str(settings.redraw).lower(), "score": how, "calibrate": str(settings.calibrate).lower(),
        "seed": str(settings.seed), "interval": "95%,rows+draws:1000,seed:0",
    }  # fmt: skip
