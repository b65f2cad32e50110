"""What search and the rules of texts are held against: `transformers`, and each token by the whole text before it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from trivium.families import huggingface
from trivium.generation.prompts import Prompt, start_token
from trivium.generation.search import Search
from trivium.transformer import Inputs, Model, Network, Tokens

transformers = pytest.importorskip("transformers")

V, END = 40, 1
Tiny = Callable[..., Model]


def reference(kind: str, seed: int) -> torch.nn.Module:
    """A model of theirs with random weights, large enough to end texts and to prefer some."""
    shared: dict[str, object] = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": END}
    shared["attn_implementation"] = "eager"
    gpt = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    llama = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "intermediate_size": 48, "max_position_embeddings": 64}  # fmt: skip
    t5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0,
          "feed_forward_proj": "gated-gelu" if kind == "t5-gated" else "relu"}  # fmt: skip
    bart = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 64,
            "decoder_start_token_id": END, "forced_eos_token_id": None}  # fmt: skip
    torch.manual_seed(seed)
    model = {
        "gpt1": lambda: transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**gpt, **shared)),
        "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(**gpt, **shared)),
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**llama, **shared)),
        "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**llama, **shared)),
        "t5": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**t5, **shared)),
        "t5-gated": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**t5, **shared)),
        "bart": lambda: transformers.BartForConditionalGeneration(transformers.BartConfig(**bart, **shared)),
    }[kind]()
    for name, parameter in model.named_parameters():
        a_norm = ("norm" in name.lower() or ".ln_" in name) and "weight" in name
        parameter.data.normal_(1.0 if a_norm else 0.0, 0.25)
    return model.eval()


def opened(model: torch.nn.Module, folder: Path) -> Network:
    model.save_pretrained(folder)
    return huggingface.load(folder).model.eval()


def rows_of(seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, V, (length,), generator=generator).tolist() for length in (5, 3, 9, 4)]


def theirs(model: torch.nn.Module, rows: Sequence[Sequence[int]], ends: Sequence[int], **settings: object) -> object:
    """Padded with what never stands inside a text, for there padding is a part of n-grams."""
    widest, left, pad = max(map(len, rows)), not model.config.is_encoder_decoder, END
    fill = [[pad] * (widest - len(row)) for row in rows]
    ids = [[*f, *row] if left else [*row, *f] for f, row in zip(fill, rows, strict=True)]
    marks = [([0] * len(f), [1] * len(row)) for f, row in zip(fill, rows, strict=True)]
    seen = [[*f, *row] if left else [*row, *f] for f, row in marks]
    with torch.no_grad():
        return model.generate(
            torch.tensor(ids), attention_mask=torch.tensor(seen), do_sample=False, eos_token_id=list(ends),
            pad_token_id=pad, return_dict_in_generate=True, output_scores=True, **settings,
        )  # fmt: skip


def prompts_for(model: Network, rows: Sequence[Sequence[int]]) -> list[Prompt]:
    if model.config.encoder_layers:
        return [Prompt((start_token(model),), tuple(row)) for row in rows]
    return [Prompt(tuple(row)) for row in rows]


def words(settings: Search) -> dict[str, object]:
    """Our settings in their words."""
    return {
        "num_beams": settings.beams, "max_new_tokens": settings.max_tokens, "min_new_tokens": settings.min_tokens,
        "length_penalty": settings.length_penalty, "early_stopping": settings.early_stopping,
        "no_repeat_ngram_size": settings.no_repeat_ngram, "repetition_penalty": settings.repetition_penalty,
    }  # fmt: skip


@torch.no_grad()
def after(model: Network, prompt: Prompt, tokens: tuple[int, ...]) -> list[float]:
    """Log-probabilities of the next token: the whole text, without cache, padding or batch."""
    source = Tokens(torch.tensor([prompt.source])) if prompt.source else None
    target = Tokens(torch.tensor([[*prompt.ids, *tokens]]))
    logits = model(Inputs(source, target), at="all").logits
    assert logits is not None
    return [float(value) for value in logits[0, -1].double().log_softmax(0)]
