"""A model's folder as Hugging Face lays it out, written and read: ``transformers`` opens ours and we open theirs.

``config.json``, ``model.safetensors``, ``generation_config.json``, the tokenizer's files and ``README.md`` as the model
card. What no class of ``transformers`` expresses is saved in the same layout with ``model_type`` "trivium".
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Protocol, get_args

import torch
from torch import Tensor, nn

from trivium.errors import DataError
from trivium.families import FAMILIES
from trivium.families.bodies import network
from trivium.families.card import model_card
from trivium.families.family import Family
from trivium.families.files import WEIGHTS, TensorFiles, read_json, write_json, write_tensors, write_text
from trivium.families.trivium import TRIVIUM, settings_in, settings_out
from trivium.families.weights import full_name, skipped, untrained, weights_in, weights_out
from trivium.tokenizers import Tokenizer, formats
from trivium.transformer import SEQUENCE, Config, Network, SequenceHead, TransformerConfig
from trivium.transformer.heads import Pooling

LISTED = 5  # tensors named in an error before "and N more"


@dataclass(frozen=True)
class Loaded:
    """A folder's content. ``family`` is the one under whose names it is saved again; ``labels`` of a classifier."""

    model: Network
    family: Family
    tokenizer: Tokenizer | None
    config: Config
    labels: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()  # tensors of the file that this model has no place for and does not need


def expressed_by(family: Family, model: Network) -> Family:
    """The family itself, or ``TRIVIUM`` where no class of ``transformers`` computes what this model computes."""
    heads = dict(model.heads.items())
    sequence = heads.pop(SEQUENCE, None)
    if heads or not family.expresses(model.config):
        return TRIVIUM
    if sequence is not None and not (isinstance(sequence, SequenceHead) and sequence.pooling == family.pooling):
        return TRIVIUM
    return family


def save(
    model: Network, family: Family, tokenizer: Tokenizer | None, directory: str | PathLike[str], *,
    state: Mapping[str, Tensor] | None = None, labels: Sequence[str] | None = None, card: str | None = None,
) -> Family:  # fmt: skip
    """Write the folder; each file appears whole or not at all, the weights last. Returns the family it was saved as.

    ``state``: tensors under our names to save instead of the model's own, such as float32 masters. ``labels``: names
    of a sequence head's classes. ``card``: the text of ``README.md``.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    family = expressed_by(family, model)
    tensors = weights_out({**untrained(model), **state} if state else model.state_dict(), family, model.config)
    write_json(folder / "config.json", config_out(model, family, tokenizer, labels, tensors.values()))
    write_json(folder / "generation_config.json", generation_out(model.config, tokenizer))
    if tokenizer is not None:
        tokenizer.save(folder)
    write_text(folder / "README.md", card or model_card(model, family, labels))
    write_tensors(folder / WEIGHTS, tensors)
    return family


def config_out(
    model: Network, family: Family, tokenizer: Tokenizer | None = None, labels: Sequence[str] | None = None,
    tensors: Collection[Tensor] = (),
) -> dict[str, object]:  # fmt: skip
    """``config.json``: the body's keys, the class that opens it, the labels, the control tokens."""
    head = model.heads[SEQUENCE] if SEQUENCE in model.heads else None
    on_top = "sequence" if head is not None else "vocabulary" if model.vocabulary is not None else "body"
    if family is TRIVIUM:
        out: dict[str, object] = {"model_type": TRIVIUM.hf_type, "trivium": settings_out(model.config)}
        if isinstance(head, SequenceHead):
            out["heads"] = {SEQUENCE: {"labels": head.labels, "pooling": head.pooling}}
            if head.mix is not None:
                out["heads"][SEQUENCE]["mix_norm"] = head.mix.norm  # type: ignore[index]
    else:
        assert isinstance(model.config, TransformerConfig)  # the family would not express another
        out = {"architectures": [family.architectures[on_top]], **family.config_out(model.config)}
    out |= _control_tokens(model.config, tokenizer)
    if isinstance(head, SequenceHead):
        names = list(labels) if labels is not None else [f"LABEL_{i}" for i in range(head.labels)]
        if len(names) != head.labels:
            raise DataError(f"{len(names)} labels were given for a head of {head.labels}: give one name for each")
        out["id2label"] = {str(i): name for i, name in enumerate(names)}
        out["label2id"] = {name: i for i, name in enumerate(names)}
    kind = next((tensor.dtype for tensor in tensors), next(model.parameters()).dtype)
    return {**out, "dtype": str(kind).removeprefix("torch."), "use_cache": True}


def generation_out(config: Config, tokenizer: Tokenizer | None) -> dict[str, object]:
    """``generation_config.json``."""
    return {key: value for key, value in _control_tokens(config, tokenizer).items() if value is not None}


