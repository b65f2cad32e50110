"""Going on from a pretrained model: its numbers at the start, new rows, what is measured, and what is refused."""

import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import trivium
from trivium.errors import DataError, SettingsError, TriviumError
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import save
from trivium.families.llama import LLAMA
from trivium.settings import build, dump
from trivium.text.shards import Shards
from trivium.tokenizers import train_bpe
from trivium.verbs.pretrain import PretrainResult, pretrain
from trivium.verbs.recipe import From, Recipe, load_recipe, read_recipe

OBJECTIVES = {"gpt2": "causal", "bert": "masked", "t5": "corruption", "lstm": "causal", "elmo": "bidirectional"}
WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()


def texts(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(20, 60))).capitalize() + "." for _ in range(count)]


NEW = [text.replace("the", "wherefore").replace("cat", "Romeo") for text in texts(60, 7)]


def written(path: Path, documents: list[str]) -> Path:
    path.write_text("\n".join(json.dumps({"text": text}) for text in documents))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("continuing")
    written(made / "old.jsonl", texts(60))
    written(made / "new.jsonl", NEW)
    for family, objective in OBJECTIVES.items():
        pretrain(recipe(family, objective, made / "old.jsonl"), made / family, quiet=True)
    return made


def recipe(family: str, objective: str, data: Path, given: From | None = None, **training: object) -> Recipe:
    """A model of some ten thousand parameters for 4 steps."""
    tables: dict = {
        "data": {"files": [str(data)], "heldout": 0.1},
        "tokenizer": {"vocab_size": 320},
        "model": {"family": family, "size": "tiny", "context": 32},
        "objective": {"kind": objective},
        "training": {
            "steps": 4,
            "batch_tokens": 256,
            "precision": "float32",
            "device": "cpu",
            "optimizer": {"kind": "adamw", "learning_rate": 0.01},
            **training,
        },
    }
    return replace(build(Recipe, tables), from_=given)


def go_on(folder: Path, out: Path, family: str = "gpt2", **given: object) -> PretrainResult:
    source = From(str(folder / family), **given)  # type: ignore[arg-type]
    asked = recipe(family, OBJECTIVES.get(family, "causal"), folder / "new.jsonl", source, keep=9)
    return pretrain(asked, out, quiet=True)


def judged(run: PretrainResult, step: int) -> dict:
    return next(line for line in run.history if line["kind"] == "judged" and line["step"] == step)


