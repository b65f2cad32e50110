"""Small random models of transformers, in float32, eager attention, eval mode: what ours are held against."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from trivium.families import FAMILIES, Family
from trivium.transformer import Inputs, Tokens, TransformerConfig

sys.path.insert(0, str(Path(__file__).parent))  # for hub_server

V = 61
DECODER_START = {"decoder_start_token_id": 0}
GPT2_TOKENS = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
LLAMAS = {
    "vocabulary": transformers.LlamaForCausalLM,
    "body": transformers.LlamaModel,
    "sequence": transformers.LlamaForSequenceClassification,
}


@dataclass(frozen=True)
class Case:
    family: str
    settings: dict
    classes: dict  # on top -> class
    config_class: type = transformers.BertConfig

    @property
    def stacks(self) -> str:
        return stacks_of(self.family)

    def reference(self, on_top: str = "vocabulary", seed: int = 0, **settings: object) -> torch.nn.Module:
        config = self.config_class(vocab_size=V, **self.settings, **settings)
        config._attn_implementation = "eager"
        torch.manual_seed(seed)
        model = self.classes[on_top](config).eval()
        for name, parameter in model.named_parameters():  # larger than the default, so that every part matters
            a_norm = "norm" in name.lower() or ".ln_" in name
            parameter.data.normal_(1.0 if a_norm and "weight" in name else 0.0, 0.1)
        for name, buffer in model.named_buffers():
            if name == "final_logits_bias":
                buffer.normal_()
        return model

    @property
    def table(self) -> Family:
        return FAMILIES[self.family]


CASES = {
    "bert": Case(
        "bert",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
         "max_position_embeddings": 40},
        {"vocabulary": transformers.BertForMaskedLM, "body": transformers.BertModel,
         "sequence": transformers.BertForSequenceClassification, "pretraining": transformers.BertForPreTraining},
    ),
    "bert-tanh": Case(
        "bert",
        {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20,
         "hidden_act": "gelu_new", "type_vocab_size": 3, "max_position_embeddings": 20},
        {"vocabulary": transformers.BertForMaskedLM},
    ),
    "roberta": Case(
        "roberta",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
         "max_position_embeddings": 42, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
        {"vocabulary": transformers.RobertaForMaskedLM, "body": transformers.RobertaModel},
        transformers.RobertaConfig,
    ),
    "distilbert": Case(
        "distilbert",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40},
        {"vocabulary": transformers.DistilBertForMaskedLM, "body": transformers.DistilBertModel},
        transformers.DistilBertConfig,
    ),
    "distilbert-relu": Case(
        "distilbert",
        {"dim": 24, "n_layers": 1, "n_heads": 2, "hidden_dim": 20, "max_position_embeddings": 20, "activation": "relu"},
        {"vocabulary": transformers.DistilBertForMaskedLM},
        transformers.DistilBertConfig,
    ),
    "gpt1": Case(
        "gpt1",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, "pad_token_id": 0},
        {"vocabulary": transformers.OpenAIGPTLMHeadModel, "body": transformers.OpenAIGPTModel,
         "sequence": transformers.OpenAIGPTForSequenceClassification},
        transformers.OpenAIGPTConfig,
    ),
    "gpt1-untied": Case(
        "gpt1",
        {"n_embd": 24, "n_layer": 1, "n_head": 2, "n_positions": 40, "afn": "silu", "tie_word_embeddings": False,
         "pad_token_id": 0},
        {"vocabulary": transformers.OpenAIGPTLMHeadModel},
        transformers.OpenAIGPTConfig,
    ),
    "gpt2": Case(
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, **GPT2_TOKENS},
        {"vocabulary": transformers.GPT2LMHeadModel, "body": transformers.GPT2Model,
         "sequence": transformers.GPT2ForSequenceClassification},
        transformers.GPT2Config,
    ),
    "gpt2-untied": Case(
        "gpt2",
        {"n_embd": 24, "n_layer": 3, "n_head": 2, "n_inner": 40, "n_positions": 40, "activation_function": "relu",
         "tie_word_embeddings": False, **GPT2_TOKENS},
        {"vocabulary": transformers.GPT2LMHeadModel},
        transformers.GPT2Config,
    ),
    "t5": Case(
        "t5",
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, **DECODER_START},
        {"vocabulary": transformers.T5ForConditionalGeneration},
        transformers.T5Config,
    ),
    "t5-gated": Case(
        "t5",
        {"d_model": 32, "d_kv": 12, "d_ff": 48, "num_layers": 1, "num_decoder_layers": 3, "num_heads": 2,
         "feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 8,
         "relative_attention_max_distance": 20, **DECODER_START},
        {"vocabulary": transformers.T5ForConditionalGeneration},
        transformers.T5Config,
    ),
    "bart": Case(
        "bart",
        {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 40},
        {"vocabulary": transformers.BartForConditionalGeneration, "body": transformers.BartModel},
        transformers.BartConfig,
    ),
    "bart-relu": Case(
        "bart",
        {"d_model": 24, "encoder_layers": 3, "decoder_layers": 1, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "max_position_embeddings": 30,
         "activation_function": "relu", "decoder_start_token_id": 5},
        {"vocabulary": transformers.BartForConditionalGeneration},
        transformers.BartConfig,
    ),
    "llama": Case(
        "llama",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
         "max_position_embeddings": 40, "pad_token_id": 0},
        LLAMAS,
        transformers.LlamaConfig,
    ),
    "llama-3.1": Case(
        "llama",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
         "intermediate_size": 40, "max_position_embeddings": 40, "tie_word_embeddings": True, "pad_token_id": 0,
         "rms_norm_eps": 1e-5, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0,
         "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 20}},
        LLAMAS,
        transformers.LlamaConfig,
    ),
    "qwen2": Case(
        "qwen2",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 48, "max_position_embeddings": 40, "pad_token_id": 0},
        {"vocabulary": transformers.Qwen2ForCausalLM, "body": transformers.Qwen2Model,
         "sequence": transformers.Qwen2ForSequenceClassification},
        transformers.Qwen2Config,
    ),
    "llama-linear": Case(
        "llama",
        {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 6, "num_key_value_heads": 3,
         "intermediate_size": 40, "max_position_embeddings": 40, "attention_bias": True, "mlp_bias": True,
         "pad_token_id": 0, "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.5}},
        LLAMAS,
        transformers.LlamaConfig,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class PaddedBatch:
    """Two rows of different lengths, padded on the right, under their names and ours."""

    theirs: dict[str, Tensor]
    ours: Inputs
    real: Tensor  # (B, T) bool, of the last stack
    source_real: Tensor | None
    labels: Tensor  # (B, T), -100 where nothing is asked


def padded(ids: Tensor, lengths: tuple[int, ...], pad: int = 0) -> tuple[Tensor, Tensor]:
    real = torch.arange(ids.shape[1])[None] < torch.tensor(lengths)[:, None]
    return torch.where(real, ids, pad), real


def stacks_of(family: str) -> str:
    """What transformers calls a model with a vocabulary: of an encoder, of a decoder, or of both."""
    if FAMILIES[family].config is not TransformerConfig:  # XLNet's class writes
        return "CausalLM"
    tiny = FAMILIES[family].sizes["tiny"]
    if "encoder_layers" in tiny:
        return "Seq2SeqLM" if "decoder_layers" in tiny else "MaskedLM"
    return "CausalLM"


def make_batch(family: str) -> PaddedBatch:
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randint(2, V, shape, generator=generator)

    base, stacks = FAMILIES[family].base, stacks_of(family)
    pad = int(base.get("pad_token", 0))
    ids, real = padded(draw(2, 17), (17, 9), pad)
    labels = torch.where(real & (torch.rand(2, 17, generator=generator) < 0.6), draw(2, 17), -100)
    side = Tokens(ids, real.long() - 1)
    if stacks == "CausalLM":
        return PaddedBatch({"input_ids": ids, "attention_mask": real.long()}, Inputs(target=side), real, None, labels)
    if stacks == "Seq2SeqLM":
        targets, target_real = padded(draw(2, 6), (4, 6), pad)
        theirs = {"input_ids": ids, "attention_mask": real.long(), "decoder_input_ids": targets,
                  "decoder_attention_mask": target_real.long()}  # fmt: skip
        labels = torch.where(target_real, draw(2, 6), -100)
        ours = Inputs(side, Tokens(targets, target_real.long() - 1))
        return PaddedBatch(theirs, ours, target_real, real, labels)
    if base.get("segments") != 2:
        return PaddedBatch({"input_ids": ids, "attention_mask": real.long()}, Inputs(side), real, None, labels)
    segments = (torch.arange(17) > 5).long().expand(2, 17)
    theirs = {"input_ids": ids, "attention_mask": real.long(), "token_type_ids": segments}
    return PaddedBatch(theirs, Inputs(Tokens(ids, real.long() - 1, segments=segments)), real, None, labels)


def assert_close(ours: Tensor, theirs: Tensor, what: str, tolerance: float = 1e-5) -> None:
    """The issue's measure: max |a - b| <= 1e-5 max |b| for each tensor."""
    assert ours.shape == theirs.shape, what
    difference, largest = (ours - theirs).abs().max().item(), theirs.abs().max().item()
    assert difference <= tolerance * largest, f"{what}: {difference} of {largest}"


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def cases() -> dict[str, Case]:
    return CASES


@pytest.fixture
def batch_for() -> Callable[[str], PaddedBatch]:
    return make_batch


@pytest.fixture(name="stacks_of")
def stacks_of_fixture() -> Callable[[str], str]:
    return stacks_of


@pytest.fixture
def close() -> Callable[..., None]:
    return assert_close


@pytest.fixture
def reference_folder(case: Case, tmp_path: Path) -> tuple[torch.nn.Module, Path]:
    """A model of theirs and the folder in which they saved it."""
    model = case.reference()
    model.save_pretrained(tmp_path / "theirs")
    return model, tmp_path / "theirs"
