"""``trivium align --method sft``: what is learnt, what is saved, and who opens it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from trivium.errors import DataError, SettingsError
from trivium.families.adapter_folder import load as load_folder
from trivium.text.chat_fields import read_chats
from trivium.text.chats import Message
from trivium.tokenizers.chats import ChatRenderer
from trivium.verbs.align import METHODS, Alignment, align, alignment
from trivium.verbs.chat import Chat
from trivium.verbs.load import load

QUICK = ("training.batch=4 training.steps=6 training.device=cpu training.precision=float32 method.answers=2").split()
WORDS = ("list", "file", "value", "name", "server")


@pytest.fixture
def files(tmp_path) -> tuple[str, str]:
    rows = [{"instruction": f"what is a {WORDS[n % 5]}", "output": f"a {WORDS[n % 5]} it is."} for n in range(40)]
    for name, part in (("train", rows[:32]), ("dev", rows[32:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return str(tmp_path / "train.jsonl"), str(tmp_path / "dev.jsonl")


def asked(model: object, files: tuple[str, str], *sets: str, **flags: object) -> Alignment:
    given = {"model": str(model), "train": files[0], "dev": files[1], "template": "plain", **flags}
    return alignment("sft", {name: value for name, value in given.items() if value is not None}, [*QUICK, *sets])


def test_a_tiny_model_learns_to_answer_and_to_stop(tiny_models, files, tmp_path):
    settings = asked(tiny_models["gpt2"], files, "training.steps=60", "training.learning_rate=0.01",
                     "training.batch=8", "method.answers=8")  # fmt: skip
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.before["loss"] > 4 and made.after["loss"] < 0.2  # dev has the questions of train
    assert made.before["rougeL"] < 0.3 and made.after["rougeL"] > 0.9 and made.after["ended"] == 1.0
    talk = Chat(tmp_path / "run")
    talk.set("temperature=0")
    assert "".join(piece.text for piece in talk.say("what is a file")).strip() == "a file it is."
    card = (tmp_path / "run" / "README.md").read_text()
    assert "- Method: sft" in card and "| rougeL | " in card and "train.jsonl (SHA-256: " in card
    assert made.notes[0].startswith("examples of dev that are in train, too: 8 (8 letter by letter), such as")
    assert made.notes[1] == "training examples that stood in train before: 27"
    kinds = [line["kind"] for line in made.history]
    assert kinds[:2] == ["evaluation", "judged"] and kinds[-1] == "judged" and kinds.count("sample") >= 9
    assert "what is a name -> a name it is." in [line["text"] for line in made.history if line["kind"] == "sample"][-1]


def test_transformers_opens_it_and_talks_by_the_same_template(tiny_models, files, tmp_path):
    made = align(asked(tiny_models["llama"], files), tmp_path / "run", quiet=True)
    assert made.opens_in_transformers
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "run")
    messages = [{"role": "user", "content": "what is a file"}]
    ids = words.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    ours = load(tmp_path / "run")
    assert ids == Chat(ours).conversation.renderer.ids([Message("user", "what is a file")])
    logits = theirs(torch.tensor([ids])).logits[0]
    assert torch.allclose(logits, made.model(ours_inputs(ids), at="all").logits.reshape(logits.shape), atol=1e-4)
    ended = theirs.generation_config.eos_token_id
    assert ours.tokenizer.end in (ended if isinstance(ended, list) else [ended])


def ours_inputs(ids: list[int]):
    from trivium.transformer import Inputs, Tokens

    return Inputs(target=Tokens(torch.tensor([ids])))


def test_the_first_loss_is_that_of_transformers_on_its_own_labels(tiny_models, files, tmp_path):
    """One batch of all conversations, against the mean over labels of the same tokens."""
    settings = asked(tiny_models["gpt2"], files, "training.steps=1", "training.batch=32")
    made = align(settings, tmp_path / "run", quiet=True)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_models["gpt2"]).eval()
    base = load(tiny_models["gpt2"])
    from trivium.text.chat_templates import CHAT_TEMPLATES

    renderer = ChatRenderer(base.tokenizer, CHAT_TEMPLATES["plain"])
    total, count = 0.0, 0
    for located in read_chats(Path(files[0])):
        rendered = renderer.render(located.example.messages, {base.tokenizer.end})
        ids = torch.from_numpy(rendered.ids)[None]
        labels = torch.where(torch.from_numpy(rendered.replies >= 0)[None], ids, -100)
        learnt = int((labels[:, 1:] != -100).sum())
        total, count = total + theirs(ids, labels=labels).loss.item() * learnt, count + learnt
    (first,) = [line for line in made.history if line["kind"] == "train"]
    assert first["loss"] == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("merge", [False, True])
def test_an_adapter_and_the_whole_model_with_it(merge, tiny_models, files, tmp_path):
    settings = asked(tiny_models["llama"], files, weights="lora", merge=merge, lora={"rank": 2})
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.trained_parameters < 0.1 * made.parameters and made.after["loss"] < made.before["loss"]
    assert (tmp_path / "run" / "adapter_model.safetensors").exists() != merge
    opened = load_folder(tmp_path / "run")
    ids = [5, 6, 7, 8]
    ours = opened.model.eval()(ours_inputs(ids), at="all").logits
    assert torch.allclose(ours, made.model(ours_inputs(ids), at="all").logits, atol=1e-5)
    assert (Chat(tmp_path / "run").conversation.renderer.template.text) == (
        tmp_path / "run" / "chat_template.jinja"
    ).read_text()
    if not merge:
        peft = pytest.importorskip("peft")
        base = transformers.AutoModelForCausalLM.from_pretrained(tiny_models["llama"])
        theirs = peft.PeftModel.from_pretrained(base, tmp_path / "run").eval()
        assert torch.allclose(theirs(torch.tensor([ids])).logits[0], ours.reshape(4, -1), atol=1e-4)


@pytest.mark.parametrize("family", ["lstm", "gpt1", "gpt3"])
def test_other_decoders_learn_too(family, tiny_models, files, tmp_path):
    made = align(asked(tiny_models[family], files, "training.learning_rate=0.003"), tmp_path / "run", quiet=True)
    assert made.after["loss"] < made.before["loss"]


def test_the_last_layers_alone(tiny_models, files, tmp_path):
    made = align(asked(tiny_models["gpt2"], files, weights="last:1"), tmp_path / "run", quiet=True)
    base = load(tiny_models["gpt2"]).model.state_dict()
    moved = {name for name, tensor in made.model.state_dict().items() if not torch.equal(tensor, base[name])}
    assert moved and all(name.startswith(("decoder.layers.1.", "decoder.norm.")) for name in moved)


def test_long_conversations_keep_whole_turns(tiny_models, tmp_path):
    turns = [{"role": role, "content": "a list of items"} for _ in range(20) for role in ("user", "assistant")]
    rows = [{"messages": turns}, {"messages": turns[:2]}, {"instruction": "a name " * 200, "output": "a list"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = (str(tmp_path / "t.jsonl"), None)
    made = align(asked(tiny_models["gpt2"], files, "method.length=60"), tmp_path / "run", quiet=True)
    assert made.examples == 2 and made.notes == (
        "1 conversations of train were cut to whole turns that fit into 60 tokens",
        "1 conversations of train, longer than 60 tokens, were left out",
    )
    with pytest.raises(DataError, match=r"t\.jsonl:1: the conversation has \d+ tokens, and 60 are read"):
        strict = asked(tiny_models["gpt2"], files, "method.length=60", "method.too_long=error")
        align(strict, tmp_path / "b", quiet=True)
    with pytest.raises(DataError, match="no conversation of train fits into 4 tokens"):
        align(asked(tiny_models["gpt2"], files, "method.length=4"), tmp_path / "b", quiet=True)
    assert not (tmp_path / "b").exists()


REFUSED = [
    ("t5", {}, "is an encoder-decoder, and conversations are learnt by decoders"),
    ("bert", {}, "is an encoder, which writes no text"),
    ("gpt2", {"template": None}, "has no chat template, so nothing says how a conversation is written for it"),
    ("gpt2", {"template": "chatml"}, "train.jsonl:1: the chat template writes no token after message 2"),
    ("gpt2", {"template": "chatnl"}, "did you mean chatml"),
    ("gpt2", {"weights": "frozen"}, "choose full, last:N"),
    ("gpt2", {"weights": "last:9"}, "the model has 2 layers"),
    ("gpt2", {"merge": True}, "merge is for lora"),
    ("gpt2", {"weights": "lora", "lora": {"targets": ["queri"]}}, "did you mean 'query'"),
    ("gpt2", {"train": "none.jsonl"}, "none.jsonl is not a file"),
    ("none", {}, "there is no model folder"),
]


@pytest.mark.parametrize(("model", "flags", "sentence"), REFUSED)
def test_refusals_leave_nothing(model, flags, sentence, tiny_models, files, tmp_path):
    with pytest.raises((SettingsError, DataError)) as refused:
        align(asked(tiny_models.get(model, model), files, **flags), tmp_path / "run", quiet=True)
    assert sentence in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_model_that_reads_prompts_in_both_directions_is_refused(tiny_models, files, tmp_path):
    folder = Path(shutil.copytree(tiny_models["gpt2"], tmp_path / "model"))
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**written, "bidirectional_prompt": True}))
    with pytest.raises(SettingsError, match="set bidirectional_prompt to false in its config.json"):
        align(asked(folder, files), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_settings_are_checked():
    for given, sentence in (("training.batch=0", "at least 1"), ("method.length=1", "at least 2"),
                            ("method.beta=1", "method.beta"), ("training.epochs=-1", "above 0")):  # fmt: skip
        with pytest.raises(SettingsError, match=sentence):
            alignment("sft", {"model": "m", "train": "t"}, [given])
    with pytest.raises(SettingsError, match="there is no method 'stf': choose one of sft"):
        alignment("stf", {"model": "m", "train": "t"})
    assert alignment("sft", {"model": "m", "train": "t"}).training.epochs == 3
    assert alignment("sft", {"model": "m", "train": "t"}, ["training.steps=5"]).training.epochs is None
    assert "sft" in METHODS


def test_a_resumed_run_asks_for_what_it_was_made_from(tiny_models, files, tmp_path):
    align(asked(tiny_models["gpt2"], files), tmp_path / "run", quiet=True)
    again = align(None, tmp_path / "run", resume=True, quiet=True)
    assert again.steps == 6 and [line["kind"] for line in again.history].count("judged") == 2
    train = Path(files[0])
    train.write_text(train.read_text().replace("list", "dict"))
    with pytest.raises(SettingsError, match=r"train\.jsonl is not what the run was begun with"):
        align(None, tmp_path / "run", resume=True, quiet=True)
    with pytest.raises(SettingsError, match="holds no run to resume"):
        align(None, tmp_path / "none", resume=True, quiet=True)
