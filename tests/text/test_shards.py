"""Shards: what was written is what is read; cut-off writing goes on; damage is named."""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from trivium.errors import DataError, StoppedError
from trivium.text import shards as shards_module
from trivium.text import write_shards
from trivium.text.shards import Shards

TEXTS = [f"document {number} é" * (number % 7) for number in range(200)]


def by_bytes(texts):
    return [list(text.encode()) for text in texts]


def ids_of(shards):
    return [shards.document(number).tolist() for number in range(shards.documents)]


EXPECTED = [[*text.encode(), 256] for text in TEXTS]


@pytest.fixture
def small_steps(monkeypatch):
    """Batches and segments of a few documents, so that a small text meets all borders."""
    monkeypatch.setattr(shards_module, "SEGMENT_BYTES", 1024)
    monkeypatch.setattr(shards_module, "BATCH_CHARACTERS", 300)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(257, "uint16"), (65536, "uint16"), (65537, "uint32")])
def test_documents_come_back(tmp_path, small_steps, vocab_size, dtype):
    written = write_shards(TEXTS, by_bytes, 256, vocab_size, tmp_path, "f")
    opened = Shards.open(tmp_path)
    for shards in (written, opened):
        assert ids_of(shards) == EXPECTED
        assert shards.tokens.dtype == dtype and isinstance(shards.tokens, np.memmap)
        assert shards.token_count == sum(map(len, EXPECTED)) == shards.bounds[-1]
        assert shards.text_bytes == sum(len(text.encode()) for text in TEXTS)
        assert shards.text_characters == sum(map(len, TEXTS))
        assert (shards.vocab_size, shards.end_token, shards.fingerprint) == (vocab_size, 256, "f")
    assert sorted(os.listdir(tmp_path)) == ["bounds.bin", "shards.json", "sizes.bin", "tokens.bin"]


def test_finished_shards_are_opened_without_reading_the_text(tmp_path):
    write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")

    def unread():
        raise AssertionError("read")
        yield ""

    assert ids_of(write_shards(unread(), by_bytes, 256, 257, tmp_path, "f")) == EXPECTED


def test_other_text_or_tokenizer_is_written_anew(tmp_path):
    write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")
    assert ids_of(write_shards(["x"], by_bytes, 0, 300, tmp_path, "g")) == [[120, 0]]


@pytest.mark.parametrize("stop", [1, 60, 130, 199])
def test_cut_off_writing_goes_on_where_it_stopped(tmp_path, small_steps, stop):
    def stopping():
        yield from TEXTS[:stop]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(stopping(), by_bytes, 256, 257, tmp_path, "f")
    with pytest.raises(DataError, match="no finished shards"):
        Shards.open(tmp_path)
    (tmp_path / "tokens.partial").open("ab").write(b"half a token that was never synced")
    encoded = []
    resumed = write_shards(TEXTS, lambda texts: encoded.extend(texts) or by_bytes(texts), 256, 257, tmp_path, "f")
    assert ids_of(resumed) == EXPECTED
    assert ids_of(Shards.open(tmp_path)) == EXPECTED
    assert len(encoded) < len(TEXTS) or stop < 60


