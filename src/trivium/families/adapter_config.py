"""``adapter_config.json``, PEFT's description of an adapter, and where its base is; read without torch."""

from pathlib import Path

from trivium.errors import DataError
from trivium.families.model_folder import Stored, read_header, read_json

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
PLAIN = (
    "bias",
    "use_dora",
    "use_qalora",
    "lora_bias",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_bdlora",
    "arrow_config",
    "monteclora_config",
)
"""Keys of theirs under which something else than low-rank matrices of frozen weights is described."""
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of ``init_lora_weights`` that leave the base as it is."""


def is_adapter(directory: str | Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (Path(directory) / CONFIG).is_file()


def read_config(folder: Path) -> dict[str, object]:
    """``adapter_config.json``, with what this cannot do refused."""
    path = folder / CONFIG
    written = read_json(path)
    if written.get("peft_type") != "LORA":
        kind = written.get("peft_type")
        raise DataError(f"{path} has peft_type = {kind!r}: of PEFT's adapters only LORA can be read")
    for key in PLAIN:
        if written.get(key) not in (None, False, "none", [], {}):
            raise DataError(f"{path} has {key} = {written[key]!r}: only plain LoRA can be read")
    if written.get("init_lora_weights", True) not in STARTS:
        raise DataError(
            f"{path} has init_lora_weights = {written['init_lora_weights']!r}, which changes the base's weights: save "
            "the adapter again with peft's conversion to LoRA"
        )
    for key in ("r", "lora_alpha"):
        if not _is_positive(written.get(key)):
            raise DataError(f"{path} has {key} = {written.get(key)!r}: it must be a number above 0")
    for key in ("rank_pattern", "alpha_pattern"):
        table = written.get(key) or {}
        if not isinstance(table, dict) or not all(_is_positive(value) for value in table.values()):
            raise DataError(f"{path} has {key} = {table!r}: it must be a table of numbers above 0")
    return written


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def base_of(folder: Path) -> Path:
    """The folder or GGUF file of the model that an adapter stands on."""
    named = read_config(folder).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise DataError(f"{folder / CONFIG} names no base_model_name_or_path: write the folder of its base there")
    path = next((p for p in (Path(named), folder / named) if p.exists()), None)
    if path is None:
        raise DataError(
            f"the base of the adapter {folder} is {named}, which is not there: put it back, or write where it is now "
            f"into base_model_name_or_path of {folder / CONFIG}"
        )
    if is_adapter(path):
        raise DataError(f"the base of the adapter {folder} is {named}, itself an adapter: save that one merged first")
    return path


def adapter_tensors(folder: Path) -> dict[str, Stored]:
    """What the file's header says it holds."""
    if not (folder / TENSORS).exists() and (folder / "adapter_model.bin").exists():
        raise DataError(
            f"{folder} holds a pickled adapter, which can run code when opened and is never read: save it as "
            f"{TENSORS} (peft's default)"
        )
    return read_header(folder / TENSORS)
