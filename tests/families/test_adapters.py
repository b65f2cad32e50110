"""Adapters in PEFT's format: peft opens ours and we open peft's, with equal outputs, for families of every layout."""

import json

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from trivium.errors import DataError, SettingsError
from trivium.families import T5, adapter_folder, huggingface
from trivium.families.adapter_config import CONFIG, TENSORS
from trivium.families.adapters import (
    check_expressible,
    fingerprint,
    joined,
    read_adapter,
    save_adapter,
    split,
)
from trivium.transformer.adapters import Adapters
from trivium.transformer.lora import Lora, LowRank

THEIRS = {
    "bert": ["query", "value"],
    "roberta": ["query", "value"],
    "gpt2": ["c_attn"],
    "llama-3.1": ["q_proj", "v_proj"],
    "t5": ["q", "v"],
}
EVERYWHERE = Lora(rank=4, alpha=6, targets=("query", "value:2", "feed_forward.up:3"), rank_stabilised=True)


@pytest.fixture(params=list(THEIRS))
def named(request, cases, tmp_path):
    """A family's name, its case, and the folder of a base of theirs."""
    case = cases[request.param]
    case.reference().save_pretrained(tmp_path / "base")
    return request.param, case, tmp_path / "base"


def adapted(base, lora, seed=0):
    loaded = huggingface.load(base)
    adapters = Adapters(loaded.model.eval())
    adapters.add("default", lora, seed)
    adapters.use("default")
    with torch.no_grad():
        for part in adapters.parts().values():
            part.B.normal_(0, 0.2, generator=torch.Generator().manual_seed(part.rank + seed))
    return loaded, adapters


def logits(model, batch):
    with torch.no_grad():
        return model.eval()(batch.ours, at="all").logits[batch.real]


def test_peft_opens_ours(named, batch_for, close, tmp_path):
    _, case, base = named
    batch = batch_for(case.family)
    loaded, _ = adapted(base, EVERYWHERE)
    ours = logits(loaded.model, batch)
    (tmp_path / "ours").mkdir()
    save_adapter(loaded.model, loaded.family, tmp_path / "ours", base=str(base))
    theirs = peft.PeftModel.from_pretrained(case.reference(), tmp_path / "ours").eval()
    with torch.no_grad():
        close(ours, theirs(**batch.theirs).logits[batch.real], "logits")
        merged = theirs.merge_and_unload()(**batch.theirs).logits[batch.real]
        assert not torch.allclose(ours, case.reference()(**batch.theirs).logits[batch.real], atol=1e-2)
    close(ours, merged, "their merged logits")
    back = adapter_folder.load(tmp_path / "ours")
    close(logits(back.model, batch), ours, "read again, merged")
    assert not Adapters(back.model).names


@pytest.mark.parametrize("stabilised", [False, True])
def test_peft_s_is_opened(named, stabilised, batch_for, close, tmp_path):
    name, case, base = named
    batch = batch_for(case.family)
    first = THEIRS[name][0]
    number = {"t5": f"encoder.block.1.layer.0.SelfAttention.{first}", "gpt2": f"h.1.attn.{first}"}.get(
        name, f"1.attention.self.{first}" if name in ("bert", "roberta") else f"1.self_attn.{first}"
    )
    settings = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=THEIRS[name], rank_pattern={number: 2}, alpha_pattern={number: 9},
        use_rslora=stabilised, fan_in_fan_out=name == "gpt2",
    )  # fmt: skip
    model = peft.get_peft_model(case.reference(), settings)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.normal_(0, 0.2)
        expected = model.eval()(**batch.theirs).logits[batch.real]
    model.save_pretrained(tmp_path / "theirs")
    edit(tmp_path / "theirs", base_model_name_or_path=str(base))
    read = adapter_folder.load(tmp_path / "theirs")
    close(logits(read.model, batch), expected, "logits")


def edit(folder, **changes):
    settings = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(settings | changes))


def test_a_joined_matrix_of_peft_s_keeps_its_one_a(cases, tmp_path):
    """c_attn: read, written and read by peft again, the tensors are the same."""
    case = cases["gpt2"]
    case.reference().save_pretrained(tmp_path / "base")
    model = peft.get_peft_model(
        case.reference(), peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    )
    for key, parameter in model.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(tmp_path / "theirs")
    loaded = huggingface.load(tmp_path / "base")
    adapters = Adapters(loaded.model)
    adapters.put("default", read_adapter(tmp_path / "theirs", loaded.model, loaded.family).parts)
    (tmp_path / "ours").mkdir()
    save_adapter(loaded.model, loaded.family, tmp_path / "ours", base="base")
    before, after = (load_file(tmp_path / each / TENSORS) for each in ("theirs", "ours"))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_joining_and_splitting_are_exact():
    def part(rank, rows, scale):
        return LowRank(torch.randn(rank, 5), torch.randn(rows, rank), scale)

    query, value = part(2, 4, 0.5), part(3, 6, 2.0)
    whole = joined([query, None, value], [4, 4, 6])
    assert (whole.rank, whole.B.shape) == (5, (14, 5))
    expected = torch.cat([query.product(), torch.zeros(4, 5), value.product()])
    torch.testing.assert_close(whole.product(), expected)
    first, none, last = split(whole, [4, 4, 6])
    assert none is None and (first.rank, last.rank) == (2, 3)
    torch.testing.assert_close(first.product(), query.product())
    torch.testing.assert_close(last.product(), value.product())
    fresh = split(LowRank(torch.randn(2, 5), torch.zeros(14, 2), 1.0), [4, 4, 6])
    assert [each.rank for each in fresh] == [2, 2, 2]


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_embeddings_both_ways(name, cases, batch_for, close, tmp_path):
    case = cases[name]
    case.reference().save_pretrained(tmp_path / "base")
    batch = batch_for(case.family)
    loaded, adapters = adapted(tmp_path / "base", Lora(rank=3, targets=("tokens", "query")))
    with torch.no_grad():
        adapters.parts()["tokens"].A.normal_(0, 0.2)
    ours = logits(loaded.model, batch)
    (tmp_path / "ours").mkdir()
    save_adapter(loaded.model, loaded.family, tmp_path / "ours", base=str(tmp_path / "base"))
    model = peft.PeftModel.from_pretrained(case.reference(), tmp_path / "ours").eval()
    with torch.no_grad():
        close(ours, model(**batch.theirs).logits[batch.real], "logits")
    model.save_pretrained(tmp_path / "theirs", save_embedding_layers=True)  # with the base's table beside
    assert any("base_layer" in key for key in load_file(tmp_path / "theirs" / TENSORS))
    edit(tmp_path / "theirs", base_model_name_or_path=str(tmp_path / "base"))
    read = adapter_folder.load(tmp_path / "theirs")
    close(logits(read.model, batch), ours, "read again")
    assert Adapters(read.model).names == ("default",)  # the table is tied: it stays unmerged


