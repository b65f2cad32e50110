import json

import pytest
import torch
from tests.verbs.sentiment import GOOD, sentiment
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.tasks import SequenceClassification
from trivium.tokenizers import train_bpe
from trivium.transformer import Model
from trivium.verbs.examples import stream_rows
from trivium.verbs.finetune import finetune, task_options
from trivium.verbs.learning_parts import default_learning_rate
from trivium.verbs.predict import load_tuned, predict, predict_rows
from trivium.verbs.tuning import FineTuning, fit

SHORT = FineTuning(steps=4, batch=8, learning_rate=1e-3, precision="float32")


TRAIN, DEV = sentiment(240, 0), sentiment(100, 1)


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([example.text for example in TRAIN] * 2, 380)


@pytest.fixture(scope="module")
def bases(tmp_path_factory, tokenizer):
    folders = {}
    for name in ("bert", "gpt2"):
        config = FAMILIES[name].size("tiny", tokenizer.vocab_size, dropout=0.1)
        folders[name] = tmp_path_factory.mktemp(name)
        huggingface.save(initialise(Model(config), 0), FAMILIES[name], tokenizer, folders[name])
    return folders


@pytest.mark.parametrize(("family", "pooling"), [("bert", "mean"), ("bert", "family"), ("gpt2", "family")])
def test_toy_sentiment_above_90_percent(family, pooling, bases, tmp_path):
    settings = FineTuning(epochs=10, batch=24, learning_rate=3e-3, precision="float32")
    out = tmp_path / "out"
    report = finetune("sequence", bases[family], TRAIN, DEV, out=out, options={"pooling": pooling}, settings=settings)
    assert report.scores["accuracy"] > 0.9
    assert report.labels == ("bad", "good") and report.steps == 100
    predicted = [each.prediction for each in predict(out, [example.text for example in DEV])]
    right = sum(p.label == e.label for p, e in zip(predicted, DEV, strict=True))
    assert right / len(DEV) == pytest.approx(report.scores["accuracy"])  # what was saved is what was scored
    assert report.scores["accuracy"] >= max(e.scores["accuracy"] for e in report.evaluations) - 1e-9
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["fingerprints"]["labels"] == ["bad", "good"]
    assert report.opens_in_transformers == (pooling == "family")
    if report.opens_in_transformers:
        texts = [example.text for example in DEV[:8]]
        theirs, tokens = AutoModelForSequenceClassification.from_pretrained(out), AutoTokenizer.from_pretrained(out)
        with torch.no_grad():
            logits = theirs.eval()(**tokens(texts, return_tensors="pt", padding=True)).logits
        ours = torch.tensor([list(p.probabilities.values()) for p in predicted[:8]])
        torch.testing.assert_close(logits.softmax(-1), ours, rtol=1e-4, atol=1e-5)
        assert [theirs.config.id2label[i] for i in logits.argmax(-1).tolist()] == [p.label for p in predicted[:8]]


@pytest.mark.parametrize("family", ["roberta", "distilbert", "xlnet", "t5", "bart", "llama"])
def test_every_family_is_saved_as_its_published_classifier(family, tokenizer, tmp_path):
    vocabulary = tokenizer.vocab_size
    config = FAMILIES[family].size("tiny", vocabulary, pad_token=tokenizer.pad)
    huggingface.save(initialise(network(config), 0), FAMILIES[family], tokenizer, tmp_path / "base")
    report = finetune("sequence", tmp_path / "base", TRAIN[:32], out=tmp_path / "out", settings=SHORT)
    assert report.opens_in_transformers
    texts = [example.text for example in DEV[:4]]
    ours = [each.prediction.probabilities["good"] for each in predict(tmp_path / "out", texts)]
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokens = load_tuned(tmp_path / "out").tokenizer
    for text, chance in zip(texts, ours, strict=True):
        layout = tokens.layout()
        ids = torch.tensor([[*layout.before, *tokens.encode_batch([text])[0], *layout.after]])
        with torch.no_grad():
            assert theirs(ids).logits.softmax(-1)[0, 1].item() == pytest.approx(chance, abs=1e-5)


