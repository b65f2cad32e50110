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
from trivium.families.adapters import CONFIG, PREFIX, TASK_TYPES, TENSORS, fingerprint, read_adapter, read_config
from trivium.families.adapters import save_adapter as save_files
from trivium.families.bodies import network
from trivium.families.card import adapter_card
from trivium.families.family import Family
from trivium.families.files import TensorFiles, read_json, write_json, write_text
from trivium.families.gguf_model import load_gguf
from trivium.families.heads import Labels, heads_in, labels_of, made_heads
from trivium.families.huggingface import Loaded, config_out, expressed_by, family_of, with_tokenizer
from trivium.families.huggingface import load as load_whole
from trivium.families.trivium import settings_in, settings_out
from trivium.tokenizers import Tokenizer, formats
from trivium.transformer import Config, Network
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.network import changed


@dataclass(frozen=True)
class SavedAdapter:
    """What was written: under whose names, and the bytes of the adapter's tensors."""

    family: Family
    bytes: int


def is_adapter(directory: str | Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (Path(directory) / CONFIG).is_file()


def save_adapter(
    model: Network, family: Family, tokenizer: Tokenizer, directory: str | Path, *, base: str,
    whole: Collection[str], labels: Labels = None,
) -> SavedAdapter:  # fmt: skip
    """Writes a folder with the adapter ``default`` of ``model``; the tensors last. ``whole``: the names of parameters
    that were learnt whole; all others are the base's, which ``base`` names."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    family = expressed_by(family, model)
    described = config_out(model, family, tokenizer, labels)
    about = {"trivium": settings_out(model.config), "adapter_base": {"sha256": fingerprint(model, whole)}}
    write_json(folder / "config.json", {**described, **about})
    tokenizer.save(folder)
    write_text(folder / "README.md", adapter_card(model, family, base, labels_of(model, labels)))
    return SavedAdapter(family, save_files(model, family, folder, base=base, whole=whole))


def load(
    directory: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Loaded:
    """A model's folder, or an adapter's with its base: the weights are those of both, merged in float32."""
    folder = Path(directory)
    if not is_adapter(folder):
        return load_whole(folder, device=device, dtype=dtype)
    base = _base(folder)
    path = folder / "config.json"
    written = read_json(path) if path.exists() else {}
    own = "adapter_base" in written
    family = family_of(written, folder) if own else base.family
    config, heads, labels, problem = _own(folder, written, family) if own else _of_base(folder, base)
    with torch.device("meta"):
        model = network(config, heads)
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
    loaded = Loaded(model, family, None, config, labels, problem, base.left_out, base.generation)
    return with_tokenizer(loaded, Tokenizer.load(folder) if formats.has_tokenizer(folder) else base.tokenizer)


def _base(folder: Path) -> Loaded:
    """The model that the adapter stands on, in float32."""
    named = read_config(folder).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise DataError(f"{folder / CONFIG} names no base_model_name_or_path: write the folder of its base there")
    path = next((p for p in (Path(named), folder / named) if p.exists()), None)
    if path is None:
        raise DataError(
            f"the base of the adapter {folder} is {named}, which is not there: put it back, or write where it is now "
            f"into base_model_name_or_path of {folder / CONFIG}"
        )
    if path.is_dir() and is_adapter(path):
        raise DataError(f"the base of the adapter {folder} is {named}, itself an adapter: save that one merged first")
    return load_gguf(path) if path.suffix == ".gguf" and not path.is_dir() else load_whole(path)


Described = tuple[Config, dict[str, nn.Module], Mapping[str, tuple[str, ...]], str | None]


def _own(folder: Path, written: dict[str, object], family: Family) -> Described:
    """What a folder of ours says of the whole model."""
    settings = written.get("trivium")
    if not isinstance(settings, dict):
        raise DataError(f"{folder / 'config.json'} has no table 'trivium' with the model's settings: it is damaged")
    config = settings_in(settings)
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
    with TensorFiles(folder, TENSORS) as files:
        return {name.removeprefix(PREFIX): files.shape(name) for name in files.names}


def _check_base(folder: Path, written: Mapping[str, object], model: Network, whole: Collection[str]) -> None:
    about = written["adapter_base"]
    expected = about.get("sha256") if isinstance(about, dict) else None
    if fingerprint(model, whole) != expected:
        named = read_config(folder)["base_model_name_or_path"]
        raise DataError(
            f"the weights in {named} are not those on which the adapter {folder} was trained: it is an adapter for "
            "another base; put that one back, or fine-tune again"
        )
