"""``inspect``: parameters as the library counts them, attention as the reference computes it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from trivium.errors import SettingsError
from trivium.verbs.inspect import inspect_model, inspect_text

CLASSES = {
    "bert": transformers.BertForMaskedLM,
    "gpt2": transformers.GPT2LMHeadModel,
    "t5": transformers.T5ForConditionalGeneration,
}


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_are_those_of_the_reference(tiny_models: dict[str, Path], name: str) -> None:
    view = inspect_model(tiny_models[name])
    reference = CLASSES[name].from_pretrained(tiny_models[name])
    assert view.parameters == sum(weight.numel() for weight in reference.parameters())
    assert view.embedding_parameters == reference.get_input_embeddings().weight.numel()
    assert view.kind == {"bert": "encoder", "gpt2": "decoder", "t5": "encoder-decoder"}[name]


@pytest.mark.parametrize("name", CLASSES)
def test_attention_is_that_of_the_reference(tiny_models: dict[str, Path], name: str) -> None:
    view = inspect_text(tiny_models[name], "Every model reads tokens.")
    reference = CLASSES[name].from_pretrained(tiny_models[name], attn_implementation="eager").eval()
    given = {"input_ids": torch.tensor([view.ids]), "output_attentions": True}
    if name == "t5":
        given["decoder_input_ids"] = torch.zeros(1, 1, dtype=torch.long)
    with torch.no_grad():
        made = reference(**given)
    expected = made.encoder_attentions if name == "t5" else made.attentions
    expected = torch.stack(expected)[:, 0].numpy()  # (L, H, T, T)
    assert np.abs(view.attention.weights - expected).max() < 1e-5


def test_tokens_are_shown_as_the_model_reads_them(tiny_models: dict[str, Path]) -> None:
    assert inspect_text(tiny_models["bert"], "A list").tokens[0] == "<s>"
    assert inspect_text(tiny_models["t5"], "A list").tokens[-1] == "</s>"
    assert "".join(inspect_text(tiny_models["gpt2"], "A list").tokens) == "A list"


def test_a_text_longer_than_the_context_is_refused(tiny_models: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="reads at most 64"):
        inspect_text(tiny_models["gpt2"], "list " * 200)
