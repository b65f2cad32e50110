"""What going on from a pretrained model is worth and costs: figures on the new text and on the old, before and after.

The old text is the one that ``from.old`` names, else what the source's own run held out, where that is still there. At
most 64 KiB of each are judged. They are tokenised once, into the run's ``data/judged``, so that a run that is resumed
needs neither text nor source. Bits per byte do not depend on how a text is cut, so figures before and after compare
where the vocabulary has grown, too.
"""

import hashlib
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

from trivium.errors import DataError
from trivium.objectives import Batch, Mixed, Objective
from trivium.randomness import Draws
from trivium.text.blocks import cut
from trivium.text.documents import read_documents
from trivium.text.origins import file_names
from trivium.text.shards import Shards, write_shards
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.sampling import even_sample
from trivium.transformer import Network
from trivium.verbs.pretraining_batches import evaluation
from trivium.verbs.pretraining_data import FEWEST_TO_SPLIT, PretrainingData, Text, parts_of, texts
from trivium.verbs.recipe import Recipe
from trivium.verbs.source_model import Source

JUDGED_BYTES = 1 << 16  # at most so much of a text
FOLDER = "judged"  # in the run's ``data/``
KIND = "judged"  # the lines of metrics.jsonl, at step 0 and at the last one
FIGURES = ("bits_per_byte", "hidden_bits_per_byte", "loss")  # the first that an objective has is the one reported


@dataclass(frozen=True)
class Change:
    """One text's figure before the first step and after the last."""

    before: float
    after: float


@dataclass(frozen=True)
class Continued:
    """What a run from a pretrained model came to. ``figure``: ``bits_per_byte`` of the text; ``hidden_bits_per_byte``
    of the part that the objective hides; ``loss`` where it has neither. ``old`` grows by what was forgotten."""

    model: str
    figure: str
    new: Change | None
    old: Change | None

    def sentence(self) -> str:
        """For people."""
        parts = [(name, change) for name, change in (("new", self.new), ("old", self.old)) if change is not None]
        figures = "; ".join(
            f"on the {name} text {each.before:.4f} before and {each.after:.4f} after ({each.after - each.before:+.4f})"
            for name, each in parts
        )
        words = self.figure.replace("_", " ")
        return f"from {self.model}: {words} {figures or 'unknown: no text was kept for it'}"


