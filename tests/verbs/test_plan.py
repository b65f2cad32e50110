"""``plan``: every preset by its published count, parts that add up, and names that are not there."""

import re
from pathlib import Path

import pytest
import torch

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.presets import CLOSED, presets
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled
from trivium.transformer import Model
from trivium.transformer.lora import Lora
from trivium.verbs.load import load
from trivium.verbs.plan import BYTES, LEARNING, plan
from trivium.verbs.recipe import recipe_names
from trivium.verbs.tuning import FineTuning, fit

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
ROW = re.compile(r"^\| `([a-z0-9.-]+)` \|.*\| ([\d,]{7,}) \|$", re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "parameters", "body"),
    [
        ("bert-base", 109_514_298, 109_482_240),
        ("bert-large-uncased", 335_174_458, 335_141_888),
        ("spanbert-large", 333_610_308, 333_579_264),
        ("roberta-large", 355_412_057, 355_359_744),
        ("distilbert", 66_985_530, 66_362_880),
        ("gpt1", 116_534_784, 116_534_784),
        ("gpt2", 124_439_808, 124_439_808),
        ("GPT2-1542M", 1_557_611_200, 1_557_611_200),
        ("gpt3", 174_604_259_328, 174_604_259_328),
        ("t5-11b", 11_307_321_344, 11_307_321_344),
        ("flan-t5-base", 247_577_856, 247_577_856 - 32128 * 768),
        ("bart-large-cnn", 406_290_432, 406_290_432),
        ("llama-3-8b", 8_030_261_248, 8_030_261_248 - 128256 * 4096),
        ("llama-3.1-405b", 405_853_388_800, 405_853_388_800 - 128256 * 16384),
        ("smollm2-135m", 134_515_008, 134_515_008),
        ("elmo-original", 500_651_487, 93_600_864),
    ],
)
def test_published_models_by_name(name, parameters, body):
    found = plan(name)
    assert (found.parameters, found.body) == (parameters, body)
    assert sum(part.parameters for part in found.components) == parameters
    assert found.bytes == {"float32": 4 * parameters, "bfloat16": 2 * parameters}


def test_the_parts_of_bert_are_what_the_formulas_say():
    d, layers = 768, 12
    assert {part.name: part.parameters for part in plan("bert-base").components} == {
        "token embeddings": 30522 * d,
        "positions": 512 * d,
        "segments": 2 * d,
        "attention": layers * 4 * (d * d + d),
        "feed-forward": layers * (8 * d * d + 5 * d),
        "norms": (2 * layers + 1) * 2 * d,
        "vocabulary head": d * d + d + 2 * d + 30522,
    }


def test_both_stacks_are_counted_apart():
    found = {part.name: part.parameters for part in plan("t5-base").components}
    d, f = 768, 3072
    assert found["encoder attention"] == found["decoder attention"] == found["cross-attention"] == 12 * 4 * d * d
    assert found["encoder feed-forward"] == found["decoder feed-forward"] == 12 * 2 * d * f
    assert (found["encoder norms"], found["decoder norms"]) == (25 * d, 37 * d)
    assert found["encoder positions"] == found["decoder positions"] == 32 * 12
    order = [part.name for part in plan("t5-1.1-small").components]
    assert order[0] == "token embeddings" and order[-1] == "vocabulary head"
    assert order.index("encoder norms") < order.index("decoder attention") < order.index("cross-attention")


def test_every_family_has_presets_and_the_small_ones_take_a_vocabulary():
    assert {family for family, _ in presets().values()} == set(FAMILIES)
    for name, (family, size) in presets().items():
        if "vocab_size" not in FAMILIES[family].sizes[size] and name not in recipe_names():
            found = plan(name, ["tokenizer.vocab_size=100"])
            assert (found.family, found.size) == (family, size)
            assert sum(part.parameters for part in found.components) == found.parameters


def test_a_recipe_is_counted_with_its_vocabulary_and_heads():
    for name in ("gpt2-mini", "bert-mini"):
        found = plan(name, ["tokenizer.vocab_size=3000", "model.width=64"])
        config = FAMILIES[found.family].size("mini", 3000, width=64, context=found.config["context"])
        with torch.device("meta"):
            expected = sum(weight.numel() for weight in Model(config).parameters())
        assert found.parameters == expected


