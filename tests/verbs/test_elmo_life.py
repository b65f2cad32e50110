"""ELMo from text to its uses: trained, resumed bit by bit, loaded, looked into, fine-tuned by a mixture of layers."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from trivium.errors import DataError, SettingsError
from trivium.families import huggingface
from trivium.recurrent.elmo import Elmo
from trivium.settings import build
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled, Pair
from trivium.training.checkpoint import Checkpoints
from trivium.verbs.finetune import finetune
from trivium.verbs.load import load
from trivium.verbs.occurrences import inspect_word
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe, load_recipe
from trivium.verbs.tuning import FineTuning, tuned_of

GOOD = "wonderful great lovely superb charming brilliant".split()
BAD = "awful dull boring terrible weak tedious".split()
OTHER = "the film was a plot with actor scene and music in it".split()


def texts(count: int = 60, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(OTHER + GOOD + BAD, k=draw.randrange(10, 40))) + "." for _ in range(count)]


def recipe(steps: int = 12, negatives: int = 0) -> Recipe:
    tables: dict = {
        "data": {"corpus": "python-docs", "heldout": 0.1},
        "tokenizer": {"algorithm": "words", "vocab_size": 60},
        "model": {"family": "elmo", "size": "tiny", "context": 16, "filters": [[1, 4], [2, 8]], "dropout": 0.1},
        "objective": {"kind": "bidirectional", "negatives": negatives},
        "training": {
            "steps": steps,
            "batch_tokens": 256,
            "precision": "float32",
            "device": "cpu",
            "checkpoint_every": 5,
            "evaluate_every": 6,
            "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        },
    }
    return build(Recipe, tables)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elmo") / "run"
    made = pretrain(recipe(), folder, documents=texts(), quiet=True)
    assert made.losses[-1][1] < made.losses[0][1]
    return folder


def test_both_directions_are_evaluated(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["kind"] == "evaluation"][-1]
    both = np.log([found["forward_perplexity"], found["backward_perplexity"]])
    assert found["loss"] == pytest.approx(both.mean()) and found["perplexity"] == pytest.approx(np.exp(found["loss"]))
    assert "bits_per_byte" not in found  # unknown words hide what they are spelt like


def test_a_resumed_run_is_the_run_that_was_not_stopped(tmp_path: Path) -> None:
    settings = recipe(negatives=8)

    class Stopped(Exception):
        pass

    def stop(step) -> None:
        if step.number == 6:
            raise Stopped

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(settings, whole, documents=texts(), quiet=True)
    with pytest.raises(Stopped):
        pretrain(settings, parts, documents=texts(), quiet=True, on_step=stop)
    pretrain(settings, parts, resume=True, documents=texts(), quiet=True)
    one, other = Checkpoints(whole / "checkpoints", 3).load(12), Checkpoints(parts / "checkpoints", 3).load(12)
    assert one.state_hash == other.state_hash


def test_what_is_loaded_gives_what_was_trained_and_is_saved_again_alike(run: Path, tmp_path: Path) -> None:
    loaded = load(run)
    assert isinstance(loaded.model, Elmo) and loaded.family.name == "trivium" and loaded.kind == "encoder"
    assert loaded.model.spelling is not None and not [n for n in loaded.model.state_dict() if "spelling" in n]
    huggingface.save(loaded.model, loaded.family, loaded.tokenizer, tmp_path / "again")
    one, again = (
        inspect_word(folder, "film", ["the film was dull", "a great film"]) for folder in (run, tmp_path / "again")
    )
    np.testing.assert_array_equal(one.cosines, again.cosines)
    assert json.loads((run / "config.json").read_text())["trivium"]["filters"] == [[1, 4], [2, 8]]


def test_it_writes_fills_and_scores_nothing_and_says_what_it_does(run: Path) -> None:
    loaded = load(run)
    for ask in (lambda: loaded.generate("the"), lambda: loaded.fill("the ___"), lambda: loaded.surprise("the film")):
        with pytest.raises(SettingsError, match=r"two-way language model.*inspect text --word"):
            ask()


def test_unknown_words_differ_by_their_spelling(run: Path) -> None:
    """As <unk> both would have the same vector before their contexts are read."""
    assert load(run).tokenizer.encode("zebra zebu").ids == [load(run).tokenizer.unknown] * 2
    (one, _) = inspect_word(
        run, "zebra", ["the zebra ran", "a zebra and the zebu ran"], layer=0, neighbours=9
    ).occurrences
    cosines = {each.word: each.cosine for each in one.words}
    assert cosines["zebu"] < 1 - 1e-6 and cosines["ran"] < 1 - 1e-6


# ---- fine-tuning by a mixture of layers ----


def sentiment(count: int, seed: int) -> list[Labelled]:
    draw = random.Random(seed)
    examples = []
    for _ in range(count):
        good = draw.random() < 0.5
        words = [*draw.choices(OTHER, k=draw.randrange(4, 10)), draw.choice(GOOD if good else BAD)]
        draw.shuffle(words)
        examples.append(Labelled(" ".join(words), "good" if good else "bad"))
    return examples


@pytest.mark.parametrize("method", ["full", "frozen"])
def test_a_classifier_learns_which_layers_count(run: Path, tmp_path: Path, method: str) -> None:
    epochs = {"full": 12, "frozen": 2}[method]
    settings = FineTuning(method=method, epochs=epochs, batch=24, learning_rate=1e-2, precision="float32")
    train, dev = sentiment(240, 0), sentiment(60, 1)
    out = tmp_path / "out"
    made = finetune("sequence", run, train, dev, out=out, settings=settings, options={"mix_penalty": 1e-3})
    assert made.scores is not None and made.scores["accuracy"] > (0.9 if method == "full" else 0)
    assert made.mix is not None and len(made.mix.shares) == 3 and sum(made.mix.shares) == pytest.approx(1, abs=1e-5)
    assert made.mix.shares != pytest.approx((1 / 3,) * 3, abs=1e-4)
    assert f"counts {made.mix.shares[0]:.3f}" in (out / "README.md").read_text()
    assert "mix_penalty = 0.001" in (out / "trivium.toml").read_text()
    again = [each.prediction for each in predict(out, [example.text for example in dev])]
    assert np.mean([p.label == e.label for p, e in zip(again, dev, strict=True)]) == made.scores["accuracy"]
    head = load_tuned(out).model.heads["sequence"]
    torch.testing.assert_close(head.mix.weights, torch.tensor(made.mix.shares), atol=1e-5, rtol=0)
    if method == "frozen":
        before, after = load(run).model.state_dict(), load_tuned(out).model.state_dict()
        assert all(torch.equal(after[n], before[n]) for n in after if not n.startswith("heads."))


def test_any_model_can_be_classified_by_a_mixture(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    settings = FineTuning(steps=3, batch=8, learning_rate=1e-3, precision="float32")
    for name in ("bert", "gpt2", "lstm", "bilstm"):
        out = tmp_path / name
        asked = {"pooling": "mix", "mix_norm": True}
        made = finetune("sequence", tiny_models[name], sentiment(16, 0), out=out, options=asked, settings=settings)
        assert made.mix is not None and not made.opens_in_transformers
        head = load_tuned(out).model.heads["sequence"]
        assert head.mix.norm and len(head.mix.scores) == len(made.mix.shares)


def test_the_penalty_draws_the_shares_together(run: Path) -> None:
    base = load(run)
    examples = sentiment(8, 3)
    losses = {}
    for penalty in (0.0, 0.5):
        task = SequenceClassification(("bad", "good"), mix_penalty=penalty)
        tuned = tuned_of(base.model, base.tokenizer, task, seed=0)
        with torch.no_grad():
            tuned.model.heads["sequence"].mix.scores.copy_(torch.tensor([1.0, 2.0, 0.0]))
        batch = task.batch(tuned.encode(examples), np.arange(8))
        losses[penalty] = task.loss(tuned.model, batch)["sequence"]
    assert (losses[0.5].total - losses[0.0].total).item() / 8 == pytest.approx(0.5 * 5, rel=1e-4)
    with pytest.raises(SettingsError, match="mixes no layers"):
        SequenceClassification(("a", "b"), pooling="mean", mix_penalty=1.0)
    with pytest.raises(SettingsError, match="must not be negative"):
        SequenceClassification(("a", "b"), mix_penalty=-1.0)


def test_examples_keep_how_unknown_words_are_spelt(run: Path) -> None:
    base = load(run)
    task = SequenceClassification(("bad", "good"), length=6)
    tuned = tuned_of(base.model, base.tokenizer, task, seed=0)
    encoded = tuned.encode(
        [Labelled("the zebra was dull", "bad"), Labelled("the film was dull", "bad"), Pair("a gnu", "the emu", "good")]
    )
    assert encoded.unknown[:2] == [{2: "zebra"}, {}]
    unknown = encoded.ids[2] == base.tokenizer.unknown
    assert encoded.unknown[2] == dict(zip(np.flatnonzero(unknown).tolist(), ["gnu", "emu"], strict=False))
    batch = task.batch(encoded, np.arange(3))
    characters = batch.inputs.source.characters
    assert characters is not None and characters.any(-1).sum() == sum(map(len, encoded.unknown))
    assert task.batch(encoded, np.array([1])).inputs.source.characters is None
    other = tuned.encode([Labelled("the quagga was dull", "bad")])
    scores = [task.scores(tuned.model, task.batch(each, np.array([0]))) for each in (encoded, other)]
    assert not torch.allclose(*scores)


# ---- refusals and the recipe ----


def test_a_tokenizer_that_cuts_words_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for algorithm, size in (("words", 60), ("bpe", 330)):
        tables = build(Recipe, {
            "data": {"corpus": "python-docs"}, "tokenizer": {"algorithm": algorithm, "vocab_size": size},
            "model": {"family": "elmo", "size": "tiny", "context": 16, "filters": [[1, 4], [2, 8]]},
            "objective": {"kind": "bidirectional"},
            "training": {"steps": 1, "batch_tokens": 64, "device": "cpu", "precision": "float32"},
        })  # fmt: skip
        pretrain(tables, tmp_path / algorithm, documents=texts())
        told = capsys.readouterr().err
        assert ('set tokenizer.algorithm = "words"' in told) == (algorithm == "bpe"), told


def test_the_recipe_is_whole() -> None:
    found = load_recipe("elmo-mini").recipe
    assert found.model.family == "elmo" and found.objective.kind == "bidirectional"


def test_a_damaged_head_is_refused(run: Path, tmp_path: Path) -> None:
    settings = FineTuning(steps=1, batch=8, learning_rate=1e-3, precision="float32")
    finetune("sequence", run, sentiment(16, 0), out=tmp_path / "out", settings=settings)
    path = tmp_path / "out" / "config.json"
    path.write_text(path.read_text().replace('"mix"', '"blend"'))
    with pytest.raises(DataError, match="pooling = 'blend'"):
        load(tmp_path / "out")
