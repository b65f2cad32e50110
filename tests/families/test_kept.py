"""What a folder of theirs holds beside plain weights survives: parts, shared tensors, other sizes of the vocabulary,
settings of generation."""

import json

import pytest
import torch
import transformers

from trivium.families import GPT2
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import load, save

PLAIN = ("bert", "roberta", "distilbert", "gpt1", "gpt2", "llama", "llama-3.1", "t5", "t5-gated", "bart")
GENERATION = {
    "max_new_tokens": 7, "num_beams": 3, "length_penalty": 0.6, "no_repeat_ngram_size": 2, "eos_token_id": [1, 7],
    "early_stopping": True,
}  # fmt: skip


def logits(model, batch):
    with torch.no_grad():
        return model(batch.ours, at="all").logits[batch.real]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("size", [70, 50])
def test_a_vocabulary_resized_by_them(name, size, cases, batch_for, close, tmp_path):
    """New rows of the embeddings, of what is tied to them, of biases and of stored numbers; or fewer of them."""
    theirs = cases[name].reference().eval()
    theirs.resize_token_embeddings(size, mean_resizing=False)
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    assert loaded.config.vocab_size == loaded.model.tokens.weight.shape[0] == size
    batch = batch_for(name.partition("-")[0])
    for side in (batch.ours.source, batch.ours.target):
        if side is not None:
            side.ids.clamp_(max=size - 1)
    for key in ("input_ids", "decoder_input_ids"):
        if key in batch.theirs:
            batch.theirs[key].clamp_(max=size - 1)
    loaded.model.eval()
    close(logits(loaded.model, batch), theirs(**batch.theirs).logits[batch.real], "logits")
    assert save(loaded.model, loaded.family, None, tmp_path / "ours") is loaded.family
    opened, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    assert opened.get_input_embeddings().weight.shape[0] == size
    for (a, first), (b, second) in zip(opened.named_parameters(), theirs.named_parameters(), strict=True):
        assert a == b and torch.equal(first, second), a


@pytest.mark.parametrize("name", PLAIN)
def test_files_in_parts_with_shared_tensors_in_one(name, cases, batch_for, close, tmp_path):
    theirs = cases[name].reference()
    theirs.save_pretrained(tmp_path, max_shard_size="30KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    loaded = load(tmp_path)
    loaded.model.eval()
    tied = theirs.get_input_embeddings().weight is theirs.get_output_embeddings().weight
    assert tied == (loaded.model.vocabulary.projection is None)
    batch = batch_for(name.partition("-")[0])
    close(logits(loaded.model, batch), theirs(**batch.theirs).logits[batch.real], "logits")


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "bart"])
def test_settings_of_generation_are_kept(name, cases, tmp_path):
    theirs = cases[name].reference()
    theirs.generation_config.update(**GENERATION)
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    save(loaded.model, loaded.family, None, tmp_path / "ours", generation=loaded.generation)
    kept = transformers.AutoModelForCausalLM if name in ("gpt2", "llama") else transformers.AutoModelForSeq2SeqLM
    opened = kept.from_pretrained(tmp_path / "ours")
    expected = transformers.GenerationConfig.from_pretrained(tmp_path / "theirs").to_dict()
    found = opened.generation_config.to_dict()
    assert {key: found[key] for key in GENERATION} == GENERATION
    for key, value in expected.items():
        assert found[key] == value or value is None or key == "_from_model_config", key
    prompt = torch.tensor([[5, 9, 3]])
    first, second = (model.eval().generate(prompt) for model in (theirs, opened))
    assert first.tolist() == second.tolist()


def test_a_control_token_that_nobody_knows_is_left_to_their_class(tmp_path):
    save(initialise(network(GPT2.size("tiny", 61)), 0), GPT2, None, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert "eos_token_id" not in written and written["pad_token_id"] == 0


def test_damaged_settings_of_generation_are_named(tmp_path):
    from trivium.errors import DataError

    save(initialise(network(GPT2.size("tiny", 61)), 0), GPT2, None, tmp_path)
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(DataError, match="generation_config"):
        load(tmp_path)