def test_changes_of_a_preset():
    assert plan("gpt3-small", ["model.context=1024"]).parameters == 124_439_808
    assert plan("gpt3-small", ["model.band.width=128"]).parameters == plan("gpt3-small").parameters
    assert plan("bert-base", ["tokenizer.vocab_size=28996"]).parameters == plan("bert-base-cased").parameters
    assert plan("llama-tiny", ["tokenizer.vocab_size=61"]).parameters == 27104


def test_adapters_of_gpt3_as_in_their_paper():
    """Hu et al. 2021: 4.7 M, 18.9 M and 37.7 M parameters; 35 MB an adapter; 354 GB in place of 35 TB for 100 tasks."""
    for rank, parameters in ((1, 4_718_592), (4, 18_874_368), (8, 37_748_736)):
        assert plan("gpt3", lora=Lora(rank)).adapters.parameters == parameters
    found = plan("gpt3", lora=Lora(4), tasks=100)
    assert found.adapters.bytes["bfloat16"] / 2**20 == pytest.approx(36.0, abs=0.01)
    assert found.adapters.kept_bytes / 1e9 == pytest.approx(353.5, rel=2e-3)  # of 174.6e9 numbers, the paper's 175e9
    assert found.adapters.kept_bytes - 2 * found.parameters == pytest.approx(100 * 36 * 2**20)
    assert found.adapters.copied_bytes / 1e12 == pytest.approx(35, rel=3e-3)
    assert found.parameters / found.adapters.parameters == pytest.approx(9251, rel=1e-3)
    assert found.adapters.training_bytes["bfloat16"] < found.training_bytes["bfloat16"] / 8
    assert plan("gpt3").adapters is None
    for name, rank, parameters in (("roberta-base", 8, 294_912), ("gpt2-medium", 4, 393_216)):
        assert plan(name, lora=Lora(rank)).adapters.parameters == parameters


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_is_planned_is_what_is_held(method, precision, tiny_models):
    """The bytes that a fine-tuning reports, of the same model with its head."""
    base = load(tiny_models["bert"])
    train = [Labelled("a list", "x"), Labelled("an error", "y")] * 8
    settings = FineTuning(method, steps=1, precision=precision, lora=Lora(4))
    fitted = fit(base.model, base.tokenizer, SequenceClassification(("x", "y")), train, settings=settings)
    sizes = {name: weight.numel() for name, weight in fitted.tuned.model.named_parameters()}
    learnt = sum(sizes[name] for name in fitted.trained)
    expected = LEARNING[precision] * learnt + BYTES[precision] * (sum(sizes.values()) - learnt)
    assert fitted.training_bytes == expected + 4 * len(fitted.trained)  # a count of steps for each


@pytest.mark.parametrize(
    ("name", "sets", "message"),
    [
        ("llama3-8b", [], r"no model 'llama3-8b': did you mean llama-3-8b"),
        ("bert-bsae", [], "did you mean bert-base"),
        ("zzzzzzzz", [], "name a family and size"),
        ("llama-tiny", [], r"no vocabulary of its own: add --set tokenizer\.vocab_size"),
        ("bert-base", ["data.heldout=0"], "data cannot be set"),
        ("bert-base", ["tokenizer.sample=3"], "tokenizer cannot be set"),
        ("bert-base", ["tokenizer.vocab_size=x"], "must be a whole number"),
        ("bert-base", ["model.heads=7"], "does not divide"),
        ("bert-base", ["model.headz=7"], r"model\.headz"),
        ("no/such.toml", [], "does not exist"),
        *((name, [], "cannot be planned") for name in CLOSED),
    ],
)
def test_what_cannot_be_planned(name, sets, message):
    with pytest.raises(SettingsError, match=message):
        plan(name, sets)


def test_the_page_names_every_published_size_with_its_count():
    listed = {name: int(number.replace(",", "")) for name, number in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    published = {
        f"{family.name}-{size}" for family in FAMILIES.values() for size, fields in family.sizes.items()
        if family.architectures and "vocab_size" in fields
    }  # fmt: skip
    assert published <= set(listed), published - set(listed)
    for name, number in listed.items():
        found = plan(name)
        assert found.parameters == number, name
        assert found.training_bytes == {"float32": 16 * number, "bfloat16": 18 * number}
