"""Several fine-tunings as one: seeds are the single runs, parts of the curve are nested, the model kept is the best."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.verbs.sentiment import sentiment

from trivium.errors import SettingsError, TriviumError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise
from trivium.metrics import likelihood
from trivium.tokenizers import train_bpe
from trivium.transformer import Model
from trivium.transformer.lora import Lora
from trivium.verbs.finetune import finetune
from trivium.verbs.forgetting import Forgetting
from trivium.verbs.load import load
from trivium.verbs.trials import curve_of, curve_sizes, sweep_of
from trivium.verbs.tuning import FineTuning, fit

TRAIN, DEV = sentiment(96, 0), sentiment(60, 1)
SHORT = FineTuning(steps=12, batch=16, learning_rate=3e-3, precision="float32")
TEXT = " ".join(each.text for each in sentiment(200, 5))


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([example.text for example in TRAIN] * 2, 330)


@pytest.fixture(scope="module")
def bases(tmp_path_factory, tokenizer):
    folders = {}
    for name in ("bert", "gpt2"):
        config = FAMILIES[name].size("tiny", tokenizer.vocab_size, dropout=0.1)
        folders[name] = tmp_path_factory.mktemp(name)
        huggingface.save(initialise(Model(config), 0), FAMILIES[name], tokenizer, folders[name])
    return folders


def test_seeds_are_the_single_runs_and_the_best_is_kept(bases, tmp_path):
    alone = [
        finetune("sequence", bases["bert"], TRAIN, DEV, out=tmp_path / str(seed), options={"pooling": "mean"},
                 settings=FineTuning(steps=12, batch=16, learning_rate=3e-3, precision="float32", seed=seed))
        for seed in (2, 3, 4)
    ]  # fmt: skip
    told = []
    made = finetune("sequence", bases["bert"], TRAIN, DEV, out=tmp_path / "all", options={"pooling": "mean"}, seeds=3,
                    settings=FineTuning(steps=12, batch=16, learning_rate=3e-3, precision="float32", seed=2),
                    tell=told.append)  # fmt: skip
    (trial,) = made.trials
    assert [run.scores for run in trial.runs] == [each.scores for each in alone]
    assert told == ["seed 2", "seed 3", "seed 4"]
    best = max(range(3), key=lambda n: (alone[n].scores["accuracy"], -alone[n].scores["loss"]))
    assert made.scores == alone[best].scores and made.signature == alone[best].signature
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("all", str(best + 2)))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    accuracies = [each.scores["accuracy"] for each in alone]
    assert trial.spread["accuracy"].mean == pytest.approx(np.mean(accuracies))
    assert trial.spread["accuracy"].deviation == pytest.approx(np.std(accuracies, ddof=1))
    lines = [json.loads(line) for line in (tmp_path / "all" / "metrics.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines if line["kind"] == "result"] == [best + 2]


def test_the_parts_of_a_curve_are_nested():
    parts = curve_of(SHORT, 100, (50, None, 10))
    assert [part.name for part in parts] == ["10 examples", "50 examples", "all 100 examples"]
    sets = [set(part.numbers) for part in parts]
    assert [len(each) for each in sets] == [10, 50, 100] and sets[0] < sets[1] < sets[2]
    assert sets[0] != set(range(10)) and curve_of(SHORT, 100, (50, None, 10)) == parts
    assert set(curve_of(FineTuning(seed=1), 100, (10,))[0].numbers) != sets[0]
    assert [part.name for part in curve_of(SHORT, 100, (100,))] == ["all 100 examples"]
    assert curve_sizes("50, 100,all") == (50, 100, None)
    with pytest.raises(SettingsError, match="asks for 200 training examples, and there are 100"):
        curve_of(SHORT, 100, (200,))
    with pytest.raises(SettingsError, match="asks for no training examples"):
        curve_of(SHORT, 100, (0,))


def test_a_curve_keeps_the_model_of_all_examples(bases, tmp_path):
    made = finetune("sequence", bases["gpt2"], TRAIN, DEV, out=tmp_path / "c", settings=SHORT, curve=(16, 48))
    whole = finetune("sequence", bases["gpt2"], TRAIN, DEV, out=tmp_path / "w", settings=SHORT)
    assert [trial.examples for trial in made.trials] == [16, 48, 96]
    assert made.scores == whole.scores == made.trials[-1].runs[0].scores
    assert "More training examples" in (tmp_path / "c" / "report.html").read_text()


def test_combinations_of_a_sweep():
    made = sweep_of(SHORT, ["method=full/lora", "lora.rank=1/4", "learning_rate=0.1/0.2"], 9)
    assert [each.name for each in made] == [
        "method=full learning_rate=0.1", "method=full learning_rate=0.2",
        "method=lora lora.rank=1 learning_rate=0.1", "method=lora lora.rank=1 learning_rate=0.2",
        "method=lora lora.rank=4 learning_rate=0.1", "method=lora lora.rank=4 learning_rate=0.2",
    ]  # fmt: skip
    assert made[-1].settings == FineTuning(
        "lora", 0.2, steps=12, batch=16, precision="float32", lora=Lora(rank=4)
    )


def test_a_sweep_keeps_the_best_on_dev(bases, tmp_path):
    made = finetune("sequence", bases["bert"], TRAIN, DEV, out=tmp_path / "o", options={"pooling": "mean"},
                    settings=FineTuning(steps=30, batch=16, precision="float32"),
                    sweep=["learning_rate=1e-9/5e-3"])  # fmt: skip
    slow, fast = made.trials
    assert slow.spread["accuracy"].mean < fast.spread["accuracy"].mean
    assert made.learning_rate == 5e-3 and made.scores == fast.runs[0].scores
    assert "Settings compared" in (tmp_path / "o" / "report.html").read_text()


def test_a_combination_that_diverges_is_left_out_and_told(bases, tmp_path):
    settings = FineTuning(steps=20, batch=16, precision="float32")
    made = finetune("sequence", bases["bert"], TRAIN, DEV, out=tmp_path / "o", settings=settings,
                    sweep=["learning_rate=1e30/1e-3/1e29"])  # fmt: skip
    assert [trial.name for trial in made.trials] == ["learning_rate=1e-3"]
    told = [note for note in made.notes if "diverged" in note]
    assert [note.partition(" ")[0] for note in told] == ["learning_rate=1e30", "learning_rate=1e29"]
    assert "Learning_rate=1e30 is left out: fine-tuning diverged" in (tmp_path / "o" / "README.md").read_text()
    with pytest.raises(TriviumError, match="diverged at a learning rate of 1e\\+29"):
        finetune("sequence", bases["bert"], TRAIN, DEV, out=tmp_path / "p", settings=settings,
                 sweep=["learning_rate=1e30/1e29"])  # fmt: skip
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_what_is_forgotten(family, bases, tokenizer, tmp_path):
    (tmp_path / "old.txt").write_text(TEXT)
    base = load(bases[family])
    judge = Forgetting(base, [tmp_path / "old.txt"])
    task = "sequence"
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    made = finetune(task, bases[family], TRAIN, DEV, out=tmp_path / "o", settings=SHORT, old=[tmp_path / "old.txt"],
                    sweep=["method=frozen/full"])  # fmt: skip
    frozen, full = (trial.old for trial in made.trials)
    assert frozen.before == full.before == judge.before
    assert frozen.after == pytest.approx(frozen.before) != pytest.approx(full.after, rel=1e-4)
    assert made.figure == {"bert": "hidden_bits_per_byte", "gpt2": "bits_per_byte"}[family]
    assert all(torch.equal(weight, before[name]) for name, weight in base.model.state_dict().items())
    page = (tmp_path / "o" / "report.html").read_text()
    assert "What it forgets" in page


def test_the_figure_of_a_decoder_is_that_of_its_rows(bases, tokenizer, tmp_path):
    """Bits per byte by hand: windows of the context, each token but the first given those before it."""
    (tmp_path / "old.txt").write_text(TEXT[:900])
    base = load(bases["gpt2"])
    judge = Forgetting(base, [tmp_path / "old.txt"])
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bases["gpt2"]).eval()
    ids, length, nll = [*tokenizer.encode(TEXT[:900]).ids, tokenizer.end], judge.length, 0.0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, length):
            row = torch.tensor(ids[start : start + length + 1])
            chances = model(row[None, :-1]).logits[0].log_softmax(-1)
            nll -= chances[torch.arange(len(row) - 1), row[1:]].sum().item()
    by_hand = likelihood(nll, len(ids) - 1, bytes=900)["bits_per_byte"]
    assert judge.before == pytest.approx(by_hand, rel=2e-3)  # the bytes are those of the document with its end


def test_adapters_are_merged_to_be_judged_and_stay_as_they_are(bases, tokenizer, tmp_path):
    (tmp_path / "old.txt").write_text(TEXT)
    base = load(bases["gpt2"])
    judge = Forgetting(base, [tmp_path / "old.txt"])
    from trivium.tasks import SequenceClassification

    settings = FineTuning("lora", steps=6, batch=16, learning_rate=0.05, precision="float32")
    fitted = fit(base.model, tokenizer, SequenceClassification(("bad", "good")), TRAIN, settings=settings)
    said = [each.probabilities for each in fitted.tuned.predict(DEV)]
    assert judge.after(fitted.tuned.model) != pytest.approx(judge.before, rel=1e-5)
    assert [each.probabilities for each in fitted.tuned.predict(DEV)] == said


def test_a_model_without_its_vocabulary_head_is_refused(bases, tmp_path):
    (tmp_path / "old.txt").write_text(TEXT)
    finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "o", settings=FineTuning(steps=1, precision="float32"))
    with pytest.raises(SettingsError, match="has no vocabulary head, so it predicts no tokens"):
        finetune("sequence", tmp_path / "o", TRAIN, out=tmp_path / "p", settings=SHORT, old=[tmp_path / "old.txt"])
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(Exception, match="empty.txt"):
        finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "p", settings=SHORT, old=[tmp_path / "empty.txt"])
