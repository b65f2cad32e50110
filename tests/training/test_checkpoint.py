"""Checkpoints are whole, verified and replaced in order; any damage is found; a failed save changes nothing."""

import errno
import json
import os
import random
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from trivium import durable
from trivium.errors import DataError, StoppedError
from trivium.families import tensor_bytes
from trivium.training import checkpoint as module
from trivium.training.checkpoint import Checkpoints, state_hash

WEIGHTS = {"b": torch.arange(6.0).reshape(2, 3), "a.weight": torch.tensor(2.5), "none": torch.zeros(0, 3)}
MOMENTS = {"first.b": torch.ones(2, 3), "count.b": torch.tensor(3.0)}
STATE = {"metrics_bytes": 12, "loss": 0.1 + 0.2, "text": "ÿ"}


def at(step):
    return {name: tensor + step for name, tensor in WEIGHTS.items()}


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (0, 5, 10):
        checkpoints.save(step, at(step), MOMENTS, STATE)
    return checkpoints


def test_a_round_trip_is_exact_and_the_two_newest_stay(saved):
    assert saved.steps() == [5, 10]
    loaded = saved.load(10)
    assert loaded.weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(loaded.weights[n], t) for n, t in at(10).items())
    assert all(torch.equal(loaded.optimizer[n], t) for n, t in MOMENTS.items())
    assert loaded.state == STATE
    assert loaded.state_hash == state_hash(at(10), MOMENTS) != state_hash(at(5), MOMENTS)
    assert sorted(p.name for p in saved.folder.iterdir()) == ["step-00000005", "step-00000010"]


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(list(tensor_bytes._DTYPES)), st.lists(st.integers(0, 4), max_size=3)),
        max_size=5,
    )
)
@settings(max_examples=60)
def test_what_is_written_is_what_the_safetensors_library_reads(tmp_path_factory, shapes):
    path = tmp_path_factory.mktemp("t") / "x.safetensors"
    tensors = {name: (torch.rand(shape) * 9).to(dtype) for name, (dtype, shape) in shapes.items()}
    size, digest = durable.write_file(path, tensor_bytes.tensor_pieces(tensors))
    assert size == path.stat().st_size
    assert digest == durable.file_digest(path) == durable.pieces_digest(tensor_bytes.tensor_pieces(tensors))
    read = load_file(path)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_tied_and_strided_tensors_are_written_by_value(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"transposed": base.t(), "tied": base, "part": base[:, 1:2]}
    durable.write_file(tmp_path / "x", tensor_bytes.tensor_pieces(tensors))
    assert all(torch.equal(load_file(tmp_path / "x")[n], t) for n, t in tensors.items())


