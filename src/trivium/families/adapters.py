"""LoRA adapters in PEFT's layout, written and read: ``adapter_config.json`` and ``adapter_model.safetensors``.

Tensors are called ``base_model.model.<their layer>.lora_A.weight`` and so on; parts that were learnt whole, such as a
head, have their own names after the prefix. Where one matrix of theirs joins several of ours (GPT-2's ``c_attn``), an
adapter of theirs has one A and the rows of B belong to ours, one after the other; adapters of ours become one of theirs
whose rank is the sum, with a B of blocks. Both are exact. What PEFT can hold and this cannot is refused by name.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trivium.durable import pieces_digest
from trivium.errors import DataError, SettingsError
from trivium.families.adapter_config import CONFIG, TENSORS, adapter_tensors, read_config
from trivium.families.family import Family
from trivium.families.files import TensorFiles, write_json, write_tensors
from trivium.families.tensor_bytes import tensor_pieces
from trivium.families.weights import Place, places
from trivium.transformer import SEQUENCE, SPAN, TOKEN, Network
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.lora import LowRank

PREFIX = "base_model.model."
TASK_TYPES = {SEQUENCE: "SEQ_CLS", TOKEN: "TOKEN_CLS", SPAN: "QUESTION_ANS"}
MATRICES = re.compile(r"(?P<module>.*)\.lora_(?P<embedding>embedding_)?(?P<which>[AB])(\.weight)?")


@dataclass(frozen=True, eq=False)
class Adapter:
    """What an adapter's file holds, under our names: matrices by layer, and tensors that were learnt whole."""

    parts: dict[str, LowRank]
    whole: dict[str, Tensor]


def fingerprint(model: nn.Module, but: Collection[str] = ()) -> str:
    """SHA-256 of a model's own parameters, without adapters and without those that are named."""
    own = {n: p.detach() for n, p in model.named_parameters() if ".adapters." not in n and n not in but}
    return pieces_digest(tensor_pieces(own))


def check_expressible(family: Family, layers: Collection[str]) -> None:
    """Refuses what PEFT has no place for."""
    shared = {row.theirs for row in family.weights if row.parts == ("tokens.weight",)} & set(family.aliases.values())
    apart = {part.removesuffix(".weight") for row in family.weights if row.heads_apart for part in row.parts}
    if any(re.fullmatch(re.escape(name).replace(r"\{n\}", r"\d+"), layer) for name in apart for layer in layers):
        raise SettingsError(
            f"transformers keeps attention's matrices of {family.name} outside any layer, so that PEFT's format has no "
            "place for adapters at them: choose feed_forward layers in lora.targets, or merge"
        )
    if "tokens" in layers and shared and any(name.endswith("embed_tokens.weight") for name in family.aliases):
        raise SettingsError(
            "in transformers the encoder and the decoder of this family each read the token embeddings through a layer "
            "of their own, so that PEFT's format has no place for an adapter at tokens: leave it out of lora.targets, "
            "or merge"
        )


