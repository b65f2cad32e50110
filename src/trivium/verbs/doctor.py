"""``trivium doctor``: what this machine has and how fast it is, measured, in the terms that runs depend on."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from trivium import __version__
from trivium.errors import DataError
from trivium.memory import available_memory
from trivium.training.allocator import keep_freed_memory
from trivium.training.precision import choose_device, choose_precision, fast_bfloat16, matmul_rate

_PACKAGES = ("numpy", "safetensors", "tokenizers", "pyarrow", "pydantic", "typer", "rich", "jinja2")
EXTRAS = {
    "vectors": ("numba",),
    "eval": ("sacrebleu", "scikit-learn", "scipy", "nltk"),
    "plots": ("matplotlib",),
    "serve": ("fastapi", "uvicorn", "httptools", "llguidance"),
    "export": ("onnxscript", "onnxruntime", "transformers", "xllamacpp"),
    "hub": ("huggingface_hub", "datasets"),
    "scale": ("ray",),
    "sweep": ("optuna",),
    "constrain": ("llguidance",),
    "tensorboard": ("tensorboard",),
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``good`` is None for a fact that is neither good nor bad."""

    name: str
    value: str
    good: bool | None = None
    remedy: str = ""


def doctor(folder: Path = Path()) -> list[Finding]:
    """Looks at Python, torch, devices, speed, memory, disk and the embedded corpus. Takes a few seconds."""
    return [*_software(), *_devices(), *_speed(), *_room(folder), _corpus(), *_extras()]


def _software() -> list[Finding]:
    packages = ", ".join(f"{name} {_version(name) or 'missing'}" for name in _PACKAGES)
    return [
        Finding("trivium", __version__),
        Finding("python", f"{platform.python_version()} ({sys.executable})"),
        Finding(
            "system",
            f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver()) or 'C library unknown'}",
        ),
        Finding("torch", torch.__version__),
        Finding(
            "packages",
            packages,
            all(_version(name) for name in _PACKAGES),
            "install Trivium again with its requirements",
        ),
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> list[Finding]:
    found = [
        Finding(
            "cpu",
            f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        )
    ]
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found.append(Finding(f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB"))
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "Apple GPU"))
    return found


def _speed() -> list[Finding]:
    device = choose_device("auto")
    plain = matmul_rate(device.type, torch.float32, 1024)
    found = [Finding("device", f'{device.type} is what training.device = "auto" takes')]
    if fast_bfloat16(device.type):
        half = f"{matmul_rate(device.type, torch.bfloat16, 1024) / 1e9:,.0f} GFLOP/s in bfloat16"
    else:
        half = "bfloat16 is not faster here"
    chosen = str(choose_precision("auto", device)).removeprefix("torch.")
    found.append(
        Finding(
            "products", f'{plain / 1e9:,.0f} GFLOP/s in float32, {half}: training.precision = "auto" takes {chosen}'
        )
    )
    kept = keep_freed_memory()
    allocator = "glibc's thresholds can be raised: done when a run starts" if kept else "not glibc: nothing to set"
    return [*found, Finding("allocator", allocator)]


def _room(folder: Path) -> list[Finding]:
    found = []
    memory = available_memory()
    if memory is not None:
        found.append(
            Finding(
                "memory",
                f"{memory / 2**30:.1f} GiB available",
                memory >= 2 * 2**30,
                "close other programs, or use a smaller model",
            )
        )
    free = shutil.disk_usage(folder).free
    found.append(
        Finding(
            "disk",
            f"{free / 2**30:.1f} GiB free in {folder.resolve()}",
            free >= 2**30,
            "free some space: a run keeps several checkpoints",
        )
    )
    return found


def _corpus() -> Finding:
    from trivium.text.python_docs import corpus_hash, documents

    try:
        return Finding("python-docs", f"{len(documents()):,} documents, SHA-256 {corpus_hash()}", True)
    except DataError as error:
        return Finding("python-docs", "missing", False, str(error))


def _extras() -> list[Finding]:
    there = [name for name, packages in EXTRAS.items() if all(_version(package) for package in packages)]
    missing = [name for name in EXTRAS if name not in there]
    how = f"missing: {', '.join(missing)} (from a clone: pip install -e '.[{missing[0]}]')" if missing else "all there"
    return [Finding("extras", f"installed: {', '.join(there) or 'none'}; {how}")]