def test_every_single_bit_flip_in_any_file_is_found_and_the_one_before_is_used(saved):
    """400 flips spread evenly over all bytes of all four files."""
    folder = saved.path(10)
    files = [(path, path.read_bytes()) for path in sorted(folder.iterdir())]
    assert len(files) == 4
    bits = [(path, bit) for path, content in files for bit in range(8 * len(content))]
    for path, bit in bits[:: len(bits) // 400]:
        content = bytearray(path.read_bytes())
        good = bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(DataError, match=path.name):
            saved.load(10)
        said = []
        assert saved.newest(said.append).step == 5
        assert path.name in said[0] and "falling back" in said[0]
        path.write_bytes(good)
    assert saved.load(10).step == 10


def test_other_damage_is_found(saved):
    draw = random.Random(3)
    whole = saved.path(10)
    copy = whole.parent.parent / "copy"
    shutil.copytree(whole, copy)
    for path in sorted(copy.iterdir()):
        for content in (b"", None, path.read_bytes()[: draw.randrange(path.stat().st_size)], path.read_bytes() + b" "):
            shutil.rmtree(whole)
            shutil.copytree(copy, whole)
            (whole / path.name).unlink()
            if content is not None:
                (whole / path.name).write_bytes(content)
            with pytest.raises(DataError, match=path.name):
                saved.load(10)
        shutil.rmtree(whole)
        shutil.copytree(copy, whole)
        shutil.copy(saved.path(5) / path.name, whole / path.name)
        if path.read_bytes() != (whole / path.name).read_bytes():
            with pytest.raises(DataError):
                saved.load(10)
    shutil.rmtree(whole)
    shutil.copytree(saved.path(5), whole)
    with pytest.raises(DataError, match="is of step 5, and its folder says step 10"):
        saved.load(10)


def test_a_later_schema_is_refused(saved, monkeypatch):
    monkeypatch.setattr(module, "SCHEMA", 2)
    with pytest.raises(DataError, match="schema 1, and this version reads 2"):
        saved.load(10)


def test_nothing_good_is_an_error_and_nothing_saved_is_none(saved, tmp_path):
    assert Checkpoints(tmp_path / "empty", 2).newest(print) is None
    for step in saved.steps():
        (saved.path(step) / "state.json").write_text("{}")
    with pytest.raises(DataError, match="no checkpoint in .* is good"):
        saved.newest(lambda text: None)


def test_a_save_after_falling_back_replaces_the_damaged_ones(saved):
    (saved.path(10) / "state.json").write_text("{}")
    saved.save(7, at(7), MOMENTS, STATE)
    assert saved.steps() == [5, 7]
    (saved.path(7) / "state.json").write_text("{}")
    saved.save(7, at(7), MOMENTS, STATE)
    assert saved.load(7).step == 7
    assert saved.steps() == [5, 7]


CALLS = ["open", "write", "fsync", "rename"]


@pytest.mark.parametrize(("call", "code"), [*((call, errno.ENOSPC) for call in CALLS), ("fsync", errno.EIO)])
def test_an_error_at_any_system_call_of_a_save_leaves_the_previous_checkpoints(saved, monkeypatch, call, code):
    """Each call in turn fails; whatever it was, both checkpoints before it load, and no partial folder stays."""
    real, counts = getattr(os, call), []

    def fail_at(number):
        def wrapped(*args, **kwargs):
            counts.append(call)
            if len(counts) == number:
                raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, call, wrapped)

    fail_at(0)
    saved.save(20, at(20), MOMENTS, STATE)
    total = len(counts)
    assert total >= 1
    for number in range(1, total + 1):
        monkeypatch.undo()
        shutil.rmtree(saved.folder)
        for step in (5, 10):
            saved.save(step, at(step), MOMENTS, STATE)
        counts.clear()
        fail_at(number)
        try:
            saved.save(20, at(20), MOMENTS, STATE)
            refused = False
        except StoppedError as error:
            refused = True
            assert error.exit_code == 75
            assert "step 20 could not be saved" in str(error) and os.strerror(code) in str(error)
            assert "checkpoint of step 10 is intact" in str(error)
        monkeypatch.undo()
        assert saved.load(10).step == 10
        assert not [p for p in saved.folder.iterdir() if p.name.startswith(".partial")]
        if refused:
            assert saved.load(5).step == 5
            saved.save(20, at(20), MOMENTS, STATE)
        assert saved.newest(print).step == 20


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_ends_at_any_system_call_leaves_a_good_newest_checkpoint(saved, tmp_path, when):
    """A child is ended at its k-th call, for every k, before or after it; the newest good state is 10 or 20."""
    again = tmp_path / "again"
    shutil.copytree(saved.folder, again)
    k, seen = 0, set()
    while True:
        k += 1
        shutil.rmtree(saved.folder)
        shutil.copytree(again, saved.folder)
        child = os.fork()
        if child == 0:
            _end_at(k, when)
            saved.save(20, at(20), MOMENTS, STATE)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        fresh = Checkpoints(saved.folder, keep=2)
        fresh.tidy()
        newest = fresh.newest(pytest.fail)
        assert newest.step in (10, 20)
        assert all(torch.equal(newest.weights[n], t) for n, t in at(newest.step).items())
        assert all(p.name.startswith("step-") for p in fresh.folder.iterdir())
        seen.add(newest.step)
        if status == 0:
            break
        assert status == 9
    assert k > 20
    assert seen == {10, 20}


def _end_at(number, when):
    count = 0

    def wrap(real):
        def wrapped(*args, **kwargs):
            nonlocal count
            count += 1
            if count == number and when == "before":
                os._exit(9)
            result = real(*args, **kwargs)
            if count == number:
                os._exit(9)
            return result

        return wrapped

    for name in (*CALLS, "mkdir", "rmdir", "unlink"):
        setattr(os, name, wrap(getattr(os, name)))


def test_every_file_and_folder_is_synced_before_the_name_appears_and_before_anything_goes(saved, monkeypatch):
    """What a kill cannot show and a power cut would: the order of write, fsync, rename, fsync, removal."""
    log = []
    names = {}
    for call in ("open", "fsync", "rename", "rmdir"):
        real = getattr(os, call)

        def wrapped(*args, call=call, real=real, **kwargs):
            result = real(*args, **kwargs)
            if call == "open":
                names[result] = os.fspath(args[0])
            else:
                log.append((call, names.get(args[0], args[0]) if call == "fsync" else os.fspath(args[0])))
            return result

        monkeypatch.setattr(os, call, wrapped)
    saved.save(20, at(20), MOMENTS, STATE)
    monkeypatch.undo()
    calls = [(call, os.path.basename(name)) for call, name in log]
    rename = calls.index(("rename", ".partial-00000020"))
    synced = [name for call, name in calls[:rename] if call == "fsync"]
    assert synced == [
        *("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"),
        ".partial-00000020",
    ]
    assert calls[rename + 1] == ("fsync", "checkpoints")
    assert calls.index(("rename", "step-00000005")) > rename + 1


def test_a_checkpoint_that_reads_back_wrong_is_not_accepted(saved, monkeypatch):
    """A disk that loses what it was given: the old ones stay."""
    monkeypatch.setattr(module, "file_digest", lambda path: "0" * 64)
    with pytest.raises(StoppedError, match="SHA-256.*checkpoint of step 10 is intact"):
        saved.save(20, at(20), MOMENTS, STATE)
    monkeypatch.undo()
    assert saved.steps() == [5, 10]
    assert saved.newest(print).step == 10


def test_a_state_that_is_not_json_fails_without_a_trace(saved):
    with pytest.raises(ValueError):
        saved.save(20, at(20), MOMENTS, {"loss": float("nan")})
    assert saved.newest(print).step == 10
    assert json.loads((saved.path(10) / "state.json").read_text()) == STATE
