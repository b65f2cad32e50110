"""The compiled merge rules against the definitions, written out over lists of strings with exact fractions."""

import os
import random
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import RefusedError
from trivium.tokenizers import merging
from trivium.tokenizers.merging import letters, merges_by_frequency, merges_by_score, strings_of, symbols_of

ORDERS = {
    "first": lambda pairs, single, ids: pairs.get,
    "largest": lambda pairs, single, ids: lambda pair: (pairs[pair], pair),
    "smallest-ids": lambda pairs, single, ids: lambda pair: (pairs[pair], -ids[pair[0]], -ids[pair[1]]),
    "score": lambda pairs, single, ids: lambda pair: Fraction(pairs[pair], single[pair[0]] * single[pair[1]]),
}


def slowly(words, counts, wanted, rule, least):
    """Count every pair, take the best, merge it everywhere from the left; again."""
    words, found = [list(word) for word in words], []
    ids = {letter: number for number, letter in enumerate(sorted({letter for word in words for letter in word}))}
    for _ in range(wanted):
        pairs, single = {}, {}
        for word, count in zip(words, counts, strict=True):
            for symbol in word:
                single[symbol] = single.get(symbol, 0) + count
            for pair in zip(word, word[1:], strict=False):
                pairs[pair] = pairs.get(pair, 0) + count
        pairs = {pair: count for pair, count in pairs.items() if count >= least}
        if not pairs:
            break
        best = max(pairs, key=ORDERS[rule](pairs, single, ids))
        found.append(best)
        ids["".join(best)] = len(ids)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = ["".join(best)]
                at += 1
    return found


def compiled(words, counts, wanted, rule, least):
    codes, ends = letters(words)
    symbols = symbols_of(codes, ends, np.array(counts, np.int64))
    if rule == "score":
        merges = merges_by_score(symbols, wanted, least)
    else:
        merges = merges_by_frequency(symbols, wanted, rule, least)
    strings = strings_of([chr(code) for code in symbols.codes], merges)
    return [(strings[left], strings[right]) for left, right in merges.tolist()]


CORPORA = st.dictionaries(
    st.text(st.sampled_from("abc"), min_size=1, max_size=9),
    st.one_of(st.integers(1, 3), st.integers(1, 40), st.integers(1, 10**12)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("rule", ["first", "largest", "smallest-ids", "score"])
@given(corpus=CORPORA, least=st.sampled_from([1, 1, 2, 7]))
def test_every_rule_merges_what_its_definition_merges(rule, corpus, least):
    words, counts = list(corpus), list(corpus.values())
    assert compiled(words, counts, 30, rule, least) == slowly(words, counts, 30, rule, least)


@pytest.mark.parametrize("rule", ["first", "largest", "smallest-ids", "score"])
def test_on_a_text_in_which_arrays_grow_and_slices_end(rule, monkeypatch):
    """Several hundred words of a small alphabet, so that scores and counts tie often; slices of few places."""
    monkeypatch.setattr(merging, "WORK", 50)
    monkeypatch.setattr(merging, "PLACES", 100)
    draws = random.Random(5)
    letters_ = "".join(map(chr, range(0x61, 0x61 + 26))) + "éßЖ好😀"
    words = ["".join(draws.choices(letters_, range(31, 0, -1), k=draws.randint(1, 12))) for _ in range(400)]
    words = list(dict.fromkeys(words))
    counts = [int(1000 / rank) + 1 for rank in range(1, len(words) + 1)]
    assert compiled(words, counts, 250, rule, 1) == slowly(words, counts, 250, rule, 1)


def test_products_of_192_bits():
    from trivium.tokenizers.score_kernel import compare_products

    draws = random.Random(3)
    for _ in range(2000):
        bits = draws.choice([3, 20, 31, 62])
        one = [draws.getrandbits(bits) for _ in range(3)]
        other = draws.choice([one[::-1], [one[0], one[1], max(0, one[2] - 1)], [draws.getrandbits(bits) for _ in one]])
        exact = one[0] * one[1] * one[2] - other[0] * other[1] * other[2]
        assert compare_products(*one, *other) == (exact > 0) - (exact < 0)


def test_pairs_that_do_not_fit_are_refused():
    draws = random.Random(1)
    words = ["".join(chr(draws.randrange(0x4E00, 0x9FFF)) for _ in range(20)) for _ in range(2000)]
    codes, ends = letters(words)
    symbols = symbols_of(codes, ends, np.ones(len(words), np.int64))
    with pytest.raises(RefusedError, match=r"pairs of 40,000 characters in 2,000 different words need .* --memory"):
        merges_by_frequency(symbols, 100, memory=3 << 20)
    assert len(merges_by_frequency(symbols, 100, memory=16 << 20)) == 100


PEAK = """
import sys
from trivium.tokenizers.wordpiece import train_wordpiece
def peak():  # of this process alone: what the one that started it had is not counted
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
count, memory = int(sys.argv[1]), int(sys.argv[2])
train_wordpiece(["base and base bade"], 14)
open("/proc/self/clear_refs", "w").write("5")
base = peak()
texts = (" ".join(f"{n * 7919 % 999999937:09x}" for n in range(s, s + 1000)) for s in range(0, count, 1000))
assert len(train_wordpiece(texts, 400, memory=memory)) == 400
print(peak() - base)
"""


@pytest.mark.parametrize(
    ("count", "memory"), [(40_000, 31 << 20), pytest.param(1_000_000, 560 << 20, marks=pytest.mark.slow)]
)
def test_learning_keeps_the_memory(count, memory):
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system does not tell a process its peak memory")
    command = [sys.executable, "-c", PEAK, str(count), str(memory)]
    gained = int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=280).stdout)
    assert gained < memory


INTERRUPTED = """
import os, random, signal, threading, time
import numpy as np
from trivium.tokenizers.merging import letters, merges_by_score, symbols_of
draws = random.Random(2)
words = ["".join(draws.choices("abcdefghijklmnopqrstuvwxyz", k=12)) for _ in range(60_000)]
codes, ends = letters(words)
symbols = symbols_of(codes, ends, np.ones(len(words), np.int64))
merges_by_score(symbols_of(codes[:12].copy(), ends[:1], np.ones(1, np.int64)), 3)
sent = []
def stop():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.5, stop).start()
try:
    merges_by_score(symbols, 1_000_000)
    print("it ended before")
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
"""


def test_ctrl_c_is_answered_between_slices():
    out = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=True)
    assert float(out.stdout) < 5
