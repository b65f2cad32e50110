"""``inspect batch``: what is shown is what the trainer got, token by token, with the trainer's own losses."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from trivium.errors import DataError, SettingsError
from trivium.objectives import OBJECTIVES
from trivium.objectives.objective import Batch
from trivium.settings import build
from trivium.text.documents import named_documents
from trivium.tokenizers import Tokenizer
from trivium.verbs import pretrain as pretraining
from trivium.verbs.batch_page import batch_page
from trivium.verbs.inspect_batch import inspect_batch
from trivium.verbs.pretraining_batches import Feed
from trivium.verbs.recipe import Recipe
from trivium.views.batches import BatchView

FAMILIES = {
    "causal": "gpt2", "masked": "bert", "corruption": "t5", "bidirectional": "elmo", "next_sentence": "bert",
    "span_boundary": "spanbert", "permutation": "xlnet", "cloze": "bert", "denoising": "bart", "prefix": "gpt2",
}  # fmt: skip
WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two files of texts, a line each."""
    folder = tmp_path_factory.mktemp("texts")
    draw = random.Random(0)
    paths = []
    for name, count in (("one.jsonl", 30), ("two.jsonl", 25)):
        lines = [" ".join(draw.choices(WORDS, k=draw.randrange(5, 40))).capitalize() + "." for _ in range(count)]
        (folder / name).write_text("\n".join(f'"{line}"' for line in lines), "utf-8")
        paths.append(str(folder / name))
    return paths


