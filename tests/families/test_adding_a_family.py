"""docs/adding-a-family.md: the family on the page is made from the page, and computes what transformers computes."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
import transformers
from torch.nn import functional as F
from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

import trivium.families
from trivium.families import FAMILIES, Family
from trivium.families.huggingface import load, save
from trivium.families.weights import weights_out
from trivium.tokenizers import Tokenizer, specials, train_bpe
from trivium.transformer import Model, initialise

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-family.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
SOURCE = Path(trivium.families.__file__)


def block(language: str, beginning: str) -> str:
    """The one block of the page that begins so."""
    (found,) = [text for kind, text in BLOCKS if kind == language and text.lstrip().startswith(beginning)]
    return found


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Family:
    """Made of the page's text alone, and put where the page says."""
    module = ModuleType("page")
    exec(compile(block("python", '"""'), str(PAGE), "exec"), module.__dict__)
    made = module.QWEN2
    assert isinstance(made, Family) and made is not FAMILIES["qwen2"]
    monkeypatch.setitem(FAMILIES, "qwen2", made)
    return made


def test_the_page_is_the_file_and_its_lines_are_where_it_says() -> None:
    assert block("python", '"""') == (SOURCE.parent / "qwen2.py").read_text(encoding="utf-8")
    assert block("text", '"qwen2": QWEN2,') in SOURCE.read_text(encoding="utf-8")
    case = block("text", '"qwen2": Case(')
    assert case in Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")


def test_what_the_page_makes_computes_what_the_reference_computes(family, cases, batch_for, close, tmp_path) -> None:
    theirs = cases["qwen2"].reference()
    theirs.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    config = loaded.config
    assert loaded.family is family and config == family.config_in(family.config_out(config), family.marks(config))
    ours, batch = loaded.model.eval(), batch_for("qwen2")
    out = ours(batch.ours, at="all")
    expected = theirs(**batch.theirs, output_hidden_states=True)
    close(out.logits[batch.real], expected.logits[batch.real], "logits")
    close(out.hidden[batch.real], expected.hidden_states[-1][batch.real], "hidden states")
    at = (batch.labels.reshape(-1) >= 0).nonzero()[:, 0]
    targets = batch.labels.reshape(-1)[at]
    loss = F.cross_entropy(ours(batch.ours, at=at).logits, targets)
    reference = F.cross_entropy(theirs(**batch.theirs).logits.reshape(-1, out.logits.shape[-1])[at], targets)
    close(loss[None], reference[None], "loss")
    loss.backward()
    reference.backward()
    named = weights_out({name: weight.grad for name, weight in ours.named_parameters()}, family, loaded.config)
    assert set(named) == {name for name, _ in theirs.named_parameters()}
    for name, weight in theirs.named_parameters():
        a_shift_of_all_scores = name.endswith("k_proj.bias")  # its true gradient is 0
        close(named[name], weight.grad, name, tolerance=float("inf") if a_shift_of_all_scores else 1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_what_the_page_makes_is_opened_by_the_reference(family, batch_for, close, tmp_path, tied: bool) -> None:
    model = initialise(Model(family.size("tiny", 61, tied=tied)), 0).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    assert save(model, family, None, tmp_path) is family
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation="eager", output_loading_info=True
    )
    assert type(theirs).__name__ == "Qwen2ForCausalLM" and not any(report.values())
    batch = batch_for("qwen2")
    close(model(batch.ours, at="all").logits[batch.real], theirs.eval()(**batch.theirs).logits[batch.real], "logits")
    again = load(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(weight, again.model.state_dict()[name]) for name, weight in model.state_dict().items())


LINES = [
    "The quick brown fox doesn't jump over 12345 lazy dogs.",
    "  def f(x):\r\n\treturn x ** 2  # 3.14",
    "Cafe\u0301 und Größe, 私は猫が好きです。",
    "Raise an error\n\n\nwhen  the   file is missing!!!",
    "<|endoftext|> is ten characters here",
]


def test_its_tokenizer_is_read_and_written_with_the_ids_of_the_reference(tmp_path) -> None:
    document = json.loads(train_bpe(LINES * 9, 400).whole.to_str())["model"]
    vocab = {**document["vocab"], "<|endoftext|>": max(document["vocab"].values()) + 1}
    merges = [tuple(merge) for merge in document["merges"]]
    theirs = Qwen2Tokenizer(vocab, merges)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = Tokenizer.load(tmp_path / "theirs")
    assert (ours.specials.end, ours.specials.pad) == (specials.QWEN2.end, specials.QWEN2.pad)
    ours.save(tmp_path / "ours")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for line in LINES[:-1]:
        ids = theirs(line)["input_ids"]
        assert ours.encode(line).ids == ids == again(line)["input_ids"] and len(ids) < len(line.encode())
    assert ours.end == theirs.eos_token_id not in ours.encode(LINES[-1]).ids


def test_windows_of_attention_are_refused(family) -> None:
    written = family.config_out(family.size("0.5b"))
    with pytest.raises(trivium.DataError, match="use_sliding_window = True, but family qwen2 knows only False"):
        family.config_in({**written, "use_sliding_window": True})