@pytest.mark.parametrize("family", list(OBJECTIVES))
def test_a_run_begins_with_the_source_s_weights_and_figure(folder: Path, tmp_path: Path, family: str) -> None:
    run = go_on(folder, tmp_path / "run", family)
    begun = load_file(run.directory / "checkpoints" / "step-00000000" / "model.safetensors")
    source = load_file(folder / family / "model.safetensors")
    assert begun.keys() == source.keys() and all(torch.equal(begun[name], source[name]) for name in source)
    evaluated = [json.loads(line) for line in (folder / family / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(evaluated) if line["kind"] == "evaluation")
    first = judged(run, 0)
    assert first["old"] == pytest.approx(last[first["figure"]], rel=1e-6)
    assert run.continued is not None and run.continued.new is not None and run.continued.old is not None
    assert run.continued.old.before == first["old"] and run.continued.new.after == judged(run, 4)["new"]
    assert run.continued.new.after < run.continued.new.before
    assert f"from {folder / family}: " in run.continued.sentence()
    assert run.continued.sentence().split(": ", 1)[1] in (run.directory / "README.md").read_text()
    assert trivium.load(run.directory).config == run.config


def test_bits_per_byte_are_those_of_another_program(folder: Path, tmp_path: Path) -> None:
    run = go_on(folder, tmp_path / "run", extend_vocabulary=10)
    shards = Shards.open(run.directory / "data" / "judged" / "old")
    last = AutoModelForCausalLM.from_pretrained(run.directory)
    assert judged(run, 4)["old"] == pytest.approx(bits(last, shards.tokens.tolist(), shards.text_bytes), rel=1e-4)
    tokenizer = trivium.Tokenizer.load(folder / "gpt2")
    old = [run.tokenizer.decode(shards.document(n)) for n in range(shards.documents)]
    ids = [number for part in tokenizer.encode_batch(old) for number in [*part, tokenizer.end]]
    source = AutoModelForCausalLM.from_pretrained(folder / "gpt2")
    assert judged(run, 0)["old"] == pytest.approx(bits(source, ids, shards.text_bytes), rel=1e-4)


def bits(model: torch.nn.Module, ids: list[int], size: int, length: int = 32) -> float:
    nats = 0.0
    for start in range(0, len(ids) - 1, length):
        window = torch.tensor([ids[start : start + length + 1]])
        with torch.no_grad():
            logits = model(window[:, :-1]).logits[0]
        nats += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
    return nats / math.log(2) / size


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_of_their_pieces_rows(folder: Path, tmp_path: Path, tied: bool) -> None:
    tokenizer = train_bpe(texts(60), 320)
    config = LLAMA.size("tiny", 330, tied=tied, pad_token=tokenizer.pad)  # ten rows more than tokens
    save(initialise(network(config), 3), LLAMA, tokenizer, tmp_path / "source")
    given = From(str(tmp_path / "source"), extend_vocabulary=16)
    run = pretrain(
        recipe("gpt2", "causal", folder / "new.jsonl", given), tmp_path / "run", quiet=True
    )  # the family is the source's
    assert run.family is LLAMA and run.config.vocab_size == 336 == run.tokenizer.vocab_size
    old = load_file(tmp_path / "source" / "model.safetensors")
    new = load_file(run.directory / "checkpoints" / "step-00000000" / "model.safetensors")
    for name in ["model.embed_tokens.weight"] + ([] if tied else ["lm_head.weight"]):
        assert torch.equal(new[name][:320], old[name][:320])
        for number in range(320, 336):
            pieces = tokenizer.encode(run.tokenizer.decode([number])).ids
            expected = sum(old[name][piece] for piece in pieces) / len(pieces)
            torch.testing.assert_close(new[name][number], expected)
    assert AutoModelForCausalLM.from_pretrained(run.directory).config.vocab_size == 336
    saved = read_recipe(run.directory / "trivium.toml")
    assert (saved.model.family, saved.model.size, saved.tokenizer.vocab_size) == ("llama", "tiny", 336)
    assert saved.from_ is not None and saved.from_.rows == 330
    assert trivium.plan(run.directory).parameters == run.parameters


def test_padding_rows_and_a_chat_template_are_kept(folder: Path, tmp_path: Path) -> None:
    tokenizer = train_bpe(texts(60), 320)
    save(initialise(network(LLAMA.size("tiny", 384)), 3), LLAMA, tokenizer, tmp_path / "source")
    (tmp_path / "source" / "chat_template.jinja").write_text("{{ messages }}")
    run = pretrain(
        recipe("gpt2", "causal", folder / "new.jsonl", From(str(tmp_path / "source"))), tmp_path / "run",
        quiet=True,
    )  # fmt: skip
    assert (run.config.vocab_size, run.tokenizer.vocab_size) == (384, 320)
    assert (run.directory / "chat_template.jinja").read_text() == "{{ messages }}"


def test_a_longer_context_is_for_positions_that_are_not_learnt(folder: Path, tmp_path: Path) -> None:
    tokenizer = train_bpe(texts(60), 320)
    save(initialise(network(LLAMA.size("tiny", 320)), 3), LLAMA, tokenizer, tmp_path / "source")
    context = LLAMA.size("tiny", 320).context
    asked = recipe("gpt2", "causal", folder / "new.jsonl", From(str(tmp_path / "source")))
    longer = replace(asked, model=replace(asked.model, context=2 * context))
    assert pretrain(longer, tmp_path / "run", quiet=True).config.context == 2 * context
    learnt = replace(longer, from_=From(str(folder / "gpt2")), model=replace(asked.model, context=96))
    with pytest.raises(SettingsError, match=r"rows of 96 tokens .* set model.context=32 or less"):
        pretrain(learnt, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_once_begun_a_run_needs_no_source_and_no_old_text(folder: Path, tmp_path: Path) -> None:
    whole = go_on(folder, tmp_path / "whole", extend_vocabulary=8, old=(str(folder / "old.jsonl"),))
    shutil.copytree(folder / "gpt2", tmp_path / "source")
    old = written(tmp_path / "old.jsonl", texts(60))
    given = From(str(tmp_path / "source"), extend_vocabulary=8, old=(str(old),))
    asked = recipe("gpt2", "causal", folder / "new.jsonl", given, keep=9, checkpoint_every=2)

    def stop(step: object) -> None:
        raise RuntimeError("the machine went off")

    with pytest.raises(RuntimeError):
        pretrain(asked, tmp_path / "run", on_step=stop, quiet=True)
    shutil.rmtree(tmp_path / "source")
    old.unlink()
    resumed = pretrain(None, tmp_path / "run", resume=True, quiet=True)
    one, other = (load_file(path / "model.safetensors") for path in (whole.directory, resumed.directory))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.continued is not None and resumed.continued is not None
    assert (whole.continued.new, whole.continued.old) == (resumed.continued.new, resumed.continued.old)
    with pytest.raises(SettingsError, match=r"from.model"):
        pretrain(replace(asked, from_=replace(given, model="elsewhere")), tmp_path / "run", resume=True)


def test_an_encoder_s_missing_mask_is_added(folder: Path, tmp_path: Path) -> None:
    from trivium.families import BERT
    from trivium.tokenizers.specials import GPT2

    tokenizer = train_bpe(texts(60), 320, GPT2)
    save(initialise(network(BERT.size("tiny", 320, vocabulary_head="none")), 3), BERT, tokenizer, tmp_path / "source")
    asked = recipe("bert", "masked", folder / "new.jsonl", From(str(tmp_path / "source")))
    run = pretrain(asked, tmp_path / "run", quiet=True)
    assert run.tokenizer.mask == 320 and run.config.vocab_size == 321
    begun = load_file(run.directory / "checkpoints" / "step-00000000" / "model.safetensors")
    rows = begun["bert.embeddings.word_embeddings.weight"]
    assert (rows[320] - rows[:320].mean(0)).abs().max() < rows[:320].std()


BAD = {
    "absent": ({"model": "nowhere"}, {}, DataError, "there is no model folder nowhere"),
    "empty": ({"model": ""}, {}, SettingsError, "from.model is empty"),
    "negative": ({"extend_vocabulary": -1}, {}, SettingsError, "from.extend_vocabulary = -1"),
    "frequency": ({"min_frequency": 0}, {}, SettingsError, "from.min_frequency = 0"),
    "too many": ({"extend_vocabulary": 99_999}, {}, DataError, "supports only"),
    "other weights": ({"sha256": "0" * 64}, {}, SettingsError, "is not the model of the recipe"),
    "no old text": ({"old": ("nowhere.txt",)}, {}, DataError, "nowhere.txt does not exist"),
    "width": ({}, {"model": {"width": 64}}, SettingsError, "model.width = 64, but .* has 32: leave it out"),
    "cell": ({}, {"model": {"cell": "gru"}}, SettingsError, "model.cell = gru, but .* has no such field"),
    "objective": ({}, {"objective": {"kind": "masked"}}, SettingsError, "does not train .* objective.kind to causal"),
    "tokenizer": ({}, {"tokenizer": {"path": "x", "vocab_size": "none"}}, SettingsError, "keeps its own tokenizer"),
    "vectors": ({}, {"model": {"vectors": "x"}}, SettingsError, "learnt already"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    given, changes, kind, sentence = BAD[name]
    tables = dump(recipe("gpt2", "causal", folder / "new.jsonl"))
    for table, values in changes.items():
        tables[table] = {**(tables[table] if table != "objective" else {}), **values}
    tables["from"] = {"model": str(folder / "gpt2"), **given}
    with pytest.raises(kind, match=sentence) as error:
        pretrain(build(Recipe, tables), tmp_path / "run", quiet=True)
    assert isinstance(error.value, TriviumError) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_damaged_source_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "gpt2", tmp_path / "source")
    weights = tmp_path / "source" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    asked = recipe("gpt2", "causal", folder / "new.jsonl", From(str(tmp_path / "source")))
    with pytest.raises(DataError, match="damaged or cut short"):
        pretrain(asked, tmp_path / "run")
    shutil.copyfile(folder / "gpt2" / "model.safetensors", weights)
    train_bpe(texts(60), 321).save(tmp_path / "source")
    with pytest.raises(DataError, match="do not belong together"):
        pretrain(asked, tmp_path / "run")


def test_the_source_s_text_that_has_changed_is_not_judged(folder: Path, tmp_path: Path) -> None:
    old = written(tmp_path / "old.jsonl", texts(60))
    pretrain(recipe("gpt2", "causal", old), tmp_path / "source", quiet=True)
    written(old, texts(59))
    asked = recipe("gpt2", "causal", folder / "new.jsonl", From(str(tmp_path / "source")))
    run = pretrain(asked, tmp_path / "run", quiet=True)
    assert run.continued is not None and run.continued.old is None and run.continued.new is not None


def test_the_table_is_a_part_of_recipes() -> None:
    resolved = load_recipe("gpt2-mini", [], ["from.model=runs/a", "from.extend_vocabulary=64", "from.old=a.txt,b.txt"])
    assert resolved.recipe.from_ == From("runs/a", 64, old=("a.txt", "b.txt"))
    assert resolved.origins["from.extend_vocabulary"] == "--set"
    shown = {each.name: each.value for each in trivium.show_config("gpt2-mini", [], ["from.model=runs/a"])}
    assert shown["from.model"] == "runs/a" and shown["from.min_frequency"] == 2
    assert "from" in trivium.recipe_schema()["properties"] and "from" not in trivium.recipe_schema()["required"]
    assert "from" not in load_recipe("gpt2-mini").recipe.to_toml()
    with pytest.raises(SettingsError, match="from.modle: did you mean from.model"):
        load_recipe("gpt2-mini", [], ["from.modle=x"])
    with pytest.raises(SettingsError, match="from.model is missing"):
        load_recipe("gpt2-mini", [], ["from.extend_vocabulary=5"])
