"""Where the plan lays tensors, against where glibc does."""

import platform
import subprocess
import sys

import pytest

from trivium.lab.heap import Heap

GLIBC = """
import ctypes, random, sys
from trivium.lab.heap import Heap
from trivium.training.allocator import keep_freed_memory

keep_freed_memory()
library = ctypes.CDLL(None)
library.posix_memalign.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]

def real(size):
    place = ctypes.c_void_p()
    assert library.posix_memalign(ctypes.byref(place), 64, size) == 0
    return place.value

chance, ours = random.Random(int(sys.argv[1])), Heap()
library.malloc.restype = ctypes.c_void_p
for size in range(24, 120, 16):  # what glibc keeps apart for small blocks is used up
    for _ in range(64):
        library.malloc(size)
first = real(2**28)  # what else is free lies before it, and too small for what follows it
live, top, now, most = {}, 0, 0, 0

def take(size):
    global top, now, most
    place = real(size)
    live[place] = (ours.take(size), size)
    top, now = max(top, place + size - first - 2**28), now + size
    most = max(most, now)
    return place

def give(place):
    global now
    planned, size = live.pop(place)
    library.free(place)
    ours.give(planned)
    now -= size

kinds = [chance.randrange(4, 64) * 16384 for _ in range(5)]
for step in range(4):
    kept = [take(size) for _ in range(6) for size in kinds]
    scores = [take(2**23) for _ in range(2)]
    kept.append(take(kinds[0]))
    give(scores[0])
    scores[0] = take(2**23)
    gradients = []
    for number in range(len(kept)):
        size = live[kept[-1]][1]
        beside = take(size)
        gradients.append(take(kinds[number % 5] // 2))
        give(kept.pop())
        give(beside)
    for each in scores:
        give(each)
    if not step:
        moments = [take(live[each][1]) for each in gradients]
    for each in gradients:
        give(each)
print(top, ours.top, most)
"""


@pytest.mark.slow  # which pieces are free at first depends on the C library's version
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library lays blocks elsewhere")
def test_as_glibc_does():
    """Blocks that come and go as in four steps, six times; nothing is written in them, so that they take no memory."""
    tops = plans = most = 0
    for seed in range(6):
        command = [sys.executable, "-c", GLIBC, str(seed)]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        top, planned, held = map(int, found.stdout.split())
        tops, plans, most = tops + top, plans + planned, most + held
    assert plans == pytest.approx(tops, rel=0.05)
    assert plans > 1.15 * most


def test_a_freed_block_is_too_small_for_its_like():
    heap = Heap()
    first, wall = heap.take(1000), heap.take(64)
    heap.give(first)
    second = heap.take(1000)
    assert second > wall  # 96 bytes are missing before the wall
    assert heap.take(800) == first
    heap.give(wall)
    heap.give(second)
    top = heap.top
    assert heap.take(1050) < wall and heap.top == top  # neighbours became one
