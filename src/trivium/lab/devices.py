"""What devices can do at most, and how much of it training gets: their peaks, their memory, their power.

Peaks are the makers' figures for dense matrix products with float32 sums, of one device. Training reaches a share of
them, the model FLOPs utilisation (Chowdhery et al. 2022, section 4.1): 0.4 unless told, which is what the published
runs of large models report (GPT-3 0.21, PaLM 0.46, Llama 3 405B 0.38-0.43).
"""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from trivium.errors import SettingsError

HERE = "here"
MFU = 0.4


@dataclass(frozen=True)
class Device:
    """``bfloat16``: FLOP/s, 0 where it has no such units; ``watts``: its rated power."""

    name: str
    memory: int  # bytes
    float32: float
    bfloat16: float
    watts: float

    def peak(self, precision: str) -> float:
        if precision == "bfloat16" and not self.bfloat16:
            raise SettingsError(f"{self.name} has no bfloat16 units: add --set training.precision=float32")
        return self.bfloat16 if precision == "bfloat16" else self.float32


DEVICES = {
    device.name: device
    for device in (
        # NVIDIA's data sheets: V100 (2020), T4 (2019), A100 (2021), RTX 4090 (Ada white paper, appendix A), L40S
        # (2023), H100 SXM (2023), H200 SXM (2024), B200 (DGX B200, an eighth). Rates "with sparsity" are halved.
        Device("v100-32gb", 32 * 10**9, 15.7e12, 0.0, 300),
        Device("t4", 16 * 10**9, 8.1e12, 0.0, 70),
        Device("a100-40gb", 40 * 10**9, 19.5e12, 312e12, 400),
        Device("a100-80gb", 80 * 10**9, 19.5e12, 312e12, 400),
        Device("rtx-4090", 24 * 10**9, 82.6e12, 165.2e12, 450),
        Device("l40s", 48 * 10**9, 91.6e12, 362e12, 350),
        Device("h100", 80 * 10**9, 67e12, 989e12, 700),
        Device("h200", 141 * 10**9, 67e12, 989e12, 700),
        Device("b200", 180 * 10**9, 75e12, 2250e12, 1000),
        # AMD's data sheet of the Instinct MI300X (2023).
        Device("mi300x", 192 * 10**9, 163.4e12, 1307e12, 750),
        # Jouppi et al. 2023, table 4: TPU v4; float32 products are made of three bfloat16 ones at least.
        Device("tpu-v4", 32 * 2**30, 275e12 / 3, 275e12, 192),
        # A server's processor of 56 cores at 2 GHz (Xeon 8480+) with 512 GB: 64 float32 operations a core and cycle in
        # AVX-512, 1,024 bfloat16 ones in AMX.
        Device("cpu-server", 512 * 10**9, 56 * 64 * 2e9, 56 * 1024 * 2e9, 350),
    )
}


@dataclass(frozen=True)
class Machines:
    """Where training would run. ``device``: a name of ``DEVICES``, "here", or None for nowhere. ``sharded``: weights,
    gradients and optimizer split over all devices (ZeRO-3, FSDP); otherwise each has all of them. ``watts`` and
    ``price`` (an hour) are a device's, ``electricity`` is a kilowatt-hour's price."""

    device: str | None = None
    devices: int = 1
    sharded: bool = False
    checkpointing: bool = False
    mfu: float = MFU
    watts: float | None = None
    price: float | None = None
    electricity: float | None = None

    def __post_init__(self) -> None:
        if self.device not in (None, HERE):
            find_device(str(self.device))
        if self.devices < 1:
            raise SettingsError(f"devices = {self.devices}: training needs at least 1")
        if not 0 < self.mfu <= 1:
            raise SettingsError(f"mfu = {self.mfu}: a share of the peak lies above 0 and not above 1, such as {MFU}")
        for name in ("watts", "price", "electricity"):
            if (value := getattr(self, name)) is not None and not 0 <= value < float("inf"):
                raise SettingsError(f"{name} = {value}: it must be a number that is not negative")
        if self.devices > 1 and self.device == HERE:
            raise SettingsError("this machine is one device: name another with --device, or leave out --devices")
        if self.device is None and (self.devices > 1 or self.price is not None or self.watts is not None):
            raise SettingsError("devices, watts and price need a device: add --device a100-80gb, or --device here")


def find_device(name: str) -> Device:
    """A device by its name in any spelling of case and dashes; ``a100`` is the larger one."""
    wanted = name.lower().replace("_", "-").replace(" ", "-")
    wanted = {"a100": "a100-80gb", "v100": "v100-32gb", "cpu": "cpu-server", "tpu": "tpu-v4"}.get(wanted, wanted)
    if wanted not in DEVICES:
        near = difflib.get_close_matches(wanted, [*DEVICES, HERE], n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else f"choose here or one of {', '.join(DEVICES)}"
        raise SettingsError(f"there is no device {name!r}: {advice}")
    return DEVICES[wanted]


def memory_here() -> int:
    """Bytes of this machine's memory, or what its container is allowed."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return whole
    return min(whole, int(allowed)) if allowed.isdecimal() else whole