def save_adapter(
    model: Network, family: Family, folder: Path, *, base: str, name: str = DEFAULT, whole: Collection[str] = ()
) -> int:
    """Writes one adapter of ``model`` and returns the size of its tensors' file. ``whole``: names of parameters that
    were learnt whole; ``base``: where its base is. ``family``: the one that expresses the model."""
    parts = Adapters(model).parts(name)
    check_expressible(family, parts)
    state = {n: t for n, t in model.state_dict().items() if ".adapters." not in n}
    layout = places(state, family, model.config)
    tensors: dict[str, Tensor] = {}
    written: dict[str, LowRank] = {}
    saved: list[str] = []
    for theirs, place in layout.items():
        here = [parts.get(ours.removesuffix(".weight")) if ours.endswith(".weight") else None for ours in place.ours]
        module = theirs.rpartition(".")[0]
        if any(here):
            written[module] = joined(here, [len(state[ours]) for ours in place.ours])
            if isinstance(model.get_submodule(place.ours[0].rpartition(".")[0]), nn.Embedding):
                a, b = f"{module}.lora_embedding_A", f"{module}.lora_embedding_B"
            else:
                a, b = f"{module}.lora_A.weight", f"{module}.lora_B.weight"
            tensors |= {PREFIX + a: written[module].A.detach(), PREFIX + b: written[module].B.detach()}
        if set(place.ours) & set(whole):
            pieces = [state[ours] for ours in place.ours]
            tensor = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
            tensors[PREFIX + theirs] = tensor.t() if place.transposed and tensor.ndim == 2 else tensor
            # A head is one module of theirs, whatever it is made of; other parts are named to the last layer.
            saved.append(module.partition(".")[0] if place.ours[0].startswith("heads.") and family.weights else module)
    dropout = next(iter(parts.values())).dropout
    transposed = any(place.transposed for n, place in layout.items() if n.rpartition(".")[0] in written)
    settings = _settings(model, base, written, list(dict.fromkeys(saved)), [n for n in layout if n.endswith(".weight")])
    write_json(folder / CONFIG, {**settings, "lora_dropout": dropout, "fan_in_fan_out": transposed})
    write_tensors(folder / TENSORS, tensors)
    return (folder / TENSORS).stat().st_size


def _settings(
    model: Network, base: str, written: Mapping[str, LowRank], saved: list[str], matrices: Sequence[str]
) -> dict[str, object]:
    ranks = {module: part.rank for module, part in written.items()}
    alphas = {module: _whole(part.scale * part.rank) for module, part in written.items()}
    rank, alpha = (Counter(found.values()).most_common(1)[0][0] for found in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": _task_type(model),
        "base_model_name_or_path": base,
        "inference_mode": True,
        "bias": "none",
        "init_lora_weights": True,
        "use_rslora": False,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {module: r for module, r in ranks.items() if r != rank},
        "alpha_pattern": {module: a for module, a in alphas.items() if a != alpha},
        "target_modules": _targets(written, [name.removesuffix(".weight") for name in matrices]),
        "modules_to_save": saved or None,
    }


def _whole(alpha: float) -> float:
    return round(alpha) if abs(alpha - round(alpha)) < 1e-9 * alpha else alpha


def _targets(written: Collection[str], modules: Sequence[str]) -> list[str]:
    """The last words of the layers' names where they name just these, else whole names."""
    found: list[str] = []
    for end in sorted({name.rpartition(".")[2] for name in written}):
        ours = [name for name in written if name.rpartition(".")[2] == end]
        found += [end] if set(ours) == {name for name in modules if name.rpartition(".")[2] == end} else ours
    return found


def _task_type(model: Network) -> str | None:
    for head, task in TASK_TYPES.items():
        if head in model.heads:
            return task
    if model.heads:
        return None
    if model.vocabulary is None:
        return "FEATURE_EXTRACTION"
    if not model.config.decoder_layers:
        return None
    return "SEQ_2_SEQ_LM" if model.config.encoder_layers else "CAUSAL_LM"


def joined(parts: Sequence[LowRank | None], rows: Sequence[int]) -> LowRank:
    """One adapter for matrices that are joined along the output, which have so many ``rows``; None: none of its own."""
    there = [part for part in parts if part is not None]
    first = there[0]
    if len(parts) == 1:
        return first
    same = [part.scale == first.scale and torch.equal(part.A, first.A) for part in there]
    if len(there) == len(parts) and all(same):
        return LowRank(first.A.detach(), torch.cat([part.B.detach() for part in there]), first.scale)
    blocks = [
        part.B.detach() * (part.scale / first.scale) if part is not None else first.B.new_zeros(count, 0)
        for part, count in zip(parts, rows, strict=True)
    ]
    return LowRank(torch.cat([part.A.detach() for part in there]), torch.block_diag(*blocks), first.scale)


