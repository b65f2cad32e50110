"""Files that are whole or absent, also after a crash or a power cut: temporary, write, fsync, rename, fsync the folder.

Tensors are written in the safetensors format by hand: the library's writer does not fsync, leaves temporary files when
killed, and needs a second copy in memory; the bytes here depend on the tensors alone, so a file's hash is a state's.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_PIECE = 1 << 22
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def tensor_pieces(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, header first, tensors in the order of their names."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in sorted(tensors):
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        if flat.numel():
            yield flat.view(torch.uint8).numpy().data


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """One rendering for one content: keys sorted, floats exact."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_file(path: Path, pieces: Iterator[bytes | memoryview]) -> tuple[int, str]:
    """Writes and fsyncs a new file; returns its size and SHA-256. Not atomic by itself."""
    digest = hashlib.sha256()
    size = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for piece in pieces:
            view = memoryview(piece)
            digest.update(view)
            while view:
                written = os.write(handle, view[:_PIECE])
                size += written
                view = view[written:]
        os.fsync(handle)
    finally:
        os.close(handle)
    return size, digest.hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """The whole file at once, durably: readers see the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write_file(partial, iter([content]))
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes names created, renamed or removed in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pieces_digest(pieces: Iterator[bytes | memoryview]) -> str:
    """SHA-256 of what :func:`write_file` would write."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