def _control_tokens(config: Config, tokenizer: Tokenizer | None) -> dict[str, object]:
    out: dict[str, object] = {"pad_token_id": config.pad_token}
    out["bos_token_id"] = tokenizer.begin if tokenizer is not None else None
    out["eos_token_id"] = tokenizer.end if tokenizer is not None else None
    if config.start_token is not None:
        out["decoder_start_token_id"] = config.start_token
    return out


def load(
    directory: str | PathLike[str], *, heads: Mapping[str, nn.Module] | None = None,
    device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32,
) -> Loaded:  # fmt: skip
    """Open a folder, ours or another's. Names and shapes are checked before any memory is taken.

    ``heads``: modules of the caller's own to be filled; a sequence classifier's head is made from the folder.
    ``dtype`` None: as in the file.
    """
    folder = Path(directory)
    written = read_json(folder / "config.json")
    with TensorFiles(folder) as files:
        loaded = filled(files, written, folder, heads=heads, device=device, dtype=dtype)
    return with_tokenizer(loaded, Tokenizer.load(folder) if formats.has_tokenizer(folder) else None)


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
    renamed = {full_name(name, dict.fromkeys(files.names), family): name for name in files.names}
    config = config_in(written, family, renamed)
    labels = _labels(written, family)
    made = {**_heads(written, family, config, labels), **(heads or {})}
    with torch.device("meta"):
        model = network(config, made)
    expected = {k: tuple(t.shape) for k, t in weights_out(model.state_dict(), family, config).items()}
    left_out = _check(expected, {name: files.shape(own) for name, own in renamed.items()}, family, config, source)
    tensors = {name: files.read(renamed[name], device, dtype) for name in expected}
    model.load_state_dict(weights_in(tensors, family, config), assign=True)
    return Loaded(model, family, None, config, labels, left_out)


def with_tokenizer(loaded: Loaded, tokenizer: Tokenizer | None) -> Loaded:
    """What was loaded, with its vocabulary."""
    if tokenizer is not None:
        loaded.model.read_vocabulary(tokenizer)
    return replace(loaded, tokenizer=tokenizer)


def family_of(written: Mapping[str, object], folder: Path) -> Family:
    """By ``model_type``."""
    kind = written.get("model_type")
    known: dict[str, Family] = {}
    for family in (TRIVIUM, *FAMILIES.values()):
        known.setdefault(family.hf_type, family)  # of several in one layout the first
    if kind in known:
        return known[str(kind)]
    nearest = difflib.get_close_matches(str(kind), known, n=1, cutoff=0.0)[0]
    raise DataError(
        f"{folder / 'config.json'} has model_type {kind!r}, which Trivium does not read; the nearest that it does "
        f"is {nearest!r}, of {', '.join(known)}"
    )


def config_in(written: Mapping[str, object], family: Family, names: Collection[str] = ()) -> Config:
    """The configuration that ``config.json`` and the names of the tensors describe."""
    if family is not TRIVIUM:
        return family.config_in(written, names)
    settings = written.get("trivium")
    if not isinstance(settings, dict):
        raise DataError("config.json says model_type 'trivium' but has no table 'trivium' with its settings")
    return settings_in(settings)


def _labels(written: Mapping[str, object], family: Family) -> tuple[str, ...] | None:
    classes = written.get("architectures") or [None]
    is_classifier = classes[0] == family.architectures.get("sequence", "")  # type: ignore[index]
    if not is_classifier and not (family is TRIVIUM and "heads" in written):
        return None
    names = written.get("id2label")
    if not isinstance(names, dict):
        return tuple(f"LABEL_{i}" for i in range(int(str(written.get("num_labels", 2)))))
    if sorted(names, key=_number) != [str(i) for i in range(len(names))]:
        raise DataError("config.json's id2label does not number its labels from 0")
    return tuple(str(names[str(i)]) for i in range(len(names)))


def _number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdigit() else (-1, text)


def _heads(
    written: Mapping[str, object], family: Family, config: Config, labels: tuple[str, ...] | None
) -> dict[str, nn.Module]:
    if labels is None:
        return {}
    pooling, mix_norm = family.pooling, False
    if family is TRIVIUM:
        described = written["heads"]
        head = described.get(SEQUENCE) if isinstance(described, dict) else None
        pooling = head.get("pooling") if isinstance(head, dict) else None
        mix_norm = bool(head.get("mix_norm")) if isinstance(head, dict) else False
    if pooling not in get_args(Pooling):
        known = ", ".join(get_args(Pooling))
        raise DataError(f"config.json describes a head with pooling {pooling!r}: it must be one of {known}")
    with torch.device("meta"):
        return {SEQUENCE: SequenceHead(config, len(labels), pooling, mix_norm=mix_norm)}  # type: ignore[arg-type]


def _check(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], family: Family,
    config: Config, folder: Path,
) -> tuple[str, ...]:  # fmt: skip
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    left_out = [name for name in unexpected if skipped(name, family, config)]
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
    return f"{what}: {', '.join(names[:LISTED])}{more}" if names else ""
