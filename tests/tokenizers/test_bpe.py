"""Byte-level BPE: GPT-2's pattern, exact decoding, what a vocabulary can and cannot be."""

import subprocess
import sys
from itertools import chain, repeat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.tokenizers import STYLES, SpecialTokens, train_bpe


def byte_characters():
    """GPT-2's table from byte to character (facts: bytes_to_unicode), written from its definition."""
    same = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in same]
    return {byte: chr(byte) for byte in same} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def test_the_vocabulary_is_controls_bytes_and_merges(trained):
    assert trained.vocab_size == 400
    controls = [trained.piece(number) for number in range(37)]
    assert controls == ["<pad>", "<s>", "</s>", "<unk>", "<mask>", *(f"<extra_id_{n}>" for n in range(32))]
    assert {trained.piece(number) for number in range(37, 37 + 256)} == set(byte_characters().values())
    merges = trained.whole.model.__getstate__()
    assert trained.vocab_size == 37 + 256 + len(__import__("json").loads(merges)["merges"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello  world's 3 cats!!\n\n", ["Hello", " ", " world", "'s", " 3", " cats", "!!", "\n\n"]),
        ("I'LL don't  x=12.5 ok", ["I", "'", "LL", " don", "'t", " ", " x", "=", "12", ".", "5", " ok"]),
    ],
)
def test_gpt2s_pattern(trained, text, words):
    assert [text[slice(*span)] for _, span in trained.plain.pre_tokenizer.pre_tokenize_str(text)] == words


def test_merges_follow_frequency_by_a_slow_count():
    """The classical loop of Sennrich et al. (2016) over GPT-2's words; ties by the lower pair of ids."""
    text = "low low low low low lower lower newest newest newest newest newest newest widest widest widest"
    tokenizer = train_bpe([text], 37 + 256 + 8)
    spelling = byte_characters()
    words = [[spelling[byte] for byte in (" " * (n > 0) + word).encode()] for n, word in enumerate(text.split())]
    ids = {tokenizer.piece(number): number for number in range(37, 37 + 256)}
    for step in range(8):
        counts = {}
        for word in words:
            for pair in zip(word, word[1:], strict=False):
                counts[pair] = counts.get(pair, 0) + 1
        left, right = min(counts, key=lambda pair: (-counts[pair], ids[pair[0]], ids[pair[1]]))
        assert tokenizer.piece(37 + 256 + step) == left + right
        ids[left + right] = 37 + 256 + step
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == (left, right):
                    word[at : at + 2] = [left + right]
                at += 1
    assert [tokenizer.piece(i) for i in tokenizer.encode(text).ids] == [piece for word in words for piece in word]


def test_a_rare_word_splits_and_a_frequent_word_stays_whole(trained):
    """Row T03/T05: as athazagoraphobia -> _ath az agor aphobia with GPT-2's own merges."""
    rare, frequent = trained.encode(" athazagoraphobia").ids, trained.encode(" reads").ids
    assert len(rare) > 3 and len(frequent) == 1
    assert "".join(trained.piece(number) for number in rare) == "Ġathazagoraphobia"
    assert trained.piece(frequent[0]) == "Ġreads"


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("e\u0301 \u00e9 \ufeff\ufffd\uffff\0\r\n\u2028")
@example("  leading and trailing  \n")
@example("👩‍👩‍👧 नमस्ते สวัสดี 你好")
def test_any_text_comes_back_exactly(trained, text):
    ids = trained.encode(text).ids
    assert trained.decode(ids) == text
    assert trained.encode_batch([text]) == [ids]
    assert not set(ids) & trained.controls


def test_nothing_is_unknown_and_nothing_gives_nothing(trained):
    assert (
        trained.encode("").ids == [] and trained.encode_batch(["", ""]) == [[], []] and trained.encode_batch([]) == []
    )
    assert trained.unknown not in trained.encode("\U0010ffff").ids