def test_killed_writing_goes_on_where_it_stopped(tmp_path):
    """``kill -9`` at the worst moment: between two writes, in another process."""
    program = f"""
import os, signal
from trivium.text import shards
shards.SEGMENT_BYTES, shards.BATCH_CHARACTERS = 1024, 300
texts = [f"document {{number}} é" * (number % 7) for number in range(200)]
def encode(batch):
    if texts[150] in batch:
        os.kill(os.getpid(), signal.SIGKILL)
    return [list(text.encode()) for text in batch]
shards.write_shards(texts, encode, 256, 257, {str(tmp_path)!r}, "f")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=60).returncode == -9
    assert json.loads((tmp_path / "progress.json").read_text())["documents"] > 50
    assert ids_of(write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")) == EXPECTED


def test_unfinished_shards_of_another_text_or_damaged_ones_start_again(tmp_path, small_steps):
    def stopping():
        yield from TEXTS[:150]
        raise KeyboardInterrupt

    for damage in (False, True):
        with pytest.raises(KeyboardInterrupt):
            write_shards(stopping(), by_bytes, 256, 257, tmp_path, "f")
        if damage:
            flip(tmp_path / "tokens.partial", 100)
        name = "f" if damage else "g"
        assert ids_of(write_shards(TEXTS, by_bytes, 256, 257, tmp_path, name)) == EXPECTED
        (tmp_path / "shards.json").unlink()


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("part", ["tokens.bin", "bounds.bin", "sizes.bin"])
def test_a_changed_bit_is_found_and_its_place_named(tmp_path, small_steps, part):
    write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")
    flip(tmp_path / part, 1030)
    with pytest.raises(DataError, match=rf"{part} is damaged between bytes 1024 and .*delete the folder"):
        Shards.open(tmp_path)


def test_missing_or_shortened_files_are_named(tmp_path):
    write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")
    whole = (tmp_path / "tokens.bin").read_bytes()
    (tmp_path / "tokens.bin").write_bytes(whole[:-1])
    with pytest.raises(DataError, match=rf"tokens.bin is damaged \({len(whole) - 1} bytes instead of {len(whole)}\)"):
        Shards.open(tmp_path)
    (tmp_path / "tokens.bin").unlink()
    with pytest.raises(DataError, match="tokens.bin is missing"):
        Shards.open(tmp_path)
    for content in ("{", "[]", "{}", '{"dtype": "O", "documents": 1}'):
        (tmp_path / "shards.json").write_text(content)
        with pytest.raises(DataError, match="shards.json is damaged"):
            Shards.open(tmp_path)


def test_ids_beyond_the_vocabulary_are_refused(tmp_path):
    with pytest.raises(DataError, match="gave id 256, but the vocabulary was said to hold 256"):
        write_shards(["x"], by_bytes, 256, 256, tmp_path, "f")


def test_no_text_at_all_is_said(tmp_path):
    with pytest.raises(DataError, match="no text to tokenise"):
        write_shards([], by_bytes, 256, 257, tmp_path, "f")


def test_a_full_disk_loses_nothing(tmp_path, small_steps):
    """The file system itself says it is full: a limit on the size of files stands in for the disk's."""
    program = f"""
import resource, signal, errno
from trivium.errors import StoppedError
from trivium.text import shards
shards.SEGMENT_BYTES, shards.BATCH_CHARACTERS = 1024, 300
shards.errno.ENOSPC = errno.EFBIG  # what the kernel says at the limit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
texts = [f"document {{number}} é" * (number % 7) for number in range(200)]
try:
    shards.write_shards(texts, lambda batch: [list(t.encode()) for t in batch], 256, 257, {str(tmp_path)!r}, "f")
except StoppedError as error:
    print(error)
    raise SystemExit(error.exit_code)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, capture_output=True, text=True)
    assert done.returncode == StoppedError.exit_code and "no room is left" in done.stdout, done.stderr
    assert json.loads((tmp_path / "progress.json").read_text())["documents"] > 0
    assert ids_of(write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")) == EXPECTED


def test_evaluation_documents_are_told_apart_by_number(tmp_path):
    shards = write_shards(TEXTS, by_bytes, 256, 257, tmp_path, "f")
    train, evaluation = shards.split(share=0.1, seed=3)
    assert sorted([*train.selected, *evaluation.selected]) == list(range(200))
    assert 5 <= evaluation.documents <= 40
    assert ids_of(evaluation) == [EXPECTED[number] for number in evaluation.selected]
    for name in ("text_bytes", "text_characters", "token_count", "documents"):
        assert getattr(train, name) + getattr(evaluation, name) == getattr(shards, name)
    assert (shards.split(share=0.1, seed=3)[1].selected == evaluation.selected).all()


def test_one_document_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="holds 1 document"):
        write_shards(["only"], by_bytes, 256, 257, tmp_path, "f").split()


def test_memory_does_not_grow_with_the_text(tmp_path):
    """64 MB of text through a writer that never holds more than a few batches of it."""
    text = "some words of a document " * 2000
    tracemalloc.start()
    documents = (f"{number} {text}" for number in range(64 * 20))
    shards = write_shards(documents, lambda texts: [[5] * (len(text) // 4) for text in texts], 1, 100, tmp_path, "f")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert shards.text_bytes > 64_000_000 and peak < 24 << 20


@pytest.mark.slow
def test_two_gigabytes_need_at_most_300_megabytes(tmp_path):
    """The whole way of a 2 GB file, as the kernel counts memory: read, tokenise, pack, verify, draw from all of it."""
    page = "\n\n".join(" ".join(f"word{(number * 7919) % 5003}" for number in range(k, k + 90)) for k in range(4000))
    with (tmp_path / "big.txt").open("w") as file:
        while file.tell() < 2 << 30:
            file.write(page)
    program = f"""
import resource
from trivium.text import Layout, Mixture, Shards, cut, read_documents, write_shards
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
base = peak()
encode = lambda texts: [[5] * (len(text) // 4) for text in texts]
write_shards(read_documents({str(tmp_path / "big.txt")!r}), encode, 1, 100, {str(tmp_path / "s")!r}, "f")
mixture = Mixture.of(cut(Shards.open({str(tmp_path / "s")!r}), Layout("packed", 512)), 0)
for step in range(2000):
    mixture.rows(step * 16, 16)
print((peak() - base) >> 10)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300
