"""Which device and which precision: measured on this machine, never assumed from a list of models."""

import time
from dataclasses import replace
from functools import cache
from typing import Literal

import torch

from trivium.errors import SettingsError
from trivium.training.settings import TrainingSettings

_WORTH_IT = 1.5  # bf16 products have to be this much faster than float32's to pay for the copies and casts


def choose_device(wanted: str) -> torch.device:
    """The device by name; ``auto`` takes CUDA, then MPS, then the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, there in available.items() if there)
    elif not available.get(wanted, False):
        there = " and ".join(name for name, is_there in available.items() if is_there)
        raise SettingsError(f"the device {wanted} is one that this torch does not see: it has {there}")
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """``float32`` or ``bfloat16`` by name; ``auto`` takes bf16 where its products were measured to be faster."""
    if wanted == "auto":
        return torch.bfloat16 if fast_bfloat16(device.type) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


def resolve(settings: TrainingSettings) -> TrainingSettings:
    """The same settings with the device and precision that ``auto`` comes to on this machine."""
    device = choose_device(settings.device)
    devices: dict[str, Literal["cpu", "cuda", "mps"]] = {"cpu": "cpu", "cuda": "cuda", "mps": "mps"}
    low = choose_precision(settings.precision, device) == torch.bfloat16
    return replace(settings, device=devices[device.type], precision="bfloat16" if low else "float32")


@cache
def fast_bfloat16(device: str) -> bool:
    """Whether a bf16 matrix product is at least 1.5 times as fast as float32's here. About 30 ms, once a process."""
    if device == "mps":
        return False  # bf16 there saves memory, not time
    small = {dtype: matmul_rate(device, dtype, 256, repeats=2) for dtype in (torch.float32, torch.bfloat16)}
    if small[torch.bfloat16] < 0.5 * small[torch.float32]:
        return False  # emulated: the larger product would take long
    return matmul_rate(device, torch.bfloat16, 1024) >= _WORTH_IT * matmul_rate(device, torch.float32, 1024)


@cache
def peak_rate(device: str, precision: torch.dtype) -> float:
    """The measured limit that MFU refers to: FLOP/s of a 2048-square product (8192 on CUDA)."""
    return matmul_rate(device, precision, 8192 if device == "cuda" else 2048)


def matmul_rate(device: str, precision: torch.dtype, size: int, repeats: int = 4) -> float:
    """FLOP/s of a square matrix product, the best of ``repeats`` after one to warm up."""
    values = torch.linspace(-1, 1, size, device=device)
    a = torch.outer(values, values).to(precision)  # no draw from torch's generator
    best = float("inf")
    for turn in range(repeats + 1):
        started = time.perf_counter()
        product = a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        elif device == "mps":
            torch.mps.synchronize()
        if turn:
            best = min(best, time.perf_counter() - started)
    del product
    return 2 * size**3 / best