def base_model(bases, family):
    return huggingface.load(bases[family])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("family", "method", "trained"), [
    ("bert", "frozen", []),
    ("bert", "last:1", ["encoder.layers.1."]),
    ("gpt2", "last:1", ["decoder.layers.1.", "decoder.norm."]),
])  # fmt: skip
def test_frozen_parameters_are_bitwise_unchanged(family, method, trained, precision, bases, tokenizer):
    model = base_model(bases, family).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    task = SequenceClassification(("bad", "good"))
    settings = FineTuning(method, steps=3, learning_rate=1e-2, precision=precision)
    fitted = fit(model, tokenizer, task, TRAIN, settings=settings)
    after = fitted.tuned.model.state_dict()
    for name, tensor in model.state_dict().items():  # the pretrained model itself is never touched
        assert torch.equal(tensor, before[name])
    shared = [name for name in before if name in after]
    changed = {name for name in shared if not torch.equal(after[name], before[name])}
    assert changed and trained or not changed
    assert all(name.startswith(tuple(trained)) for name in changed)
    assert all(after[name].dtype == torch.float32 for name in after)
    expected = [name for name, _ in model.named_parameters() if name.startswith(tuple(trained))] if trained else []
    assert set(expected) <= changed | {name for name in expected if "key.bias" in name}  # softmax ignores key biases


def test_full_trains_everything_and_the_same_seed_gives_the_same_weights(bases, tokenizer):
    model, task = base_model(bases, "bert").model, SequenceClassification(("bad", "good"), pooling="mean")

    def weights(seed):
        settings = FineTuning(steps=3, learning_rate=1e-2, precision="float32", seed=seed)
        return fit(model, tokenizer, task, TRAIN, settings=settings).tuned.model.state_dict()

    first, second, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["tokens.weight"], other["tokens.weight"])
    kept = [name for name, p in model.named_parameters() if name in first and torch.equal(first[name], p)]
    assert all("key.bias" in name for name in kept)


def test_micro_batches_give_the_same_result(tokenizer, monkeypatch):
    config = FAMILIES["gpt2"].size("tiny", tokenizer.vocab_size, dropout=0.0, attention_dropout=0.0)
    model, task = initialise(Model(config), 0), SequenceClassification(("bad", "good"))
    settings = FineTuning(steps=3, learning_rate=1e-3, precision="float32", batch=32)

    def losses(tokens):
        monkeypatch.setattr("trivium.verbs.tuning.MICRO_TOKENS", tokens)
        return fit(model, tokenizer, task, TRAIN, settings=settings).losses

    assert losses(64) == pytest.approx(losses(100_000), rel=1e-4)


def test_pairs_from_files_and_best_on_dev(bases, tmp_path):
    rows = [{"text": a, "text2": b, "label": a == b} for a in GOOD[:4] for b in GOOD[:4]]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "dev.csv").write_text("text,text2,label\ngreat,great,true\ngreat,lovely,false\n")
    report = finetune(
        "sequence", bases["bert"], tmp_path / "train.jsonl", tmp_path / "dev.csv", out=tmp_path / "o", settings=SHORT
    )
    assert report.labels == ("false", "true") and report.train_examples == 16
    best = max(report.evaluations, key=lambda e: (e.scores["accuracy"], -e.scores["loss"]))
    assert report.best_step == best.step
    row = next(iter(predict(tmp_path / "o", [{"id": 7, "text": "great", "text2": "great", "label": "x"}]))).row()
    assert row["id"] == 7 and row["text2"] == "great" and row["gold"] == "x" and row["label"] in ("true", "false")
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "o" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"] == [1, 2, 3, 4]


def test_prediction_streams_and_does_not_depend_on_the_batch(bases, tmp_path):
    out = tmp_path / "o"
    finetune("sequence", bases["bert"], TRAIN, out=out, settings=SHORT)
    tuned = load_tuned(out)
    texts = [example.text for example in DEV]
    together = [each.prediction for each in predict(tuned, texts)]
    alone = [next(predict(tuned, [text])).prediction for text in texts]
    assert [p.label for p in together] == [p.label for p in alone]
    assert [p.probabilities["good"] for p in together] == pytest.approx(
        [p.probabilities["good"] for p in alone], abs=1e-5
    )
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n")
    assert [p.row()["text"] for p in predict(out, tmp_path / "in.txt")] == texts

    def endless():
        while True:
            yield texts[0]

    assert next(predict(tuned, endless())).prediction.label in ("bad", "good")  # answers before its input ends
    mixed = [row for _, row in stream_rows(['{"text": "great", "label": "good"}\n', "\n", "dull plot\n"])]
    assert mixed == [{"text": "great", "label": "good"}, {"text": "dull plot"}]
    with pytest.raises(DataError, match="line 2 of the input: no column 'text'"):
        list(predict_rows(tuned, stream_rows(["fine\n", '{"txt": "a"}\n'])))
    with pytest.raises(SettingsError, match="no column 'txt': did you mean 'text'"):
        next(predict(tuned, ["a"], columns={"txt": "body"}))
    named = [{"body": "a great film"}]
    assert next(predict(tuned, named, columns={"text": "body"})).row()["body"] == "a great film"


