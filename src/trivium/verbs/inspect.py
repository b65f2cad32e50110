"""``trivium inspect``: what a model is made of, and where it looks when it reads a text."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from trivium.errors import SettingsError
from trivium.generation.prompts import opening, source_ids, start_token
from trivium.transformer import Inputs, Record, Tokens
from trivium.verbs.load import LanguageModel, load
from trivium.views import AttentionView, attention


@dataclass(frozen=True)
class Part:
    """One weight: its name, shape and how many numbers it holds."""

    name: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class ModelView:
    """A model in figures. Weights that are shared (tied) are counted once."""

    family: str
    kind: str
    parameters: int
    embedding_parameters: int
    config: dict[str, Any]
    parts: list[Part]


@dataclass(frozen=True)
class TextView:
    """One text in a model: its tokens, and the attention of every layer and head."""

    tokens: list[str]
    ids: list[int]
    attention: AttentionView

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for ``--json``."""
        return {"tokens": self.tokens, "ids": self.ids, "attention": self.attention.to_json()}


def inspect_model(model: str | Path | LanguageModel) -> ModelView:
    """Every weight with its shape, and the configuration."""
    loaded = load(model)
    parts = [Part(name, tuple(weight.shape), weight.numel()) for name, weight in loaded.model.named_parameters()]
    return ModelView(
        family=loaded.family.name,
        kind=loaded.kind,
        parameters=sum(part.parameters for part in parts),
        embedding_parameters=sum(weight.numel() for weight in loaded.model.tokens.parameters()),
        config=asdict(loaded.config),
        parts=parts,
    )


@torch.inference_mode()
def inspect_text(model: str | Path | LanguageModel, text: str) -> TextView:
    """The attention inside a model while it reads ``text``: in an encoder-decoder, that of its encoder."""
    loaded = load(model)
    tokenizer, device = loaded.tokenizer, next(loaded.model.parameters()).device
    stack: Literal["decoder", "encoder"] = "decoder" if loaded.kind == "decoder" else "encoder"
    if loaded.kind == "encoder":
        ids = tokenizer.encode(text, specials=True).ids
    else:
        plain = tokenizer.encode(text).ids
        ids = list(opening(tokenizer, plain) if loaded.kind == "decoder" else source_ids(tokenizer, plain))
    limit = loaded.config.limit
    if limit is not None and len(ids) > limit:
        raise SettingsError(f"the text has {len(ids)} tokens and the model reads at most {limit}: give a shorter one")
    read = Tokens(torch.tensor([ids], device=device))  # (1, T)
    if loaded.kind == "encoder-decoder":
        inputs = Inputs(source=read, target=Tokens(torch.tensor([[start_token(loaded.model)]], device=device)))
    else:
        inputs = Inputs(source=read) if loaded.kind == "encoder" else Inputs(target=read)
    record = Record.empty()
    loaded.model(inputs, record=record)
    if not (record.encoder_attention or record.decoder_attention):
        raise SettingsError(
            f"the model in {loaded.directory} has no attention to show: look at a word in its "
            "contexts with --word, or at its weights with trivium inspect model"
        )
    shown = [tokenizer.decode([number], skip_special=False) for number in ids]
    return TextView(shown, ids, attention(record, shown, stack=stack))


def attention_page(view: TextView, title: str) -> str:
    """The attention of a text as one offline HTML page."""
    from trivium.lab import Section, page
    from trivium.views import attention_picture

    picture = Section("Attention", [attention_picture(view.attention)], kicker=f"{view.attention.stack}")
    return page(title, [picture], subtitle=" ".join(view.tokens))
