"""Fine-tuning to rewrite, from a file to a folder that transformers opens and writes the same texts with."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.tasks import Rewriting
from trivium.text.examples import Rewrite
from trivium.tokenizers import train_bpe
from trivium.verbs.finetune import finetune
from trivium.verbs.load import load
from trivium.verbs.predict import predict
from trivium.verbs.tuning import FineTuning

WORDS = "snow storm winter warning cat mat dog hairy night home day excited".split()


def pairs(count, seed):
    """The last word of a text."""
    generator = np.random.default_rng(seed)
    texts = [list(generator.choice(WORDS, generator.integers(3, 9))) for _ in range(count)]
    return [Rewrite(" ".join(words), words[-1]) for words in texts]


TRAIN, DEV = pairs(200, 0), pairs(40, 1)


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([example.source for example in TRAIN] * 2, 320)


@pytest.fixture(scope="module")
def bases(tmp_path_factory, tokenizer):
    folders = {}
    for name in ("t5", "bart", "gpt2"):
        own = {"gpt2": {"init_std": 0.2}, "bart": {"init_std": 0.1, "start_token": tokenizer.end},
               "t5": {"start_token": tokenizer.pad}}  # fmt: skip
        config = FAMILIES[name].size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad, **own[name])
        folders[name] = tmp_path_factory.mktemp(name)
        laid_out = tokenizer.with_layout("classify") if name == "bart" else tokenizer
        huggingface.save(initialise(network(config), 0), FAMILIES[name], laid_out, folders[name])
    return folders


def written_by_transformers(folder, texts, kind):
    """With the folder's own settings, a text at a time."""
    tokens, model = AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder).eval()
    outputs = []
    for text in texts:
        ids = tokens(text, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            out = model.generate(**ids)[0]
        new = out if kind is AutoModelForSeq2SeqLM else out[ids["input_ids"].shape[1] :]
        outputs.append(tokens.decode(new, skip_special_tokens=True).strip())
    return outputs


@pytest.mark.parametrize(("family", "options"), [
    ("t5", {"prefix": "last word:", "metric": "exact"}),
    ("t5", {"prefix": "last word:", "metric": "exact", "beams": 3, "length_penalty": 0.6, "min_tokens": 2}),
    ("bart", {"metric": "exact", "beams": 2, "no_repeat_ngram": 2, "early_stopping": True}),
    ("gpt2", {"metric": "exact", "separator": " ->", "beams": 2}),
])  # fmt: skip
def test_transformers_writes_the_same_texts(family, options, bases, tmp_path):
    settings = FineTuning(steps=60, batch=16, learning_rate=1e-2, precision="float32")
    options = {**options, "target_length": 8}
    report = finetune("rewriting", bases[family], TRAIN, DEV, out=tmp_path / "out", options=options, settings=settings)
    assert report.opens_in_transformers and report.truncated == 0
    texts = [example.source for example in DEV[:12]]
    ours = [each.prediction for each in predict(tmp_path / "out", texts)]
    kind = AutoModelForCausalLM if family == "gpt2" else AutoModelForSeq2SeqLM
    prefix = "last word: " if family == "t5" else ""
    asked = [f"{prefix}{text}{options.get('separator', '')}" for text in texts]
    theirs = written_by_transformers(tmp_path / "out", asked, kind)
    assert [each.output for each in ours] == theirs
    assert len(set(theirs)) > 3, theirs  # they say something of the texts
    written = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert written["num_beams"] == options.get("beams", 1) and written["max_new_tokens"] == 8
    assert ("forced_bos_token_id" in written) == (family == "bart")
    loaded = load(tmp_path / "out")  # and so does Trivium, from the folder alone
    found = loaded.complete(asked, loaded.search)
    assert [each.text.strip() for each in found] == theirs
    if options.get("beams", 1) > 1:
        assert [float(np.exp(sum(each.log_probabilities))) for each in found] == pytest.approx(
            [each.probability for each in ours], rel=1e-4
        )


def rows(path, examples):
    path.write_text("".join(json.dumps({"dialogue": e.source, "summary": e.target}) + "\n" for e in examples))
    return path


COLUMNS = {"source": "dialogue", "target": "summary"}
SHORT = FineTuning(steps=4, batch=8, learning_rate=1e-3, precision="float32")


def test_files_with_names_of_their_own(bases, tmp_path):
    train, dev = rows(tmp_path / "train.jsonl", TRAIN[:24]), rows(tmp_path / "dev.jsonl", DEV[:9])
    report = finetune(
        "rewriting", bases["t5"], train, dev, out=tmp_path / "out", columns=COLUMNS, settings=SHORT,
        options={"target_length": 6, "dev_texts": 4},
    )  # fmt: skip
    kinds = ("rouge1", "rouge2", "rougeLsum")
    assert {*kinds, *(f"lead3_{kind}" for kind in kinds), "loss"} <= {*report.scores}
    assert report.scores["lead3_rouge1"] > 0  # the source holds the word
    found = list(predict(tmp_path / "out", dev, columns=COLUMNS))
    assert [each.row()["summary"] for each in found] == [example.target for example in DEV[:9]]
    assert found[0].row().keys() == {"dialogue", "summary", "output", "probability"}


def test_the_loss_while_learning_is_of_all_of_dev(bases, tmp_path):
    """A part of dev is written, evenly and greedily; at the end all of it, as asked."""
    base, task = load(bases["gpt2"]), Rewriting(metric="exact", target_length=6, dev_texts=4, beams=2)
    hurried = task.hurried()
    assert hurried.beams == 1 and hurried.main == "exact"
    items = task.encode(DEV[:10], base.tokenizer, base.config)
    numbers = np.arange(10)
    assert list(hurried.batch(items, numbers).written) == [0, 3, 6, 9]
    assert list(task.batch(items, numbers).written) == list(range(10))
    quick = hurried.predictions(DEV[:10], items, hurried.answers(base.model, hurried.batch(items, numbers)))
    whole = task.predictions(DEV[:10], items, task.answers(base.model, task.batch(items, numbers)))
    assert [each.output is not None for each in quick] == [n in (0, 3, 6, 9) for n in range(10)]
    assert hurried.score(quick, DEV[:10])["loss"] == pytest.approx(task.score(whole, DEV[:10])["loss"])


@pytest.mark.parametrize(("change", "message"), [
    ({"columns": {"source": "dialog"}}, r"train.jsonl:1: no column 'dialog' .*did you mean 'dialogue'"),
    ({"columns": {}}, r"train.jsonl:1: no column 'source' among 'dialogue', 'summary'"),
    ({"columns": {**COLUMNS, "text2": "x"}, "options": {"metrc": "bleu"}}, "did you mean metric"),
    ({"options": {"target_length": 1}}, "a target of 1 tokens leaves no room"),
    ({"options": {"source_length": 1}}, "a source of 1 tokens leaves no room"),
    ({"options": {"beams": 0}}, "beams is 0: it must be at least 1"),
    ({"options": {"label_smoothing": 1.0}}, "label_smoothing = 1.0: it must be at least 0 and below 1"),
    ({"options": {"cast": "sst"}}, "cast = 'sst' is not known: choose one of cola, sst2"),
    ({"options": {"cast": "sst2", "prefix": "x"}}, "has its own prefix"),
    ({"options": {"dev_texts": 0}}, "dev_texts = 0"),
    ({"settings": FineTuning(method="frozen", steps=1)}, "method 'frozen' trains the head alone"),
])  # fmt: skip
def test_what_cannot_be_is_said_and_nothing_is_left(change, message, bases, tmp_path):
    train = rows(tmp_path / "train.jsonl", TRAIN[:8])
    arguments = {"columns": COLUMNS, "settings": SHORT, **change}
    with pytest.raises((DataError, SettingsError), match=message):
        finetune("rewriting", bases["t5"], train, out=tmp_path / "out", **arguments)
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_models_that_do_not_write_are_refused(tokenizer, bases, tmp_path):
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size)
    huggingface.save(initialise(network(config), 0), FAMILIES["bert"], tokenizer, tmp_path / "bert")
    with pytest.raises(SettingsError, match="this model is an encoder, which writes no text"):
        finetune("rewriting", tmp_path / "bert", TRAIN[:8], out=tmp_path / "out", settings=SHORT)
    with pytest.raises(SettingsError, match="target_length = 128 leaves no room for the source in this model's"):
        finetune("rewriting", bases["gpt2"], TRAIN[:8], out=tmp_path / "more", settings=SHORT)


