"""A loaded model written in one of three formats, into a place that is nobody's yet."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from trivium.durable import replace_file
from trivium.errors import SettingsError
from trivium.families import TRIVIUM, Family
from trivium.families.chat_template import find_template
from trivium.families.files import write_json
from trivium.families.gguf import Precision
from trivium.families.gguf_layouts import layout_out
from trivium.families.gguf_tensors import write_model
from trivium.families.gguf_vocabulary import vocabulary_out
from trivium.families.huggingface import config_out, expressed_by, generation_out, save
from trivium.families.model_folder import read_json
from trivium.families.onnx import check_expressible, onnx_packages, write_onnx
from trivium.families.weights import weights_out
from trivium.transformer.head_config import LABELLED
from trivium.verbs.convert.readers import Format
from trivium.verbs.convert.stops import stop_ids
from trivium.verbs.load import LanguageModel

DTYPES: Mapping[Format, tuple[str, ...]] = {
    "hf": ("float32", "float16", "bfloat16"),
    "gguf": ("float32", "float16", "bfloat16", "q8_0"),
    "onnx": ("float32", "float16"),
}
"""The kinds of number that each format is written in."""

TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
GGUF: Mapping[str, Precision] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "q8_0": "Q8_0"}


def check_expressed(model: LanguageModel, to: Format) -> None:
    """Refuses a model that the format has no form for, before anything is written."""
    if to == "onnx":
        onnx_packages()
        check_expressible(model.model)
    if to == "gguf":
        if model.model.heads:
            raise SettingsError("a GGUF file has no place for a classifier's head: convert the model to hf or onnx")
        family = expressed_by(model.family, model.model)
        layout_out(family.hf_type).metadata_out(config_out(model.model, family, model.tokenizer))
        vocabulary_out(model.tokenizer)


def write(model: LanguageModel, path: Path, to: Format, dtype: str) -> tuple[Family, tuple[str, ...]]:
    """Returns the family under whose names it was written, and what the format has no place for."""
    if to == "gguf":
        return _gguf(model, path, GGUF[dtype])
    path.mkdir()
    if to == "hf":
        state = {name: _cast(tensor, TORCH[dtype]) for name, tensor in model.model.state_dict().items()}
        labels, problem = _labels(model)
        family = save(
            model.model, model.family, model.tokenizer, path, state=state, labels=labels, problem=problem,
            generation=model.generation,
        )  # fmt: skip
    else:
        family = expressed_by(model.family, model.model)
        labels, problem = _labels(model)
        config = config_out(model.model, family, model.tokenizer, labels, problem=problem)
        write_json(path / "config.json", config)
        model.tokenizer.save(path, context=model.config.context)
        write_onnx(model.model, path, TORCH[dtype])
    _beside(model, path)
    return family, _unsaid(model) if to == "onnx" else ()


def _unsaid(model: LanguageModel) -> tuple[str, ...]:
    """How a prompt is read, in formats whose prompts are read from left to right."""
    return ("bidirectional_prompt",) if model.config.bidirectional_prompt else ()


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _labels(model: LanguageModel) -> tuple[list[str] | None, str | None]:
    """What the source calls the labels of its head, and what kind they are."""
    if not model.model.heads:
        return None, None
    written = read_json(model.directory / "config.json")
    named, problem = written.get("id2label"), written.get("problem_type")
    labels = [str(named[str(number)]) for number in range(len(named))] if isinstance(named, dict) else None
    labelled = any(name in model.model.heads for name in LABELLED)
    return labels if labelled else None, None if problem is None else str(problem)


def _beside(model: LanguageModel, folder: Path) -> None:
    """How the model wants to be asked: its settings for generation, with all tokens that end an answer, and the
    template in which it was taught to talk."""
    settings = generation_out(model.config, model.tokenizer, model.generation.written)
    stops = stop_ids(model)
    if stops:
        settings["eos_token_id"] = stops[0] if len(stops) == 1 else stops
    write_json(folder / "generation_config.json", settings)
    template = find_template(model.directory)
    if template is not None:
        replace_file(folder / "chat_template.jinja", template.encode())


def _gguf(model: LanguageModel, path: Path, precision: Precision) -> tuple[Family, tuple[str, ...]]:
    family = expressed_by(model.family, model.model)
    assert family is not TRIVIUM  # check_expressed has seen that
    tensors = weights_out(model.model.state_dict(), family, model.config)
    config = json.loads(json.dumps(config_out(model.model, family, model.tokenizer)))
    said = {"general.name": model.directory.name.removesuffix(".gguf")}
    vocabulary = vocabulary_out(
        model.tokenizer, find_template(model.directory), size=model.config.vocab_size, stops=stop_ids(model)
    )
    left_out = write_model(path, config, tensors, {**said, **vocabulary}, precision)
    return family, (*left_out, *_unsaid(model))
