"""GPT-2 and BERT in GGUF, held against the ``gguf`` package's names and transformers' own reading of our file."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers

from trivium.errors import DataError, SettingsError
from trivium.families.gguf import GgufFile, outgoing, write_gguf
from trivium.families.gguf_blocks import KINDS, WRITTEN, widened
from trivium.families.gguf_layouts import LAYOUTS, layout_out
from trivium.families.gguf_tensors import GgufTensors, write_model

GPT2 = {"vocab_size": 61, "n_embd": 64, "n_inner": 96, "n_layer": 3, "n_head": 4, "n_positions": 128}
BERT = {"vocab_size": 61, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "max_position_embeddings": 128}  # fmt: skip
ARCHITECTURES = {"llama": gguf.MODEL_ARCH.LLAMA, "gpt2": gguf.MODEL_ARCH.GPT2, "bert": gguf.MODEL_ARCH.BERT}


def gpt2(**settings: Any) -> transformers.GPT2LMHeadModel:
    torch.manual_seed(1)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2, **settings)).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0.0, 0.2)
    return model


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with GgufTensors(path) as tensors:
        assert all(tensors.shape(name) == tuple(tensors.read(name, "cpu", None).shape) for name in tensors.names)
        return tensors.config, {name: tensors.read(name, "cpu", None) for name in tensors.names}


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_names_are_those_of_the_converter(architecture: str) -> None:
    table = gguf.get_tensor_name_map(ARCHITECTURES[architecture], 30)
    layout = LAYOUTS[architecture]
    for own, theirs in layout.names:
        for number, ending in ((0, "weight"), (29, "bias")):
            name = theirs.replace("{n}", str(number)).replace("*", ending)
            bare = name.removeprefix("bert.")
            expected = table.get_name(bare, try_suffixes=(".weight", ".bias"))
            assert layout.name_out(name) == expected == own.replace("{n}", str(number)).replace("*", ending)
            assert layout.name_in(expected) == name


@pytest.mark.parametrize("settings", [{}, {"tie_word_embeddings": False}])
def test_a_gpt2_comes_back_whole_and_transformers_reads_it_alike(tmp_path: Path, settings: dict) -> None:
    model = gpt2(**settings)
    assert write_model(tmp_path / "a.gguf", model.config.to_dict(), model.state_dict(), {}, "F32") == ()
    config, tensors = read(tmp_path / "a.gguf")
    state = dict(model.state_dict())
    if not settings:
        del state["lm_head.weight"]
    assert set(tensors) == set(state) and all(torch.equal(tensors[name], tensor) for name, tensor in state.items())
    again = transformers.GPT2Config(**config)
    assert all(getattr(again, key) == value for key, value in {**GPT2, **settings}.items())
    # They look for a GPT-2's sizes under other keys than the file has, and so are told.
    theirs = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path, gguf_file="a.gguf", config=model.config, dtype=torch.float32
    ).eval()
    ids = torch.arange(1, 41)[None]
    with torch.no_grad():
        ours, found = model(ids).logits, theirs(ids).logits
    assert (ours - found).abs().max() <= 1e-5 * ours.abs().max()


def test_a_bert_without_what_has_no_place(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = transformers.BertForPreTraining(transformers.BertConfig(**BERT)).eval()
    state = {name: tensor for name, tensor in model.state_dict().items() if "decoder" not in name}
    left_out = write_model(tmp_path / "a.gguf", model.config.to_dict(), state, {}, "F32")
    config, tensors = read(tmp_path / "a.gguf")
    assert {name.split(".")[0] for name in left_out} == {"bert", "cls"} and "bert.pooler.dense.bias" in left_out
    assert set(tensors) | set(left_out) == set(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors.items())
    assert all(getattr(transformers.BertConfig(**config), key) == value for key, value in BERT.items())


def test_what_llama_cpp_would_compute_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="activation_function 'relu' cannot be written as GGUF"):
        layout_out("gpt2").metadata_out(gpt2(activation_function="relu").config.to_dict())
    with pytest.raises(SettingsError, match="hidden_act 'silu' cannot be written"):
        layout_out("bert").metadata_out(transformers.BertConfig(**BERT, hidden_act="silu").to_dict())


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("gpt2.context_length", 64, "position_embd.weight of another number of rows"),
        ("gpt2.attention.head_count", 65, "from 1 to 64"),
        ("gpt2.embedding_length", 63, "embedding_length is 63"),
        ("gpt2.attention.layer_norm_epsilon", 0.0, "not a number above 0"),
    ],
)
def test_settings_that_do_not_fit_are_said(tmp_path: Path, key: str, value: object, words: str) -> None:
    model = gpt2()
    write_model(tmp_path / "a.gguf", model.config.to_dict(), model.state_dict(), {key: value}, "F32")
    with GgufTensors(tmp_path / "a.gguf") as tensors, pytest.raises(DataError, match=words) as error:
        _ = tensors.config
    assert "the GPT-2 in" in str(error.value)


def test_bfloat16_is_rounded_as_torch_rounds(tmp_path: Path) -> None:
    values = torch.randn(8, 1000) * torch.logspace(-30, 30, 8)[:, None]
    write_gguf(tmp_path / "a.gguf", {}, [outgoing("t", (8, 1000), "BF16", values.numpy)])
    with GgufFile(tmp_path / "a.gguf") as file:
        assert torch.equal(torch.from_numpy(file.read("t")), values.bfloat16().float())
    packed = WRITTEN["BF16"].pack(np.float32([[1.0]]))  # type: ignore[misc]
    assert widened(KINDS[30], packed).tolist() == [1.0]
