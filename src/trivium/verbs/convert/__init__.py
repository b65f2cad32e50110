"""``trivium convert``: a model in another format, and the proof that it is the same model.

What was written is opened in an independent program (``transformers``, llama.cpp, ``onnxruntime``), which computes
fixed texts and random tokens; its numbers, tokens and end tokens are held against the source's. The output appears
under its name only after that, with the outcome beside it.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from trivium.errors import RefusedError, SettingsError
from trivium.families.files import read_json, write_json
from trivium.families.gguf_layouts import layout_out
from trivium.verbs.convert.parity import BOUNDS, Parity, compared
from trivium.verbs.convert.readers import Format, answer, measure_of, own_values
from trivium.verbs.convert.stops import stop_ids
from trivium.verbs.convert.texts import TEXTS, rows_for
from trivium.verbs.convert.writers import DTYPES, TORCH, check_expressed, write
from trivium.verbs.load import LanguageModel, load

BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "q8_0": 34 / 32}
BESIDE = 1 << 25  # bytes for tokenizer, settings and the graph


@dataclass(frozen=True)
class Conversion:
    """What was written. ``left_out``: tensors that the format has no place for; ``report``: the outcome as JSON."""

    source: Path
    path: Path
    to: Format
    dtype: str
    parameters: int
    bytes: int
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    report: Path
    parity: Parity


def convert(
    source: str | Path | LanguageModel,
    target: str | Path,
    *,
    to: Format | None = None,
    dtype: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Conversion:
    """Writes a model as ``to`` (None: gguf for a name that ends so, else hf) into ``target``, which must be new.

    ``dtype``: the kind of number (None: the source's own where the format has it, else float32). A conversion whose
    ``parity`` has not ``passed`` is kept, to be looked at; the command ends with exit code 1.
    """
    path = Path(target)
    chosen = _format(path, to)
    if dtype is not None and dtype not in DTYPES[chosen]:
        raise SettingsError(f"{chosen} is not written in {dtype!r}: choose {', '.join(DTYPES[chosen])}")
    _check_new(path)
    model = load(source, device="cpu")
    kind = dtype or _own_dtype(model, chosen)
    check_expressed(model, chosen)
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    _check_room(path, int(parameters * BYTES[kind]) + BESIDE)
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.absolute().parent))
    try:
        tell(f"writing {parameters:,} parameters as {chosen} in {kind}")
        staged = staging / path.name
        family, left_out = write(model, staged, chosen, kind)
        tell("checking what was written")
        parity = check(model, staged, chosen, kind)
        files = sorted(each.name for each in staged.iterdir()) if staged.is_dir() else [path.name]
        size = sum(each.stat().st_size for each in (staged.iterdir() if staged.is_dir() else [staged]))
        report = path / "parity.json" if staged.is_dir() else path.with_suffix(".parity.json")
        made = Conversion(
            model.directory, path, chosen, kind, parameters, size, tuple(files), left_out, report, parity
        )
        write_json(staged / "parity.json" if staged.is_dir() else staging / "parity.json", _document(made))
        _check_new(path)
        if path.is_dir():
            path.rmdir()
        if not staged.is_dir():
            os.replace(staging / "parity.json", report)
        os.replace(staged, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return made


def check(model: LanguageModel, path: str | Path, to: Format, dtype: str = "float32") -> Parity:
    """Holds what stands in ``path`` against ``model``; ``dtype`` is the kind of number it was written in."""
    path = Path(path)
    rows = rows_for(model.tokenizer, model.config)
    measure = measure_of(model, to)
    architecture, bound = None, BOUNDS[dtype]
    if to == "hf":
        named = read_json(path / "config.json").get("architectures")
        architecture = str(named[0]) if isinstance(named, list) and named else None
    if to == "gguf":
        bound = max(bound, layout_out(model.family.hf_type).exactness)
    found = answer(path, to, rows, measure, model, architecture)
    if model.kind == "encoder":  # which ends nothing
        found = replace(found, stops=[])
    expected = own_values(model, rows, measure)
    ids = [model.tokenizer.encode(text, specials=True).ids for text in TEXTS]
    return compared(expected, ids, stop_ids(model), found, measure, bound)


def _document(made: Conversion) -> dict[str, object]:
    """The content of ``parity.json``: no places, for the output may be moved."""
    told = {**asdict(made.parity), "passed": made.parity.passed, "texts": list(TEXTS)}
    return {
        "format": made.to, "dtype": made.dtype, "parameters": made.parameters, "source": made.source.name,
        "left_out": made.left_out, "parity": told,
    }  # fmt: skip


def _format(path: Path, to: Format | None) -> Format:
    if to is not None and to not in DTYPES:
        raise SettingsError(f"{to!r} is no format of models: choose {', '.join(DTYPES)}")
    chosen: Format = to or ("gguf" if path.suffix == ".gguf" else "hf")
    if chosen == "gguf" and path.suffix != ".gguf":
        raise SettingsError(f"{path} is to be a GGUF file, whose name ends in .gguf: name it {path.name}.gguf")
    if chosen != "gguf" and path.suffix in (".gguf", ".onnx", ".safetensors"):
        raise SettingsError(f"{path} is to be a folder: leave {path.suffix} out of its name, or say --to gguf")
    return chosen


def _check_new(path: Path) -> None:
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()) and path.suffix != ".gguf":
        return
    if path.exists() or path.is_symlink():
        raise SettingsError(f"{path} is there already and is never written over: choose another name, or remove it")
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise SettingsError(f"{path} cannot be written: {above} is no folder; choose another name")


def _check_room(path: Path, needed: int) -> None:
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    free = shutil.disk_usage(above).free
    if free < needed:
        raise RefusedError(
            f"{path} needs about {needed / 1e9:,.2f} GB and {above} has {free / 1e9:,.2f} GB free: make room, or write "
            "to another disk"
        )


def _own_dtype(model: LanguageModel, to: Format) -> str:
    """The kind of number in which the source's folder says that it keeps its weights."""
    file = model.directory / "config.json"
    written = read_json(file) if file.is_file() else {}
    own = written.get("dtype") or written.get("torch_dtype")
    return str(own) if own in TORCH and own in DTYPES[to] else "float32"


__all__ = ["Conversion", "Parity", "check", "convert"]