def test_a_classifier_of_peft_s_on_a_base_without_its_head(cases, batch_for, close, tmp_path):
    case = cases["bert"]
    case.reference("sequence").bert.save_pretrained(tmp_path / "base")
    classifier = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=5)
    model = peft.get_peft_model(classifier, peft.LoraConfig(task_type="SEQ_CLS", r=2, init_lora_weights="gaussian"))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key or "classifier.modules_to_save" in key:
                parameter.normal_(0, 0.3)
    model.save_pretrained(tmp_path / "theirs")
    edit(tmp_path / "theirs", base_model_name_or_path="../base")  # beside the adapter
    batch = batch_for("bert")
    read = adapter_folder.load(tmp_path / "theirs")
    with torch.no_grad():
        ours = read.model.eval()(batch.ours, heads=("sequence",)).heads["sequence"]
        close(ours, model.eval()(**batch.theirs).logits, "scores")
    assert read.labels == tuple(f"LABEL_{i}" for i in range(5))


def test_the_base_is_not_touched(cases, batch_for, tmp_path):
    cases["bert"].reference().save_pretrained(tmp_path / "base")
    hashed = fingerprint(huggingface.load(tmp_path / "base").model)
    loaded, adapters = adapted(tmp_path / "base", EVERYWHERE)
    batch = batch_for("bert")
    logits(loaded.model, batch)
    (tmp_path / "ours").mkdir()
    save_adapter(loaded.model, loaded.family, tmp_path / "ours", base="base")
    adapters.merge()
    assert fingerprint(loaded.model) != hashed
    adapters.unmerge()
    assert fingerprint(loaded.model) == hashed


def test_what_peft_has_no_place_for():
    with pytest.raises(SettingsError, match="no place for an adapter at tokens"):
        check_expressible(T5, {"tokens", "encoder.layers.0.attention.query"})


@pytest.mark.parametrize(("changes", "message"), [
    ({"peft_type": "IA3"}, r"adapter_config.json has peft_type = 'IA3'"),
    ({"use_dora": True}, "use_dora = True: only plain LoRA"),
    ({"bias": "all"}, "bias = 'all'"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa', which changes the base"),
    ({"r": 0}, "r = 0: it must be a number above 0"),
    ({"rank_pattern": [1]}, "rank_pattern = .* must be a table"),
    ({"base_model_name_or_path": None}, "names no base_model_name_or_path"),
    ({"base_model_name_or_path": "elsewhere"}, "is elsewhere, which is not there: put it back"),
])  # fmt: skip
def test_settings_that_cannot_be_read(changes, message, saved):
    edit(saved, **changes)
    with pytest.raises(DataError, match=message):
        adapter_folder.load(saved)


@pytest.fixture
def saved(cases, tmp_path):
    cases["bert"].reference().save_pretrained(tmp_path / "base")
    loaded, _ = adapted(tmp_path / "base", Lora(rank=2))
    (tmp_path / "ours").mkdir()
    save_adapter(loaded.model, loaded.family, tmp_path / "ours", base=str(tmp_path / "base"))
    return tmp_path / "ours"


def test_tensors_that_do_not_fit(saved, cases, tmp_path):
    good = load_file(saved / TENSORS)
    name = next(name for name in good if "lora_A" in name)

    def attempt(tensors):
        save_file(tensors, saved / TENSORS)
        with pytest.raises(DataError) as caught:
            adapter_folder.load(saved)
        return str(caught.value)

    assert "no A and B of one rank" in attempt({n: t for n, t in good.items() if n != name})
    assert "from 31 to 32, but in the base it goes from 32 to 32: it is an adapter for another base" in attempt(
        {**good, name: good[name][:, :31].clone()}
    )
    assert "which the base has not" in attempt({**good, "base_model.model.bert.x.lora_A.weight": good[name].clone()})
    bias = "base_model.model.cls.predictions.bias"
    assert "of (3,), which does not fit the base's (61,)" in attempt({**good, bias: torch.ones(3)})
    assert "no LoRA adapter" in attempt({})
    (saved / TENSORS).write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged"):
        adapter_folder.load(saved)
    (saved / TENSORS).unlink()
    (saved / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match="pickled"):
        adapter_folder.load(saved)


def test_an_adapter_on_an_adapter_is_refused(saved, tmp_path):
    (tmp_path / "base" / CONFIG).write_text((saved / CONFIG).read_text())
    with pytest.raises(DataError, match="itself an adapter"):
        adapter_folder.load(saved)
