"""Fine-tuning with LoRA: it learns, leaves the base as it was, and its folder is used alone and opened by peft."""

import json
import shutil

import numpy as np
import peft
import pytest
import torch
from tests.verbs.sentiment import sentiment
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, RNN, huggingface
from trivium.families.adapter_config import CONFIG, TENSORS
from trivium.families.adapters import fingerprint
from trivium.families.bodies import initialise, network
from trivium.tasks import SequenceClassification
from trivium.tokenizers import train_bpe
from trivium.transformer.lora import Lora
from trivium.verbs.finetune import finetune, lora_options
from trivium.verbs.learning_parts import default_learning_rate
from trivium.verbs.load import load
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning, fit

EVERYWHERE = ("query", "key", "value", "feed_forward.*", "tokens:4")  # of a body that was never pretrained
LEARNING = FineTuning(
    "lora", epochs=12, batch=24, learning_rate=1e-2, precision="float32", lora=Lora(8, 16, 0.05, EVERYWHERE)
)
SHORT = FineTuning("lora", steps=3, batch=8, learning_rate=1e-2, precision="float32")


TRAIN, DEV = sentiment(240, 0), sentiment(100, 1)
TEXTS = [example.text for example in DEV[:8]]


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([example.text for example in TRAIN] * 2, 350)


@pytest.fixture(scope="module")
def bases(tmp_path_factory, tokenizer):
    folders = {}
    for name in ("bert", "gpt2", "roberta", "t5"):
        config = FAMILIES[name].size("tiny", tokenizer.vocab_size, dropout=0.1)
        folders[name] = tmp_path_factory.mktemp(name)
        huggingface.save(initialise(network(config), 0), FAMILIES[name], tokenizer, folders[name])
    return folders


def chances(rows):
    return torch.tensor([list(each.prediction.probabilities.values()) for each in rows])


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_it_learns_and_its_folder_is_used(family, bases, tmp_path):
    before = {path.name: path.read_bytes() for path in bases[family].iterdir()}
    made = finetune("sequence", bases[family], TRAIN, DEV, out=tmp_path / "o", settings=LEARNING)
    assert made.scores["accuracy"] > 0.9 and made.opens_in_transformers
    assert {path.name: path.read_bytes() for path in bases[family].iterdir()} == before
    assert made.adapter_bytes == (tmp_path / "o" / TENSORS).stat().st_size
    assert not (tmp_path / "o" / "model.safetensors").exists()
    assert made.trained_parameters < 0.5 * made.parameters  # of a tiny model, with its pooler
    found = list(predict(tmp_path / "o", [example.text for example in DEV]))
    right = np.mean([each.prediction.label == example.label for each, example in zip(found, DEV, strict=True)])
    assert right == pytest.approx(made.scores["accuracy"])  # merged, what was saved is what was scored
    torch.testing.assert_close(chances(load(tmp_path / "o").predict(TEXTS)), chances(found[:8]), rtol=0, atol=1e-6)
    base = AutoModelForSequenceClassification.from_pretrained(bases[family], num_labels=2)
    theirs, tokens = peft.PeftModel.from_pretrained(base, tmp_path / "o"), AutoTokenizer.from_pretrained(tmp_path / "o")
    with torch.no_grad():
        logits = theirs.eval()(**tokens(TEXTS, return_tensors="pt", padding=True)).logits
    torch.testing.assert_close(logits.softmax(-1), chances(found[:8]), rtol=1e-4, atol=1e-5)
    settings = json.loads((tmp_path / "o" / CONFIG).read_text())
    assert settings["task_type"] == "SEQ_CLS" and settings["base_model_name_or_path"] == str(bases[family].resolve())