def test_bytes_that_are_no_character_are_replaced(trained):
    ids = trained.encode("é").ids
    assert trained.decode(ids[:1]) == "\ufffd"


def test_training_is_repeatable(trained):
    corpus = ["the cat sat on the mat " * 3, "a dog, a log and a bog"] * 5
    assert train_bpe(corpus, 310).fingerprint == train_bpe(iter(corpus), 310).fingerprint
    assert train_bpe(corpus, 310).fingerprint != train_bpe(corpus, 309).fingerprint


@pytest.mark.parametrize("style", STYLES)
def test_every_style_of_special_tokens_trains(style):
    controls = STYLES[style].strings()
    tokenizer = train_bpe(["one two three two three three"] * 9, len(controls) + 256 + 6, specials=STYLES[style])
    assert tokenizer.specials == STYLES[style]
    assert [tokenizer.piece(number) for number in range(len(controls))] == list(controls)
    assert tokenizer.sentinels == tuple(tokenizer.whole.token_to_id(string) for string in STYLES[style].sentinels)


def test_a_vocabulary_larger_than_the_text_supports():
    with pytest.raises(
        DataError, match=r"a vocabulary of 5000 was asked for, but 11 characters .* only (\d+) tokens"
    ) as e:
        train_bpe(["hello hello"], 5000)
    supported = int(str(e.value).split("only ")[1].split()[0])
    assert train_bpe(["hello hello"], supported).vocab_size == supported
    with pytest.raises(DataError):
        train_bpe(["hello hello"], supported + 1)


def test_vocabularies_too_small_and_texts_that_are_empty():
    with pytest.raises(SettingsError, match="256 bytes and 37 special tokens need 293"):
        train_bpe(["text"], 292)
    assert train_bpe(["text"], 293).vocab_size == 293
    for empty in ([], ["", ""]):
        with pytest.raises(DataError, match="no text to learn"):
            train_bpe(empty, 300)


def test_a_special_token_that_is_a_word_is_refused():
    with pytest.raises(SettingsError, match="'PAD' could be a word"):
        train_bpe(["text"], 300, specials=SpecialTokens(pad="PAD"))


def test_half_a_surrogate_pair_is_an_error_of_the_data():
    with pytest.raises(DataError, match="cannot be learnt"):
        train_bpe(["ab\ud800"], 293)


@pytest.mark.slow
def test_all_of_a_large_text_is_read():
    """No sampling of its own accord: a word of the last document alone is learnt from 40 MB of text."""
    texts = chain(repeat("some words of a text, over and over again. " * 1000, 930), ["zyzzyva " * 50])
    tokenizer = train_bpe(texts, 37 + 256 + 31)  # all that the text supports
    assert len(tokenizer.encode(" zyzzyva").ids) == 1


def test_learning_that_outgrows_its_memory_is_refused():
    texts = (" ".join(f"{number:x}" for number in range(start, start + 10_000)) for start in range(0, 1 << 60, 10_000))
    with pytest.raises(
        RefusedError, match=r"takes more than [\d,]+ bytes .* 1,000,000: raise --memory, or .* --sample"
    ):
        train_bpe(texts, 400, memory=1_000_000)
    assert int(next(texts).split()[0], 16) < 10_000_000  # and it stopped reading


def test_an_error_of_the_documents_comes_through():
    def documents():
        yield "text"
        raise DataError("line 7 is damaged")

    with pytest.raises(DataError, match="^line 7 is damaged"):
        train_bpe(documents(), 300)


INTERRUPTED = """
import itertools, os, signal, sys, threading, time
from trivium.tokenizers.background import Watch, in_background
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
begun = time.perf_counter()
try:
    in_background(lambda: time.sleep(60), Watch(1 << 40))
except KeyboardInterrupt:
    print(time.perf_counter() - begun)
"""


def test_ctrl_c_is_answered_while_the_library_works():
    out = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30, check=True)
    assert float(out.stdout) < 5
