"""Files appear whole or not at all."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trivium.families.files import TensorFiles, write_json, write_tensors, write_text
from trivium.families.model_folder import stored_tensors


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB, where this machine lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "t", folder], check=False).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=False)


def test_a_full_disk_leaves_the_old_file_and_no_rest(small_disk):
    path = small_disk / "model.safetensors"
    write_tensors(path, {"a": torch.ones(4)})
    with pytest.raises(OSError) as caught:
        write_tensors(path, {"a": torch.ones(100_000)})
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in small_disk.iterdir()] == ["model.safetensors"]
    assert torch.equal(load_file(path)["a"], torch.ones(4))


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "README.md"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_an_older_attempts_rest_is_written_over(tmp_path):
    (tmp_path / ".a.json.partial").write_text("rubbish" * 100)
    write_json(tmp_path / "a.json", {"é": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "é": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_tensors_are_read_in_another_precision(tmp_path):
    tensors = {
        "matrix": torch.randn(17, 5).bfloat16(),
        "half": torch.randn(3).half(),
        "number": torch.tensor(1.5, dtype=torch.float64),
        "nothing": torch.empty(0, 4).bfloat16(),
    }
    write_tensors(tmp_path / "model.safetensors", tensors)
    for dtype in (torch.float32, torch.bfloat16, None):
        with TensorFiles(stored_tensors(tmp_path)) as files:
            for name, tensor in tensors.items():
                read = files.read(name, "cpu", dtype)
                wanted = tensor.to(dtype) if dtype else tensor
                assert read.dtype == wanted.dtype and torch.equal(read, wanted)