def new_text(sources: Sequence[Text], heldout: Iterable[str] | None, data: PretrainingData) -> list[str]:
    """The documents that the run keeps for evaluation, or the first of them."""
    if heldout is not None:
        return some(heldout)
    kept = [blocks.shards.selected for blocks in data.heldout]
    if not kept:
        return []
    split = [source for source, blocks in zip(sources, data.training.sources, strict=True)
             if blocks.shards.selected is not None]  # fmt: skip
    parts = (_numbered(source, chosen.tolist()) for source, chosen in zip(split, kept, strict=True)
             if chosen is not None)  # fmt: skip
    return [text for part in parts for text in some(part, JUDGED_BYTES // len(kept))]


def old_text(recipe: Recipe, source: Source) -> tuple[list[str], str]:
    """Of ``from.old``, else what the source's own run held out; and where none is found, why."""
    given = recipe.from_
    assert given is not None
    if given.old:
        documents = read_documents(given.old, field=recipe.data.field, errors=recipe.data.errors)
        return some(even_sample(documents, JUDGED_BYTES).texts), ""
    if source.recipe is None:
        return [], f"{given.model} does not say what text it was trained on"
    try:
        found = held_out(source.recipe, source.model.directory)
    except DataError as error:
        return [], str(error)
    return [each.text for each in found], "" if found else f"{given.model} held no text out"


class Kept(NamedTuple):
    """A document and where it comes from: its file, where that is known, and its source's and its own number."""

    text: str
    file: str | None
    place: tuple[int, int]


def held_out(recipe: Recipe, folder: Path, most: int = JUDGED_BYTES) -> list[Kept]:
    """What a run held out, read again from where its recipe found it, if that is still the same text: the first
    documents of ``most`` bytes."""
    found: list[Kept] = []
    sources = texts(recipe.data, None)
    for number, source in enumerate(sources):
        shards = Shards.open(folder / "data" / str(number), verify=False)
        if shards.fingerprint.rpartition(" ")[0] != source.fingerprint():
            raise DataError(f"the text of {folder} has changed since")
        if recipe.data.heldout and shards.documents >= FEWEST_TO_SPLIT:
            _, kept = shards.split(recipe.data.heldout, seed=recipe.training.seed)
            assert kept.selected is not None
            numbers = kept.selected.tolist()
            chosen = some(_numbered(source, numbers), most // len(sources))
            names, ends = _files(folder / "data" / str(number))
            for own, text in zip(numbers, chosen, strict=False):
                at = bisect_right(ends, own)
                found.append(Kept(text, names[at] if at < len(names) else None, (number, own)))
    return found


def _files(shards: Path) -> tuple[list[str], list[int]]:
    """The files that documents came from, and the number of the first document after each."""
    counted = file_names(shards)
    return [name for name, _ in counted], list(accumulate(count for _, count in counted))


def _numbered(source: Text, numbers: Sequence[int]) -> Iterable[str]:
    """The documents with these numbers, which rise; no more is read than that takes."""
    documents = iter(source.documents())
    at = 0
    for number in numbers:
        text = next(islice(documents, number - at, None), None)
        at = number + 1
        if text is None:
            return
        yield text


def some(documents: Iterable[str], most: int = JUDGED_BYTES) -> list[str]:
    """The first documents of so many bytes; at least one, cut if it has to be."""
    kept: list[str] = []
    size = 0
    for text in documents:
        size += len(text.encode("utf-8", "replace"))
        if kept and size > most:
            break
        kept.append(text[:most])
    return kept


@dataclass(frozen=True, eq=False)
class Measure:
    """How the texts are judged: by the run's objective, in rows of ``length`` tokens, ``rows`` at a time."""

    objective: Objective | Mixed
    data: PretrainingData
    length: int
    rows: int
    seed: int

    def start(
        self, model: Network, base: Tokenizer, found: Mapping[str, Sequence[str]], folder: Path
    ) -> dict[str, Any]:
        """Tokenises the texts into ``folder`` for the end of the run. The figures of the model that it begins with,
        which reads by ``base``. A text too short for the objective is not judged."""
        layouts = [part.layout(self.data.tokenizer, self.length) for part in parts_of(self.objective)]
        fewest = 2 if any(layout.pairs for layout in layouts) else 1
        found = {name: documents for name, documents in found.items() if len(documents) >= fewest}
        for name, documents in found.items():
            written_shards(documents, self.data.tokenizer, folder / name)
        if base.fingerprint == self.data.tokenizer.fingerprint:
            return self.of(model, folder)
        with tempfile.TemporaryDirectory(prefix="trivium-") as beside:
            for name, documents in found.items():
                written_shards(documents, base, Path(beside) / name)
            return replace(self, data=replace(self.data, tokenizer=base)).of(model, Path(beside))

    def batch(self, objective: Objective) -> Batch:
        """One batch of the first step's rows by one of the objective's parts."""
        cut_text = self.data.cuts[self.data.layouts[list(parts_of(self.objective)).index(objective)]]
        rows = cut_text.training.rows(0, self.rows)
        return objective.batch(rows, Draws(self.seed, rows.draws), self.data.tokenizer)

    def of(self, model: Network, folder: Path) -> dict[str, Any]:
        """The figure of each of the texts in ``folder``, and what it is."""
        found: dict[str, Any] = {}
        layouts = [part.layout(self.data.tokenizer, self.length) for part in parts_of(self.objective)]
        model.eval()
        for name in ("new", "old"):
            if (folder / name / "shards.json").is_file():
                shards = Shards.open(folder / name)
                cuts = [
                    replace(each, heldout=[cut(shards, layouts[self.data.layouts.index(number)])])
                    for number, each in enumerate(self.data.cuts)
                ]
                data = replace(self.data, cuts=cuts)
                measure = evaluation(model, self.objective, data, self.rows, self.length, self.seed)
                assert measure is not None
                values = measure()
                found["figure"] = next(each for each in FIGURES if each in values)
                found[name] = values[found["figure"]]
        return found


def continued(model: str, history: Sequence[Mapping[str, Any]]) -> Continued | None:
    """From the lines of ``metrics.jsonl``; None before the run is over."""
    lines = [line for line in history if line["kind"] == KIND]
    if len(lines) < 2:
        return None
    before, after = lines[0], lines[-1]
    changes = {name: Change(before[name], after[name]) for name in ("new", "old") if name in before}
    return Continued(model, after.get("figure", FIGURES[0]), changes.get("new"), changes.get("old"))


def written_shards(documents: Sequence[str], tokenizer: Tokenizer, folder: Path) -> None:
    if not documents:
        return
    assert tokenizer.end is not None
    content = hashlib.sha256("\0".join(documents).encode("utf-8", "surrogatepass")).hexdigest()
    write_shards(
        documents, tokenizer.encode_batch, tokenizer.end, tokenizer.vocab_size, folder,
        f"judged {content} {tokenizer.fingerprint}",
    )  # fmt: skip
