"""The folder of a fine-tuned adapter: PEFT's two files, and beside them what says how it is used alone.

``config.json`` describes the whole model, its heads and labels, and holds the hash of the base's weights; a folder that
``peft`` wrote has none, and is read by its base's. The base is named by its path; opened, the adapter is merged into
it, so that everything that reads a model's folder reads an adapter's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from trivium.errors import DataError
from trivium.families.adapter_config import adapter_tensors, base_of, is_adapter, read_config
from trivium.families.adapters import PREFIX, TASK_TYPES, fingerprint, read_adapter
from trivium.families.adapters import save_adapter as save_files
from trivium.families.bodies import outline
from trivium.families.card import adapter_card
from trivium.families.config_file import config_in, family_of, heads_in
from trivium.families.family import Family
from trivium.families.files import write_json, write_text
from trivium.families.generation_config import GENERATION, GenerationConfig, read_generation
from trivium.families.gguf_model import load_gguf
from trivium.families.heads import Labels, labels_of, made_heads
from trivium.families.huggingface import Loaded, config_out, expressed_by, generation_out, with_tokenizer
from trivium.families.huggingface import load as load_whole
from trivium.families.inspection import check_vocabulary
from trivium.families.model_folder import read_json
from trivium.families.trivium import TRIVIUM, settings_out
from trivium.tokenizers import Tokenizer, formats
from trivium.transformer import Config, Network
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.network import changed


@dataclass(frozen=True)
class SavedAdapter:
    """What was written: under whose names, and the bytes of the adapter's tensors."""

    family: Family
    bytes: int


def save_adapter(
    model: Network, family: Family, tokenizer: Tokenizer, directory: str | Path, *, base: str,
    whole: Collection[str], labels: Labels = None, problem: str | None = None,
    generation: GenerationConfig | None = None,
) -> SavedAdapter:  # fmt: skip
    """Writes a folder with the adapter ``default`` of ``model``; the tensors last. ``whole``: the names of parameters
    that were learnt whole; all others are the base's, which ``base`` names. ``generation``: where it differs from the
    base's."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    family = expressed_by(family, model)
    described = config_out(model, family, tokenizer, labels, problem=problem)
    about = {"trivium": settings_out(model.config), "adapter_base": {"sha256": fingerprint(model, whole)}}
    write_json(folder / "config.json", {**described, **about})
    if generation is not None:
        write_json(folder / GENERATION, generation_out(model.config, tokenizer, generation.written))
    tokenizer.save(folder, segments=model.config.segments > 1)
    write_text(folder / "README.md", adapter_card(model, family, base, labels_of(model, labels)))
    return SavedAdapter(family, save_files(model, family, folder, base=base, whole=whole))


def load(
    directory: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    base: Loaded | None = None,
) -> Loaded:  # fmt: skip
    """A model's folder, or an adapter's with its base: the weights are those of both, merged in float32. ``base``: an
    adapter's, where it is loaded already, in float32 on the CPU; what the adapter does not change is then shared."""
    folder = Path(directory)
    if not is_adapter(folder):
        return load_whole(folder, device=device, dtype=dtype)
    where = base_of(folder)
    if base is None:
        base = load_whole(where) if where.is_dir() else load_gguf(where)
    path = folder / "config.json"
    written = read_json(path) if path.exists() else {}
    own = "adapter_base" in written
    family = family_of(written, folder) if own else base.family
    config, heads, labels, problem = _own(folder, written, family, base) if own else _of_base(folder, base)
    model = outline(config, heads)
    adapter = read_adapter(folder, model, family)
    theirs = base.model.state_dict()
    tensors = {name: adapter.whole.get(name, theirs.get(name)) for name in model.state_dict()}
    for name, expected in model.state_dict().items():
        found = tensors[name]
        if found is None or found.shape != expected.shape:
            wrong = "has not" if found is None else f"has as {tuple(found.shape)} instead of {tuple(expected.shape)}"
            raise DataError(f"{folder} needs {name}, which its base {wrong}: it is an adapter for another base")
    model.load_state_dict(tensors, assign=True)
    if own:
        _check_base(folder, written, model, adapter.whole)
    adapters = Adapters(model)
    adapters.put(DEFAULT, adapter.parts)
    if adapters.mergeable(DEFAULT):
        adapters.merge(DEFAULT)
    else:
        adapters.use(DEFAULT)
    model.to(device=device, dtype=dtype)
    generation = base.generation
    if (folder / GENERATION).exists():
        generation = read_generation(folder, {}, config.vocab_size)
    loaded = Loaded(model, family, None, config, labels, problem, base.left_out, generation)
    tokenizer = Tokenizer.load(folder) if formats.has_tokenizer(folder) else base.tokenizer
    if tokenizer is not None:
        check_vocabulary(tokenizer, config, folder)
    return with_tokenizer(loaded, tokenizer)


Described = tuple[Config, dict[str, nn.Module], Mapping[str, tuple[str, ...]], str | None]


def _own(folder: Path, written: dict[str, object], family: Family, base: Loaded) -> Described:
    """What a folder of ours says of the whole model."""
    config = config_in(written, TRIVIUM, base.model.state_dict().keys(), folder)
    made, labels, problem = made_heads(written, family, config, heads_in(written, family), _shapes(folder))
    return config, made, labels, problem


def _of_base(folder: Path, base: Loaded) -> Described:
    """A folder of PEFT's: its base as it is, or with the head that the task's class of theirs puts on it."""
    task = read_config(folder).get("task_type")
    name = next((head for head, each in TASK_TYPES.items() if each == task), None)
    if name is None or name in base.model.heads or name not in base.family.heads:
        return base.config, dict(base.model.heads.items()), base.head_labels, base.problem
    config = changed(base.config, vocabulary_head="none", pooler=False)
    made, labels, problem = made_heads({}, base.family, config, {name: base.family.heads[name].made}, _shapes(folder))
    return config, made, labels, problem


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    return {name.removeprefix(PREFIX): stored.shape for name, stored in adapter_tensors(folder).items()}


def _check_base(folder: Path, written: Mapping[str, object], model: Network, whole: Collection[str]) -> None:
    about = written["adapter_base"]
    expected = about.get("sha256") if isinstance(about, dict) else None
    if fingerprint(model, whole) != expected:
        named = read_config(folder)["base_model_name_or_path"]
        raise DataError(
            f"the weights in {named} are not those on which the adapter {folder} was trained: it is an adapter for "
            "another base; put that one back, or fine-tune again"
        )