def test_adapters_write_too(bases, tmp_path):
    settings = FineTuning("lora", steps=30, batch=16, learning_rate=2e-2, precision="float32")
    options = {"metric": "exact", "target_length": 8, "beams": 2}
    report = finetune("rewriting", bases["bart"], TRAIN, DEV, out=tmp_path / "out", options=options, settings=settings)
    again = [each.prediction for each in predict(tmp_path / "out", [example.source for example in DEV])]
    right = sum(each.output == example.target for each, example in zip(again, DEV, strict=True)) / len(DEV)
    assert right == pytest.approx(report.scores["exact"])
    loaded = load(tmp_path / "out")
    assert loaded.search.beams == 2  # the adapter's settings, not those of its base
    found = loaded.complete([example.source for example in DEV], loaded.search)
    assert [each.text.strip() for each in found] == [each.output for each in again]


def test_bfloat16_with_smoothed_labels(bases, tmp_path):
    settings = FineTuning(steps=20, batch=16, learning_rate=1e-2, precision="bfloat16")
    options = {"metric": "exact", "target_length": 8, "label_smoothing": 0.1}
    report = finetune("rewriting", bases["gpt2"], TRAIN, DEV[:8], out=tmp_path, options=options, settings=settings)
    assert report.evaluations[-1].scores["loss"] < 6 and np.isfinite(report.scores["loss"])


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_the_last_layers_are_the_decoders(family, bases, tmp_path):
    before = load(bases[family]).model.state_dict()
    settings = FineTuning("last:1", steps=2, batch=8, learning_rate=1e-2, precision="float32")
    finetune("rewriting", bases[family], TRAIN[:16], out=tmp_path, options={"target_length": 8}, settings=settings)
    after = load(tmp_path).model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("decoder.layers.1.", "decoder.norm.")) for name in changed)