def split(whole: LowRank, rows: Sequence[int]) -> list[LowRank | None]:
    """The reverse: each matrix's own rows of B, without the ranks that do nothing for it."""
    b = whole.B.detach()
    if not b.any():  # a first step's: nothing says which ranks are whose
        return [LowRank(whole.A.detach().clone(), part.clone(), whole.scale, whole.dropout) for part in b.split(rows)]
    found: list[LowRank | None] = []
    for part in b.split(list(rows)):
        used = part.any(0)
        a = whole.A.detach()[used]
        found.append(LowRank(a, part[:, used].contiguous(), whole.scale, whole.dropout) if used.any() else None)
    return found


def read_adapter(folder: Path, model: Network, family: Family) -> Adapter:
    """An adapter's folder, ours or PEFT's, for a model that may be without memory. Names and shapes are checked."""
    settings = read_config(folder)
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if ".adapters." not in n}
    prefixes = {family.prefix, *(head.prefix or "" for head in family.heads.values())} - {""}

    def bare(name: str) -> str:
        return next((name.removeprefix(each) for each in prefixes if name.startswith(each)), name)

    layout = {bare(theirs): place for theirs, place in places(shapes, family, model.config).items()}
    matrices: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    with TensorFiles(adapter_tensors(folder)) as files:
        for full in files.names:
            name = full.removeprefix(PREFIX)
            tensor = files.read(full, "cpu", torch.float32)
            if found := MATRICES.fullmatch(name):
                matrices.setdefault(found["module"], {})[found["which"]] = tensor
                continue
            plain = name.replace(".base_layer.", ".")
            if bare(plain) not in layout and plain in family.aliases:
                continue
            whole |= _checked(folder, full, tensor, _place(folder, full, bare(plain), layout), shapes)
    parts: dict[str, LowRank] = {}
    for module, pair in matrices.items():
        place = _place(folder, module, f"{bare(module)}.weight", layout)
        rows = [shapes[ours][0] for ours in place.ours]
        a, b = pair.get("A"), pair.get("B")
        if a is None or b is None or a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1]:
            raise DataError(f"{folder / TENSORS} has no A and B of one rank for {module}: it is damaged")
        columns = shapes[place.ours[0]][1]
        table = isinstance(model.get_submodule(place.ours[0].rpartition(".")[0]), nn.Embedding)
        expected = (rows[0], columns) if table else (columns, sum(rows))
        if (a.shape[1], len(b)) != expected:
            raise DataError(
                f"{folder / TENSORS} adapts {module} from {a.shape[1]} to {len(b)}, but in the base it goes from "
                f"{expected[0]} to {expected[1]}: it is an adapter for another base"
            )
        made = LowRank(a, b, _scale(settings, module, len(a)), float(settings.get("lora_dropout") or 0.0))  # type: ignore[arg-type]
        here = split(made, rows) if len(rows) > 1 else [made]
        parts |= {n.removesuffix(".weight"): p for n, p in zip(place.ours, here, strict=True) if p is not None}
    if not parts:
        raise DataError(f"{folder / TENSORS} has no lora_A and lora_B: it is no LoRA adapter")
    return Adapter(parts, whole)


def _place(folder: Path, name: str, key: str, layout: Mapping[str, Place]) -> Place:
    if key not in layout:
        raise DataError(f"{folder / TENSORS} has {name}, which the base has not: it is an adapter for another base")
    return layout[key]


def _checked(
    folder: Path, name: str, tensor: Tensor, place: Place, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    pieces = place.pieces(tensor)
    for ours, piece in pieces.items():
        if tuple(piece.shape) != shapes[ours]:
            raise DataError(
                f"{folder / TENSORS} has {name} of {tuple(tensor.shape)}, which does not fit the base's "
                f"{shapes[ours]}: it is an adapter for another base"
            )
    return pieces


def _scale(settings: Mapping[str, object], module: str, rank: int) -> float:
    """alpha / r, where a pattern of theirs may give the layer an alpha of its own."""
    patterns = settings.get("alpha_pattern") or {}
    assert isinstance(patterns, dict)
    fitting = (float(alpha) for pattern, alpha in patterns.items() if re.match(rf"(.*\.)?({pattern})$", module))
    alpha = next(fitting, float(settings["lora_alpha"]))  # type: ignore[arg-type]
    return alpha / (rank**0.5 if settings.get("use_rslora") else rank)
