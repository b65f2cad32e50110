"""How much memory there is to be had."""

from pathlib import Path


def available_memory(device: str = "cpu") -> int | None:
    """Bytes that this process could still take: of a CUDA device by name, else of the machine, by what the kernel says
    and the limit of a container where there is one. None where the system does not tell."""
    if device != "cpu":
        import torch

        if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
            return int(torch.cuda.mem_get_info(None if device in ("auto", "cuda") else device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no container, or no limit ("max")
        return available
    return min(available, limit - used)