def test_merged_it_is_a_whole_model(bases, tmp_path):
    apart = finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "a", settings=SHORT)
    whole = finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "w", settings=SHORT, merge=True)
    assert apart.adapter_bytes and whole.adapter_bytes is None
    assert not (tmp_path / "w" / CONFIG).exists()
    shutil.copytree(tmp_path / "w", tmp_path / "moved")
    found = chances(predict(tmp_path / "moved", TEXTS))
    torch.testing.assert_close(found, chances(predict(tmp_path / "a", TEXTS)), rtol=0, atol=1e-5)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "w").eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path / "w")
    with torch.no_grad():
        logits = theirs(**tokens(TEXTS, return_tensors="pt", padding=True)).logits
    torch.testing.assert_close(logits.softmax(-1), found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_base_stays_and_its_memory_is_shared(family, precision, bases, tokenizer):
    model = huggingface.load(bases[family]).model
    hashed, own = fingerprint(model), dict(model.named_parameters())
    settings = FineTuning("lora", steps=3, learning_rate=1e-2, precision=precision)
    fitted = fit(model, tokenizer, SequenceClassification(("bad", "good")), TRAIN, settings=settings)
    assert fingerprint(model) == hashed
    for name, parameter in fitted.tuned.model.named_parameters():
        if name in fitted.trained:
            assert ".adapters." in name or name.startswith(("heads.", "pooler."))
        else:
            assert parameter.dtype == torch.float32 and torch.equal(parameter, own[name])
            assert parameter.data_ptr() == own[name].data_ptr()  # no second copy
    moved = [n for n, p in fitted.tuned.model.named_parameters() if n.endswith("adapters.default.B") and p.any()]
    assert len(moved) == 4


def test_what_it_holds_while_learning(bases, tokenizer):
    model, held = huggingface.load(bases["gpt2"]).model, {}
    for method in ("lora", "full"):
        for precision in ("float32", "bfloat16"):
            settings = FineTuning(method, steps=1, learning_rate=1e-3, precision=precision)
            fitted = fit(model, tokenizer, SequenceClassification(("bad", "good")), TRAIN, settings=settings)
            sizes = {n: p.numel() for n, p in fitted.tuned.model.named_parameters()}
            learnt = sum(sizes[name] for name in fitted.trained)
            frozen, counts = sum(sizes.values()) - learnt, 4 * len(fitted.trained)
            width = 4 if precision == "float32" else 2
            each = 4 + 4 + 8 if precision == "float32" else 2 + 4 + 4 + 8  # weight, (master,) gradient, moments
            assert fitted.training_bytes == width * frozen + each * learnt + counts
            held[method, precision] = fitted.training_bytes
    assert held["lora", "float32"] < 0.5 * held["full", "float32"]


def test_an_adapter_for_another_base_is_refused(bases, tmp_path):
    finetune("sequence", bases["bert"], TRAIN, out=tmp_path / "o", settings=SHORT)
    settings = json.loads((tmp_path / "o" / CONFIG).read_text())

    def attempt(base):
        (tmp_path / "o" / CONFIG).write_text(json.dumps({**settings, "base_model_name_or_path": str(base)}))
        with pytest.raises(DataError) as caught:
            load_tuned(tmp_path / "o")
        assert caught.value.exit_code == 3
        return str(caught.value)

    loaded = huggingface.load(bases["bert"])
    with torch.no_grad():
        next(loaded.model.parameters())[0, 0] += 1e-3
    huggingface.save(loaded.model, loaded.family, loaded.tokenizer, tmp_path / "changed")
    assert "another base; put that one back" in attempt(tmp_path / "changed")
    assert "for another base" in attempt(bases["gpt2"])
    assert "which is not there: put it back" in attempt(tmp_path / "gone")
    assert "itself an adapter" in attempt(tmp_path / "o")


def test_a_damaged_folder_is_refused(bases, tmp_path):
    finetune("sequence", bases["bert"], TRAIN[:16], out=tmp_path / "o", settings=SHORT)
    written = json.loads((tmp_path / "o" / "config.json").read_text())

    def attempt(message, **changes):
        (tmp_path / "o" / "config.json").write_text(json.dumps(written | changes))
        with pytest.raises(DataError, match=message):
            load_tuned(tmp_path / "o")

    attempt("o/config.json does not describe", trivium={**written["trivium"], "width": "wide"})
    attempt("o/config.json says", trivium=None)
    attempt("needs encoder.layers.2", trivium={**written["trivium"], "encoder_layers": 3})
    attempt("another base", adapter_base={})
    attempt("another base", adapter_base=7)
    (tmp_path / "o" / "config.json").write_text(json.dumps(written))
    many = train_bpe([f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"] * 3, 400)
    many.save(tmp_path / "o")
    with pytest.raises(DataError, match="do not belong together"):
        load_tuned(tmp_path / "o")


def test_families_and_poolings_that_no_class_of_theirs_has(bases, tmp_path):
    for family, options in (("roberta", {}), ("t5", {}), ("bert", {"pooling": "mean"})):
        out = tmp_path / family
        made = finetune("sequence", bases[family], TRAIN[:16], out=out, settings=SHORT, options=options)
        whole = finetune(
            "sequence", bases[family], TRAIN[:16], out=tmp_path / f"{family}-whole", settings=SHORT, options=options,
            merge=True,
        )  # fmt: skip
        assert made.opens_in_transformers == whole.opens_in_transformers == (family != "bert")
        expected = chances(predict(tmp_path / f"{family}-whole", TEXTS))
        torch.testing.assert_close(chances(predict(out, TEXTS)), expected, rtol=0, atol=1e-5)


def test_settings_that_cannot_be_used(bases, tokenizer, tmp_path):
    def attempt(message, base="bert", **given):
        with pytest.raises(SettingsError, match=message):
            finetune("sequence", bases.get(base, base), TRAIN, out=tmp_path / "x", **{"settings": SHORT, **given})
        assert not (tmp_path / "x").exists()

    attempt("no such layer: did you mean 'query'", settings=FineTuning("lora", lora=Lora(targets=("qery",))))
    attempt("merge is for the method lora", settings=FineTuning("full", steps=1), merge=True)
    attempt("no place for an adapter at tokens", "t5", settings=FineTuning("lora", lora=Lora(targets=("tokens",))))
    finetune("sequence", bases["bert"], TRAIN[:16], out=tmp_path / "o", settings=SHORT)
    attempt("is an adapter itself", tmp_path / "o")
    made = finetune("sequence", tmp_path / "o", TRAIN[:16], out=tmp_path / "again", settings=SHORT, merge=True)
    assert made.adapter_bytes is None
    recurrent = initialise(network(RNN.size("tiny", tokenizer.vocab_size)), 0)
    with pytest.raises(SettingsError, match="adapts Transformers"):
        fit(recurrent, tokenizer, SequenceClassification(("bad", "good"), pooling="mean"), TRAIN, settings=SHORT)


def test_settings_as_they_are_spelt():
    assert lora_options(["rank=4", "targets=query,feed_forward.up:2", "alpha=8"]) == Lora(
        4, 8.0, targets=("query", "feed_forward.up:2")
    )
    assert lora_options([]) == Lora()
    with pytest.raises(SettingsError, match="did you mean rank"):
        lora_options(["rnk=4"])


def test_the_default_learning_rate_is_larger_than_that_of_all_weights():
    base, small = (FAMILIES["bert"].size("tiny", 99, width=w, heads=1) for w in (768, 32))
    assert default_learning_rate(base, "lora") == pytest.approx(10 * default_learning_rate(base, "full"))
    assert default_learning_rate(small, "lora") == 5e-3
