"""A model written as ONNX, by torch's exporter: files, inputs and outputs are named as Hugging Face Optimum names them.

An encoder or a decoder is ``model.onnx``; an encoder-decoder ``encoder_model.onnx`` and ``decoder_model.onnx``. Batch
and sequence may have any size up to the model's context. A decoder's positions are counted from its attention mask, so
that it may be padded on either side. Left out: keys and values of the past as inputs, so a decoder reads all tokens
anew for each new one; and recurrent networks, whose loops over time have no length to be written with.
"""

import copy
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from trivium.errors import SettingsError, TriviumError
from trivium.extras import extra_module
from trivium.transformer import Inputs, Model, Network, Tokens
from trivium.transformer.head_config import SPAN
from trivium.transformer.span_head import SpanHead

OPSET = 18
LARGEST = 1 << 30  # bytes of weights in one file with the graph: protobuf ends at 2 GiB
EXTRA = "ONNX is written with the package onnxscript and checked with onnxruntime"


def onnx_packages() -> None:
    """A SettingsError where a package is missing that writing or reading needs."""
    for name in ("onnxscript", "onnxruntime"):
        extra_module(name, "export", EXTRA)


def check_expressible(model: Network) -> None:
    """A SettingsError where ``write_onnx`` has no form for such a network."""
    if not isinstance(model, Model):
        raise SettingsError(
            "only Transformers are written as ONNX: a recurrent network's loop over time has no form there; convert it "
            "to hf"
        )
    if len(model.heads) > 1 or (model.heads and model.encoder is not None and model.decoder is not None):
        raise SettingsError("only one head on an encoder or a decoder is written as ONNX: convert the model to hf")
    if any(isinstance(head, SpanHead) for head in model.heads.values()):
        raise SettingsError(
            "a head for spans is told which words there are, for which ONNX's form has no input: convert to hf"
        )


class OneStack(nn.Module):
    """An encoder or a decoder as a function of tensors alone."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.train(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> object:
        """(B, T) each -> what ``names_of`` lists."""
        model, decoder = self.model, self.model.decoder is not None
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0) if decoder else _places(input_ids)
        side = Tokens(input_ids, attention_mask - 1, positions, token_type_ids)
        heads = list(model.heads)
        at = "all" if model.vocabulary is not None and not heads else None
        out = model(Inputs(target=side) if decoder else Inputs(source=side), at=at, heads=heads)
        if out.heads is not None:
            scores = out.heads[heads[0]]
            return scores.unbind(-1) if heads == [SPAN] else scores
        if out.logits is None:
            return out.hidden
        return out.logits if decoder else (out.logits, out.hidden)


class EncoderSide(nn.Module):
    """The encoder of an encoder-decoder."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.train(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, S) each -> (B, S, W)."""
        model = self.model
        assert model.encoder is not None
        side = Tokens(input_ids, attention_mask - 1, _places(input_ids))
        hidden: Tensor = model.encoder(model.tokens(input_ids), side)
        return hidden


class DecoderSide(nn.Module):
    """Its decoder, over what the encoder gave."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.train(False)

    def forward(self, input_ids: Tensor, encoder_attention_mask: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        """(B, T), (B, S) and (B, S, W) -> (B, T, V), or (B, T, W) without a vocabulary projection."""
        model = self.model
        assert model.decoder is not None
        side = Tokens(input_ids, torch.zeros_like(input_ids), _places(input_ids))
        source = Tokens(encoder_attention_mask, encoder_attention_mask - 1)
        hidden: Tensor = model.decoder(model.tokens(input_ids), side, encoder_hidden_states, source)
        return hidden if model.vocabulary is None else model.logits(hidden, "all")


def _places(ids: Tensor) -> Tensor:
    return torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)


def write_onnx(model: Network, folder: Path, dtype: torch.dtype = torch.float32) -> list[Path]:
    """The graphs and weights of a model in a folder that is there. ``dtype``: float32 or float16."""
    onnx_packages()
    check_expressible(model)
    assert isinstance(model, Model)
    body = model if dtype == torch.float32 else copy.deepcopy(model).to(dtype)
    most = max(2, model.config.context)
    batch, length = torch.export.Dim("batch_size"), torch.export.Dim("sequence_length", max=most)
    ids = torch.full((2, min(7, most)), model.config.pad_token)
    mask = torch.ones_like(ids)
    free = {0: batch, 1: length}
    on_top = "logits" if model.vocabulary is not None else "last_hidden_state"
    if model.encoder is None or model.decoder is None:
        given = {"input_ids": ids, "attention_mask": mask}
        if model.config.segments > 1:
            given["token_type_ids"] = torch.zeros_like(ids)
        names = ["logits", "last_hidden_state"] if on_top == "logits" and model.decoder is None else [on_top]
        if model.heads:
            names = ["start_logits", "end_logits"] if SPAN in model.heads else ["logits"]
        return _written(OneStack(body), folder / "model.onnx", given, dict.fromkeys(given, free), names)
    given = {"input_ids": ids, "attention_mask": mask}
    made = _written(EncoderSide(body), folder / "encoder_model.onnx", given, dict.fromkeys(given, free),
                    ["last_hidden_state"])  # fmt: skip
    source = {0: batch, 1: torch.export.Dim("encoder_sequence_length", max=most)}
    states = torch.zeros(*ids.shape, model.config.width, dtype=dtype)
    given = {"input_ids": ids[:, :-1], "encoder_attention_mask": mask, "encoder_hidden_states": states}
    shapes = {"input_ids": free, "encoder_attention_mask": source, "encoder_hidden_states": source}
    return made + _written(DecoderSide(body), folder / "decoder_model.onnx", given, shapes, [on_top])


def _written(
    module: nn.Module, path: Path, given: Mapping[str, Tensor], shapes: Mapping[str, object], outputs: list[str]
) -> list[Path]:
    size = sum(math.prod(each.shape) * each.element_size() for each in module.parameters())
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module, (), kwargs=dict(given), dynamic_shapes=dict(shapes), input_names=list(given), output_names=outputs,
            opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
        assert program is not None
        inputs = [(str(each.name), list(each.shape or ())[:2]) for each in program.model.graph.inputs]
        fixed = [name for name, sizes in inputs if any(isinstance(size, int) for size in sizes)]
        if fixed:  # the exporter says nothing when it fixes a size
            raise TriviumError(f"{path.name} came out with a fixed size of {', '.join(fixed)}: convert the model to hf")
        program.save(path, external_data=size > LARGEST)
    return sorted(path.parent.glob(f"{path.name}*"))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