def recipe(files: list[str], kind: str = "masked", **changes: object) -> Recipe:
    tables: dict = {
        "data": {"files": files, "heldout": 0.1},
        "tokenizer": {"vocab_size": 340},
        "model": {"family": FAMILIES[kind], "size": "tiny", "context": 32, "dropout": 0.0},
        "objective": {"kind": kind},
        "training": {
            "steps": 3, "batch_tokens": 160, "micro_batch_tokens": 96, "precision": "float32", "device": "cpu",
            "log_every": 1, "checkpoint_every": 1, "keep": 4, "evaluate_every": 0,
            "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        },
    }  # fmt: skip
    for name, value in changes.items():
        table, _, key = name.partition("__")
        tables[table][key] = value
    return build(Recipe, tables)


class Recorded(Feed):
    """A feed that remembers what the trainer took."""

    taken: dict[int, list[Batch]] = {}

    def __call__(self, number: int) -> list[Batch]:
        self.taken[number] = list(super().__call__(number))
        return self.taken[number]


@pytest.fixture(scope="module", params=["causal", "masked", "corruption"])
def run(request: pytest.FixtureRequest, files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    patch = pytest.MonkeyPatch()
    patch.setattr(pretraining, "Feed", Recorded)
    Recorded.taken = {}
    asked = recipe(files, request.param)
    made = pretraining.pretrain(asked, folder, quiet=True)
    patch.undo()
    yield asked, folder, dict(Recorded.taken), made


def given(batches: list[Batch]) -> list[dict]:
    """The rows of what the trainer took, without padding, and their targets by place."""
    rows = []
    for batch in batches:
        at = batch.targets.get("at")
        last = batch.inputs.target if batch.inputs.target is not None else batch.inputs.source
        assert last is not None
        (name,) = batch.counts
        places = torch.arange(last.ids.numel()) if at is None else at
        asked = dict(zip(places.tolist(), batch.targets[name].tolist(), strict=True))
        for row, draw in enumerate(batch.draws):
            sides = []
            for side in (batch.inputs.source, batch.inputs.target):
                if side is not None:
                    real = torch.ones_like(side.ids[row], dtype=torch.bool)
                    real = real if side.documents is None else side.documents[row] >= 0
                    sides.append([int(i) for i, there in zip(side.ids[row], real, strict=True) if there])
            length = last.ids.shape[1]
            wanted = {place - row * length: i for place, i in asked.items() if place // length == row}
            rows.append({"draw": draw, "sides": sides, "wanted": wanted})
    return rows


def shown(view: BatchView) -> list[dict]:
    return [
        {
            "draw": row.draw,
            "sides": [[place.id for place in side.places] for side in row.sides],
            "wanted": {p.place: t.id for side in row.sides for p in side.places for t in p.targets},
        }
        for row in view.rows
    ]


def test_the_batch_is_the_one_that_the_trainer_took(run: tuple) -> None:
    asked, folder, taken, _ = run
    for source in (folder, asked):  # the recipe's text is read and its tokenizer learnt anew
        for step in (1, 3):
            view = inspect_batch(source, step=step, rows=100)
            assert shown(view) == given(taken[step - 1])
            assert len(view.rows) == view.row_count == 160 // 32
            assert view.micro_batches == 2 and [row.micro_batch for row in view.rows] == [1, 1, 1, 2, 2]
            assert view.targets == {name: sum(b.counts[name] for b in taken[step - 1]) for name in taken[0][0].counts}


def test_costs_are_those_of_training(run: tuple) -> None:
    """Step n as the checkpoint before it sees it: the loss that the trainer logged, and its parts add up to it."""
    _, folder, _, made = run
    for step, loss in made.losses:
        view = inspect_batch(folder, step=step, rows=100, model=folder / "checkpoints" / f"step-{step - 1:08d}")
        assert sum(view.losses.values()) == pytest.approx(loss, rel=1e-5)
        costs = [t.cost for row in view.rows for side in row.sides for p in side.places for t in p.targets]
        assert np.mean(costs) == pytest.approx(loss, rel=1e-5)
    last = inspect_batch(folder, step=1, model=folder)
    assert sum(last.losses.values()) < made.losses[0][1]


def test_every_token_is_traced_to_its_file(run: tuple, files: list[str]) -> None:
    _, folder, _, _ = run
    tokenizer = Tokenizer.load(folder)
    named = list(named_documents(files))
    view = inspect_batch(folder, step=2, rows=100)
    seen = set()
    for row in view.rows:
        covered = set()
        for piece in row.pieces:
            file, text = named[piece.document]
            ids = [*tokenizer.encode(text).ids, tokenizer.end]
            columns = range(piece.first, piece.last + 1)
            assert piece.file == file and piece.length == len(ids)
            assert [row.tokens[c].id for c in columns] == ids[piece.start : piece.start + len(columns)]
            covered |= set(columns)
            seen.add(file)
        assert all(row.tokens[c].control for c in range(len(row.tokens)) if c not in covered)
    assert seen == set(files)


def digests(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_run_is_only_read(run: tuple) -> None:
    _, folder, _, _ = run
    packed = sorted((folder / "data" / "0").glob("rows-*.bin"))
    kept = {path: path.read_bytes() for path in packed}
    whole = inspect_batch(folder, step=2)
    for path in packed:
        path.unlink()
    before = digests(folder)
    assert inspect_batch(folder, step=2, model=folder, rows=3).rows[:2] != ()
    assert inspect_batch(folder, step=2) == whole
    assert digests(folder) == before
    for path, content in kept.items():
        path.write_bytes(content)


def test_the_documents_of_a_caller_are_found_in_the_run(tmp_path: Path, files: list[str]) -> None:
    texts = [text for _, text in named_documents(files)]
    pretraining.pretrain(recipe(files), tmp_path / "run", documents=texts[5:], heldout=texts[:5], quiet=True)
    view = inspect_batch(tmp_path / "run", rows=100)
    tokenizer = Tokenizer.load(tmp_path / "run")
    for row in view.rows:
        for piece in row.pieces:
            ids = tokenizer.encode(texts[5:][piece.document]).ids
            assert piece.file is None
            assert [row.tokens[piece.first].id, row.tokens[piece.last].id] == [
                ids[piece.start], ids[piece.start + piece.last - piece.first]
            ]  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(OBJECTIVES) - {"distillation"}))  # whose teacher is in test_distilling.py
def test_every_objective_shows_its_targets(kind: str, files: list[str]) -> None:
    """As many targets as the losses count, at places where something is read or, for a decoder, written."""
    if kind not in FAMILIES:
        pytest.fail(f"say in FAMILIES which model {kind} trains")
    view = inspect_batch(recipe(files, kind), rows=100)
    found = [t for row in view.rows for side in row.sides for p in side.places for t in p.targets]
    answers = [answer for row in view.rows for answer in row.answers]
    assert len(found) + len(answers) == sum(view.targets.values())
    assert "How to read it" in batch_page(view)


def test_masked_tokens_are_told_apart(files: list[str]) -> None:
    view = inspect_batch(recipe(files, objective__rate=0.5, objective__mask=0.4, objective__random=0.3), rows=100)
    ways = {"masked": 0, "random": 0, "kept": 0}
    for row in view.rows:
        (side,) = row.sides
        for token, place in zip(row.tokens, side.places, strict=True):
            for target in place.targets:
                assert target.id == token.id and target.how is not None
                ways[target.how] += 1
                assert (target.how == "masked") == (place.control == "mask")
                assert (target.how == "kept") == (place.id == token.id)
            if not place.targets:
                assert place.id == token.id and token.seen
    assert min(ways.values()) > 5


def test_what_is_not_there_is_refused_in_a_sentence(run: tuple, files: list[str], tmp_path: Path) -> None:
    asked, folder, _, _ = run
    for step in (0, 4):
        with pytest.raises(SettingsError, match="choose 1 to 3"):
            inspect_batch(folder, step=step)
    with pytest.raises(SettingsError, match="show at least 1"):
        inspect_batch(folder, rows=0)
    with pytest.raises(SettingsError, match="holds no run"):
        inspect_batch(tmp_path)
    with pytest.raises(SettingsError, match="another tokenizer"):
        inspect_batch(recipe(files, asked.objective.kind, tokenizer__vocab_size=350), model=folder)
    (tmp_path / "trivium.toml").write_text(asked.to_toml())
    with pytest.raises(DataError, match="has not read its text"):
        inspect_batch(tmp_path)


def test_the_page_runs_nothing(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> <img src=x onerror=alert(2)> a b"
    (tmp_path / "<u>x.jsonl").write_text("\n".join(f'"{hostile} {n}"' for n in range(40)))
    view = inspect_batch(recipe([str(tmp_path / "<u>x.jsonl")], tokenizer__vocab_size=300), rows=3)
    page = batch_page(view)
    assert "<script" not in page and "<img" not in page and "<u>x" not in page
    assert "&lt;u&gt;x.jsonl" in page
