"""A model's folder as Hugging Face lays it out, written and read: ``transformers`` opens ours and we open theirs.

``config.json``, ``model.safetensors``, ``generation_config.json``, the tokenizer's files and ``README.md`` as the model
card. What no class of ``transformers`` expresses is saved in the same layout with ``model_type`` "trivium"; which heads
there are and how they are found again is told in ``heads.py``.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from trivium.errors import DataError, RefusedError
from trivium.families.bodies import outline
from trivium.families.card import model_card
from trivium.families.config_file import config_in, family_of, heads_in
from trivium.families.family import Family
from trivium.families.files import TensorFiles, write_json, write_tensors, write_text
from trivium.families.generation_config import GENERATION, GenerationConfig, read_generation
from trivium.families.heads import Labels, class_of, expresses_heads, heads_out, labels_of, made_heads
from trivium.families.inspection import inspect_folder
from trivium.families.model_folder import WEIGHTS, stored_tensors
from trivium.families.trivium import TRIVIUM, settings_out
from trivium.families.weights import body_prefix, full_names, plain_name, skipped, untrained, weights_in, weights_out
from trivium.tokenizers import Tokenizer
from trivium.transformer import SEQUENCE, Config, Network
from trivium.transformer.head_config import OF_OBJECTIVES
from trivium.vectors.room import physical_memory

LISTED = 5  # tensors named in an error before "and N more"


@dataclass(frozen=True)
class Loaded:
    """A folder's content. ``family`` is the one under whose names it is saved again."""

    model: Network
    family: Family
    tokenizer: Tokenizer | None
    config: Config
    head_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by head: the names of its labels
    problem: str | None = None  # what a head's labels are: "regression", "multi_label_classification" ...
    left_out: tuple[str, ...] = ()  # tensors of the file that this model has no place for and does not need
    generation: GenerationConfig = GenerationConfig()  # settings of generation that came with it

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Of a classifier of texts."""
        return self.head_labels.get(SEQUENCE)


def expressed_by(family: Family, model: Network) -> Family:
    """The family itself, or ``TRIVIUM`` where no class of ``transformers`` computes what this model computes."""
    return family if family.expresses(model.config) and expresses_heads(family, model) else TRIVIUM


def save(
    model: Network, family: Family, tokenizer: Tokenizer | None, directory: str | PathLike[str], *,
    state: Mapping[str, Tensor] | None = None, labels: Labels = None, problem: str | None = None,
    generation: GenerationConfig = GenerationConfig(), card: str | None = None,  # noqa: B008 (frozen)
) -> Family:  # fmt: skip
    """Write the folder; each file appears whole or not at all, the weights last. Returns the family it was saved as.

    ``state``: tensors under our names to save instead of the model's own, such as float32 masters. ``labels``: names
    of a head's labels, or of several heads' by head. ``problem`` and ``generation``: as ``Loaded`` has them, kept.
    ``card``: the text of ``README.md``.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    family = expressed_by(family, model)
    tensors = weights_out({**untrained(model), **state} if state else model.state_dict(), family, model.config)
    kept = generation.written
    settings = config_out(model, family, tokenizer, labels, tensors.values(), problem, kept)
    write_json(folder / "config.json", settings)
    write_json(folder / GENERATION, generation_out(model.config, tokenizer, kept))
    if tokenizer is not None:
        tokenizer.save(folder, segments=model.config.segments > 1)
    write_text(folder / "README.md", card or model_card(model, family, labels_of(model, labels)))
    write_tensors(folder / WEIGHTS, tensors)
    return family


def config_out(
    model: Network, family: Family, tokenizer: Tokenizer | None = None, labels: Labels = None,
    tensors: Collection[Tensor] = (), problem: str | None = None, generation: Mapping[str, object] | None = None,
) -> dict[str, object]:  # fmt: skip
    """``config.json``: the body's keys, the class that opens it, the heads and their labels, the control tokens."""
    if family is TRIVIUM:
        out: dict[str, object] = {"model_type": TRIVIUM.hf_type, "trivium": settings_out(model.config)}
    else:
        out = {"architectures": [class_of(family, model)], **family.config_out(model.config)}
    out |= heads_out(model, family, labels, problem)
    out |= _control_tokens(model.config, tokenizer, generation)
    kind = next((tensor.dtype for tensor in tensors), next(model.parameters()).dtype)
    return {**out, "dtype": str(kind).removeprefix("torch."), "use_cache": True}


def generation_out(
    config: Config, tokenizer: Tokenizer | None, generation: Mapping[str, object] | None = None
) -> dict[str, object]:
    """``generation_config.json``: what came with the model is kept."""
    out = _control_tokens(config, tokenizer, generation)
    return {key: value for key, value in {**out, **(generation or {})}.items() if value is not None}


def _control_tokens(
    config: Config, tokenizer: Tokenizer | None, generation: Mapping[str, object] | None
) -> dict[str, object]:
    """Without a tokenizer those that came with the model; a token that nobody knows is left to their class."""
    out: dict[str, object] = {"pad_token_id": config.pad_token}
    if tokenizer is not None:
        out |= {"bos_token_id": tokenizer.begin, "eos_token_id": tokenizer.end}
    out |= {key: generation[key] for key in ("bos_token_id", "eos_token_id") if generation and key in generation}
    if config.start_token is not None:
        out["decoder_start_token_id"] = config.start_token
    return out


