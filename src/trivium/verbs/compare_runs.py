"""``trivium compare RUN_A RUN_B``: two runs on the same items, paired; differences, intervals, what sets them apart.

Two language models cost the same text, in bits per byte; two fine-tuned models, or files of predictions, answer the
same labelled examples. Where no measure is common to both, that is said and nothing is compared.

What is resampled is what the data say hangs together: the lines of a document, the pages of a file, the questions about
a passage (``pairing.py``).
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.evaluation import Item, LabelledSuite, Scorer
from trivium.evaluation.pairing import Apart, Groups, Paired, paired_means, paired_ratio, paired_rescored
from trivium.evaluation.scorer import TOKENS
from trivium.generation.prompts import beginning
from trivium.tasks import Task
from trivium.text.documents import is_plain, named_documents
from trivium.text.examples import Choices, Question
from trivium.text.fields import Columns
from trivium.tokenizers.sampling import even_sample, parts
from trivium.verbs.examples import read_examples
from trivium.verbs.judging import Kept, held_out
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.predict import load_tuned, task_of
from trivium.verbs.source_model import recipe_of
from trivium.verbs.suite_runs import suite_answers
from trivium.verbs.tuning import Tuned

READ_BYTES = {"encoder": 1 << 14, "decoder": 1 << 18}  # of the text at most; an encoder reads it once for each token
FEWEST = 20  # documents; of fewer, their lines are the items
SHOWN = 100  # characters of an item
TOGETHER = ("document", "article", "title", "passage", "context")  # fields of a suite's rows that several may share

Tell = Callable[[str], None]


def compare_runs(
    first: str | Path,
    second: str | Path,
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    suite: str | None = None,
    columns: Columns | None = None,
    format: str | None = None,
    device: str = "auto",
    tell: Tell = lambda text: None,
) -> Paired:
    """``data``: of language models the text, else what both held out; of fine-tuned ones the labelled file. ``suite``:
    one of labelled examples, by which ``data`` is read and scored; needed where a run is a file of predictions."""
    if Path(first).exists() and Path(second).exists() and Path(first).resolve() == Path(second).resolve():
        raise SettingsError(f"{first} and {second} are the same: give two runs to compare")
    files = [] if data is None else [Path(data)] if isinstance(data, str | Path) else [Path(each) for each in data]
    if suite is not None:
        made = _by_suite(suite, (first, second), _one(files, "a suite"), columns, format, device, tell)
    else:
        if predicted := next((each for each in (first, second) if _is_predictions(each)), None):
            raise SettingsError(f"{predicted} is a file of predictions: say by --suite what they are predictions of")
        models = (load(first, device=device), load(second, device=device))
        tasks = [task_of(each.model, each.labels, each.directory) for each in models]
        if all(tasks):
            tuned = (load_tuned(first, device), load_tuned(second, device))
            made = _by_examples(tuned, _one(files, "fine-tuned models"), columns, format, tell)
        elif any(tasks):
            which, other = (first, second) if tasks[0] else (second, first)
            raise SettingsError(
                f"{which} was fine-tuned for a task and {other} was not, so that no measure is common to both: "
                "fine-tune the other one, too"
            )
        else:
            made = _by_text(models, files, tell)
    names = _short_names(str(first), str(second))
    return replace(made, first=names[0], second=names[1])


def _is_predictions(run: str | Path) -> bool:
    return Path(run).is_file() and Path(run).suffix != ".gguf"


def _one(files: Sequence[Path], what: str) -> Path:
    if len(files) != 1:
        raise SettingsError(f"{what} need one labelled file, and {len(files)} were given: name it with --data")
    return files[0]


def _short_names(first: str, second: str) -> tuple[str, str]:
    """Without the folders that both are in."""
    ours, theirs = Path(first).parts, Path(second).parts
    while len(ours) > 1 and len(theirs) > 1 and ours[0] == theirs[0]:
        ours, theirs = ours[1:], theirs[1:]
    return str(Path(*ours)), str(Path(*theirs))


# ---- texts ----


def _by_text(models: tuple[LanguageModel, LanguageModel], files: Sequence[Path], tell: Tell) -> Paired:
    scorers = [Scorer(_scoring(each).model, each.tokenizer, TOKENS) for each in models]
    kinds = [each.kind for each in scorers]
    if kinds[0] != kinds[1]:
        raise SettingsError(
            f"{models[0].directory} is of the kind {kinds[0]} and {models[1].directory} of the kind {kinds[1]}: a "
            "pseudo-likelihood and a probability do not compare; fine-tune both on a task and compare these"
        )
    tokenizers = [each.tokenizer.fingerprint for each in models]
    if kinds[0] == "encoder" and tokenizers[0] != tokenizers[1]:
        raise SettingsError(
            "these encoders cut text differently, and what one masked token hides is not the same text for both: "
            "fine-tune both on a task and compare these"
        )
    texts, unit, keys, name = _items(_documents(models, files, READ_BYTES[kinds[0]]))
    groups = Groups.of(keys, name)
    tell(f"{len(texts)} {unit}{'s' * (len(texts) != 1)}, {sum(len(text.encode()) for text in texts):,} bytes")
    nats = [np.array([_cost(each, text) for text in texts]) for each in scorers]
    bits = np.array([len(text.encode("utf-8", "replace")) for text in texts]) * math.log(2)
    measure = "pseudo_bits_per_byte" if kinds[0] == "encoder" else "bits_per_byte"
    apart = [
        Apart(index, _short(text), "", f"{ours / size:.4f}", f"{theirs / size:.4f}", float((ours - theirs) / size))
        for index, (text, ours, theirs, size) in enumerate(zip(texts, nats[0], nats[1], bits, strict=True))
    ]
    notes = []
    if len({bool(beginning(each.tokenizer)) for each in models}) > 1:
        notes.append("one of the models gives the first token of each text no probability, which favours it a little")
    if len(texts) > 1 and len(set(keys)) == 1:
        notes.append(f"all {unit}s are of one {name}, and are taken to be independent: it says little about others")
    ordered = sorted((each for each in apart if each.gap), key=lambda each: -abs(each.gap) * bits[each.index])
    made = paired_ratio(measure, nats[0], nats[1], bits, unit, groups)
    return replace(made, apart=tuple(ordered), notes=(*made.notes, *notes))


def _scoring(loaded: LanguageModel) -> LanguageModel:
    if loaded.model.vocabulary is None or loaded.config.vocabulary_head == "two-way":
        raise SettingsError(f"{loaded.directory} gives texts no probability: fine-tune both models and compare these")
    if loaded.kind == "encoder-decoder":
        raise SettingsError(
            f"{loaded.directory} is an encoder-decoder, which gives no probability to a text alone: fine-tune both "
            "models and compare these"
        )
    return loaded


def _cost(scorer: Scorer, text: str) -> float:
    return -sum(part.log_probability for part in scorer.text(text))


def _documents(models: Sequence[LanguageModel], files: Sequence[Path], most: int) -> list[Kept]:
    if files:
        return _sampled(files, most)
    found = []
    for each in models:
        recipe = recipe_of(each.directory) if each.directory.is_dir() else None
        if recipe is None:
            raise SettingsError(f"{each.directory} does not say what text it was trained on: give a text with --data")
        kept = held_out(recipe, each.directory, most)
        if not kept:
            raise SettingsError(f"{each.directory} held no text out: give a text with --data")
        found.append(kept)
    other = {each.text for each in found[1]}
    shared = [each for each in found[0] if each.text in other]
    if not shared:
        raise SettingsError(
            f"{models[0].directory} and {models[1].directory} held no text out that is the same: give a text that "
            "neither has seen with --data"
        )
    return shared


def _sampled(files: Sequence[Path], most: int) -> list[Kept]:
    """Documents of these files, or parts of long ones; what stands in several is of the first."""
    origins: dict[int, tuple[str, int]] = {}

    def noted() -> Iterator[str]:
        for number, (name, text) in enumerate(named_documents(files)):
            for part in parts(text):
                origins.setdefault(hash(part), (name, number))
                yield part

    found = [(text, *origins[hash(text)]) for text in even_sample(noted(), most).texts]
    return [Kept(text, name, (0, number)) for text, name, number in found]


def _items(documents: Sequence[Kept]) -> tuple[list[str], str, list[Hashable], str]:
    """The items and what each is; what each is of, and what that is: a file where all files are texts of pages, such as
    books, and there are several; else the document."""
    documents = [each for each in documents if len(each.text) > 1 and each.text.strip()]
    files = {each.file for each in documents if each.file is not None and is_plain(each.file)}
    by_file = len(files) > 1 and all(each.file in files for each in documents)
    of: list[Hashable] = [each.file if by_file else each.place for each in documents]
    name = "file" if by_file else "document"
    texts = [each.text for each in documents]
    if len(documents) >= FEWEST:
        return texts, "document", of, name
    numbered = [(line, key) for text, key in zip(texts, of, strict=True) for line in text.splitlines()]
    lines = [(line, key) for line, key in numbered if len(line.strip()) > 1]
    if not lines:
        raise DataError("the text has nothing to predict in it: give more of it")
    if len(lines) > len(documents):
        return [line for line, _ in lines], "line", [key for _, key in lines], name
    return texts, "document", of, name


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN else words[: SHOWN - 3] + "..."


# ---- labelled examples ----


def _by_examples(
    tuned: tuple[Tuned, Tuned], data: Path, columns: Columns | None, format: str | None, tell: Tell
) -> Paired:
    tasks = [each.task for each in tuned]
    _check_tasks(tasks[0], tasks[1])
    examples = [read_examples(task, data, columns, "data", format) for task in tasks]
    read = [[located.example for located in each] for each in examples]
    tell(f"{len(read[0])} example{'s' * (len(read[0]) != 1)}")
    said = [each.predict(some) for each, some in zip(tuned, read, strict=True)]
    main = tasks[0].main

    def score(side: int, answers: Sequence[Any], numbers: Sequence[int]) -> float:
        return tasks[side].score([answers[i] for i in numbers], [read[side][i] for i in numbers]).get(main, math.nan)

    passages = [each.context for each in read[0] if isinstance(each, Choices | Question) and each.context.strip()]
    groups = Groups.of(passages, "passage") if len(passages) == len(read[0]) else None
    made, gaps = _scored(main, said, score, "example", groups)
    apart = []
    for index, gap in gaps:
        sides = [tasks[side].outcomes([said[side][index]], [read[side][index]]) for side in (0, 1)]
        same = len(sides[0]) == len(sides[1])
        for ours, theirs in zip(*sides, strict=False):
            if same and ours.said != theirs.said:
                apart.append(Apart(index, _short(ours.text), ours.gold, ours.said, theirs.said, gap))
    return replace(made, apart=tuple(apart))


def _check_tasks(first: Task[Any, Any], second: Task[Any, Any]) -> None:
    if type(first) is not type(second):
        names = [type(each).__name__ for each in (first, second)]
        raise SettingsError(f"the models were fine-tuned for different tasks: {names[0]} and {names[1]} do not compare")
    labels = [tuple(sorted(map(str, getattr(each, "labels", None) or ()))) for each in (first, second)]
    if labels[0] != labels[1]:
        shown = [", ".join(each[:5]) or "none" for each in labels]
        raise SettingsError(f"the models' labels differ ({shown[0]}; {shown[1]}): give models of the same labels")
    if first.main != second.main:
        raise SettingsError(f"the models are measured by {first.main} and by {second.main}: nothing compares")


def _by_suite(
    suite: str, runs: Sequence[str | Path], data: Path, columns: Columns | None, format: str | None, device: str,
    tell: Tell,
) -> Paired:  # fmt: skip
    given = [Path(run) if _is_predictions(run) else run for run in runs]
    chosen, items, said = suite_answers(
        suite, given, [_is_predictions(run) for run in runs], data, columns, format, device, tell
    )
    main = chosen.main[0]

    def score(side: int, answers: Sequence[Any], numbers: Sequence[int]) -> float:
        return _suite_score(chosen, [items[i] for i in numbers], [answers[i] for i in numbers], main)

    made, gaps = _scored(main, said, score, "example", _sharing(items))
    apart = []
    for index, gap in gaps:
        item, answers = items[index], [_short(str(each[index])) for each in said]
        asked = " | ".join(str(value) for value in item.row.values())
        apart.append(Apart(index, _short(asked), _short(str(item.gold)), answers[0], answers[1], gap))
    return replace(made, apart=tuple(apart))


def _sharing(items: Sequence[Item]) -> Groups | None:
    """By the first of the fields that may name what several rows are of, if all rows have it and some share it."""
    for name in TOGETHER:
        values = [str(item.row.get(name) or "").strip() for item in items]
        if all(values) and (groups := Groups.of(values, name)) is not None:
            return groups
    return None


def _suite_score(suite: LabelledSuite, items: Sequence[Item], said: Sequence[Any], main: str) -> float:
    found = suite.score(items, said).scores
    return found[main].value if main in found else math.nan


def _scored(
    main: str, said: Sequence[Sequence[Any]], score: Callable[[int, Sequence[Any], Sequence[int]], float], unit: str,
    groups: Groups | None,
) -> tuple[Paired, list[tuple[int, float]]]:  # fmt: skip
    """The comparison, and the items that differ with their gaps, widest first where they are not right or wrong."""
    everything = range(len(said[0]))
    whole = [score(side, said[side], everything) for side in (0, 1)]
    try:
        alone = [np.array([score(side, said[side], [i]) for i in everything], float) for side in (0, 1)]
    except (TriviumError, ValueError):  # a score that needs more than one item
        alone = []
    if alone and all(abs(each.mean() - value) < 1e-9 for each, value in zip(alone, whole, strict=True)):
        made = paired_means(main, alone[0], alone[1], unit, groups)
    else:

        def rescore(numbers: Sequence[int], swapped: Sequence[bool]) -> tuple[float, float]:
            ours = [said[1 if swap else 0][i] for i, swap in enumerate(swapped)]
            theirs = [said[0 if swap else 1][i] for i, swap in enumerate(swapped)]
            return score(0, ours, numbers), score(1, theirs, numbers)

        made = paired_rescored(main, len(everything), rescore, unit, groups)
    if not alone:
        return made, [(i, math.nan) for i in everything if said[0][i] != said[1][i]]
    gaps = np.nan_to_num(alone[0] - alone[1])
    order = np.argsort(-np.abs(gaps), kind="stable")
    return made, [(int(i), float(gaps[i])) for i in order if gaps[i]]