def test_a_folder_without_its_recipe_is_known_by_its_head(bases, tmp_path):
    finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "o", settings=SHORT)
    told = load_tuned(tmp_path / "o").task
    (tmp_path / "o" / "trivium.toml").unlink()
    assert load_tuned(tmp_path / "o").task == SequenceClassification(("bad", "good"), pooling="first")
    assert told == SequenceClassification(("bad", "good"))


def write(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


@pytest.mark.parametrize(("train", "dev", "message"), [
    ([("a b", "x"), ("c d", "x")], None, "all 2 examples have the label 'x'"),
    ([("a b", "x"), ("c d", "y")], [("e", "x"), ("f", "z")], r"dev.csv:3: 'z' in the label field does not occur"),
    ([("a b", "x"), ("", "y")], None, r"train.csv:3: the text in 'text' is empty"),
])  # fmt: skip
def test_data_that_cannot_be_used(train, dev, message, bases, tmp_path):
    train_file = write(tmp_path / "train.csv", train)
    dev_file = write(tmp_path / "dev.csv", dev) if dev else None
    with pytest.raises(DataError, match=message):
        finetune("sequence", bases["bert"], train_file, dev_file, out=tmp_path / "o", settings=SHORT)
    assert not (tmp_path / "o").exists()


def test_settings_that_cannot_be_used(bases, tmp_path):
    with pytest.raises(SettingsError, match="task 'sequences' is not known: did you mean sequence"):
        finetune("sequences", bases["bert"], TRAIN, out=tmp_path / "o")
    asked = task_options("sequence", ["pooling=max"])
    with pytest.raises(SettingsError, match="pooling = 'max'"):
        finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "o", options=asked)
    with pytest.raises(SettingsError, match="did you mean pooling"):
        task_options("sequence", ["poling=mean"])
    for method in ("lst:2", "last:0", "last:x"):
        with pytest.raises(SettingsError, match="choose full, frozen, last:N"):
            FineTuning(method)
    with pytest.raises(SettingsError, match="the model has 2 layers"):
        finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "o", settings=FineTuning("last:3"))
    with pytest.raises(SettingsError, match="give one of them"):
        FineTuning(epochs=1, steps=1)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "used")
    with pytest.raises(SettingsError, match="was not fine-tuned"):
        load_tuned(bases["bert"])


def test_divergence_is_one_sentence(bases, tmp_path):
    settings = FineTuning(steps=30, learning_rate=1e30, precision="float32")
    with pytest.raises(TriviumError, match="diverged at a learning rate of 1e\\+30: lower it"):
        finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "o", settings=settings)


def test_dev_is_looked_at_as_often_as_asked(bases, tokenizer):
    model, task = base_model(bases, "gpt2").model, SequenceClassification(("bad", "good"))
    seen = {}
    for asked in (1, 3, 10):
        settings = FineTuning(steps=12, batch=120, learning_rate=1e-3, precision="float32", evaluations=asked)
        fitted = fit(model, tokenizer, task, TRAIN, DEV, settings)
        seen[asked] = [evaluation.step for evaluation in fitted.evaluations]
    assert seen == {1: [12], 3: [4, 8, 12], 10: [2, 4, 6, 8, 10, 12]}


def test_the_default_learning_rate_follows_the_width():
    configs = {w: FAMILIES["bert"].size("tiny", 99, width=w, heads=1) for w in (32, 256, 384, 768)}
    rates = {w: default_learning_rate(config, "full") for w, config in configs.items()}
    assert rates[32] == rates[256] == 1e-3
    assert 1e-4 < rates[384] < 1.5e-4
    assert 2e-5 <= rates[768] <= 5e-5  # BERT's own search range