def load(
    directory: str | PathLike[str], *, heads: Mapping[str, nn.Module] | None = None,
    device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32,
) -> Loaded:  # fmt: skip
    """Open a folder, ours or another's. Its files, names and shapes are checked before any memory is taken.

    ``heads``: modules of the caller's own to be filled; a sequence classifier's head is made from the folder.
    ``dtype`` None: as in the file.
    """
    folder = Path(directory)
    found = inspect_folder(folder)
    with TensorFiles(found.tensors) as files:
        loaded = filled(files, found.written, folder, heads=heads, device=device, dtype=dtype)
    loaded = replace(loaded, generation=read_generation(folder, found.written, loaded.config.vocab_size))
    return with_tokenizer(loaded, found.tokenizer)


def add_heads(model: Network, heads: Mapping[str, nn.Module], directory: Path) -> None:
    """Gives a model from a folder the heads of objectives whose weights are there too, which ``load`` leaves out."""
    with TensorFiles(stored_tensors(directory)) as files:
        for name, head in heads.items():
            own = {each: f"heads.{name}.{each}" for each in head.state_dict()}
            if name in OF_OBJECTIVES and all(theirs in files.names for theirs in own.values()):
                head.load_state_dict({each: files.read(theirs, "cpu", torch.float32) for each, theirs in own.items()})
                model.heads[name] = head


class TensorSource(Protocol):
    """Where weights come from: names and shapes at once, a tensor when asked for."""

    @property
    def names(self) -> Collection[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> Tensor: ...


def filled(
    files: TensorSource, written: Mapping[str, object], source: Path, *, heads: Mapping[str, nn.Module] | None = None,
    device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32,
) -> Loaded:  # fmt: skip
    """The model that ``written``, the content of a ``config.json``, describes, with weights under Hugging Face's names.
    ``source`` is what errors name."""
    family = family_of(written, source)
    described = heads_in(written, family)
    prefix = body_prefix(family, described)
    renamed = full_names(files.names, family, prefix)
    config = config_in(written, family, {plain_name(name, family, prefix) for name in renamed}, source)
    if config.tied:  # a file may hold a shared tensor under its second name alone
        for second, first in family.aliases.items():
            if first not in renamed and second in renamed:
                renamed[first] = renamed.pop(second)
    shapes = {name: files.shape(own) for name, own in renamed.items()}
    made, labels, problem = made_heads(written, family, config, described, shapes)
    model = outline(config, {**made, **(heads or {})})
    expected = {k: tuple(t.shape) for k, t in weights_out(model.state_dict(), family, config).items()}
    left_out = _check(expected, shapes, family, config, source, prefix)
    check_memory(sum(map(math.prod, expected.values())), device, dtype, source)
    tensors = {name: files.read(renamed[name], device, dtype) for name in expected}
    model.load_state_dict(weights_in(tensors, family, config, tuple(model.heads)), assign=True)
    return Loaded(model, family, None, config, labels, problem, left_out)


def with_tokenizer(loaded: Loaded, tokenizer: Tokenizer | None) -> Loaded:
    """What was loaded, with its vocabulary."""
    if tokenizer is not None:
        loaded.model.read_vocabulary(tokenizer)
    return replace(loaded, tokenizer=tokenizer)


def _check(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], family: Family,
    config: Config, folder: Path, prefix: str | None,
) -> tuple[str, ...]:  # fmt: skip
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    left_out = dict.fromkeys(name for name in unexpected if skipped(plain_name(name, family, prefix), family, config))
    problems = [
        _listing("missing", missing),
        _listing("unexpected", [name for name in unexpected if name not in left_out]),
        _listing(
            "wrong in shape",
            [
                f"{name} {found[name]} instead of {shape}"
                for name, shape in expected.items()
                if name in found and found[name] != shape
            ],
        ),
    ]
    if any(problems):
        raise DataError(
            f"the weights in {folder} do not fit its config.json: {'; '.join(filter(None, problems))}: "
            "get both files from the same model"
        )
    return tuple(left_out)


def _listing(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    shown = [name if name.isprintable() else repr(name) for name in names[:LISTED]]
    return f"{what}: {', '.join(shown)}{more}" if names else ""


def check_memory(
    numbers: int, device: torch.device | str, dtype: torch.dtype | None, source: Path, present: int | None = None
) -> None:
    """Refuses so many weights where this machine's memory (``present`` bytes) cannot hold them."""
    present = physical_memory() if present is None else present
    needed = numbers * (dtype or torch.float32).itemsize
    if present is not None and torch.device(device).type == "cpu" and needed > present:
        raise RefusedError(
            f"the weights of {source} take {needed / 1e9:,.1f} GB of memory and this machine has "
            f"{present / 1e9:,.1f} GB: choose bfloat16, a GGUF file of fewer bits, or a smaller model"
        )
