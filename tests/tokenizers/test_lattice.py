"""Segmentations of a text: the best ones against enumeration and sentencepiece, random ones against their chances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from trivium.errors import SettingsError
from trivium.randomness import Draws
from trivium.tokenizers import train_bpe
from trivium.tokenizers.lattice import best_segmentations, build_lattice, sample_segmentation
from trivium.tokenizers.sentencepiece import Kind, Piece, SentencePieces, tokenizer_of
from trivium.tokenizers.sentencepiece_file import model_bytes

WORKED = {"h": 0.2, "u": 0.2, "g": 0.2, "hu": 0.1, "ug": 0.2, "hug": 0.1}
POSTERIORS = {("h", "u", "g"): 0.047619, ("h", "ug"): 0.238095, ("hu", "g"): 0.119048, ("hug",): 0.595238}


def tokenizer_with(vocabulary, **settings):
    pieces = (Piece("<unk>", 0.0, Kind.UNKNOWN), *(Piece(text, math.log(p)) for text, p in vocabulary.items()))
    return tokenizer_of(SentencePieces(pieces, "unigram", **settings), "this model")


@pytest.fixture(scope="module")
def worked():
    return tokenizer_with(WORKED, prefix=False)


def spelt(tokenizer, ids):
    return tuple(tokenizer.piece(number) for number in ids)


def test_the_best_segmentations_of_hug(worked):
    found = best_segmentations(worked, "hug", 9)
    assert [spelt(worked, ids) for ids, _ in found] == [("hug",), ("h", "ug"), ("hu", "g"), ("h", "u", "g")]
    assert [math.exp(score) for _, score in found] == pytest.approx([0.1, 0.04, 0.02, 0.008])
    assert found[:2] == best_segmentations(worked, "hug", 2)
    assert best_segmentations(worked, "", 3) == [([], 0.0)]


def frequencies(worked, alpha, best=None, count=4000):
    found = [
        spelt(worked, sample_segmentation(worked, "hug", alpha, Draws(5, np.array([number])), best))
        for number in range(count)
    ]
    return [found.count(way) for way in POSTERIORS]


def test_samples_follow_the_posteriors(worked):
    """Facts: the posteriors of the worked E step; chi-square over 4,000 draws."""
    expected = np.array(list(POSTERIORS.values()))
    assert chisquare(frequencies(worked, 1.0), expected / expected.sum() * 4000).pvalue > 0.01
    raised = expected**0.3
    assert chisquare(frequencies(worked, 0.3), raised / raised.sum() * 4000).pvalue > 0.01
    assert chisquare(frequencies(worked, 0.0), [1000] * 4).pvalue > 0.01
    two = np.array([0.0, expected[1], 0.0, expected[3]])
    found = frequencies(worked, 1.0, best=2)
    assert found[0] == found[2] == 0
    assert chisquare([found[1], found[3]], two[[1, 3]] / two.sum() * 4000).pvalue > 0.01


def test_a_large_alpha_is_viterbi_and_a_draw_is_repeatable(worked):
    for alpha in (200.0, math.inf):
        assert frequencies(worked, alpha, count=50) == [0, 0, 0, 50]
    draws = [Draws(seed, np.array([7])) for seed in (1, 1, 2)]
    text = "hughughughughughug"
    one, again, other = (sample_segmentation(worked, text, 0.2, each) for each in draws)
    assert one == again != other


@given(st.lists(st.text("ab", min_size=1, max_size=4), max_size=6, unique=True), st.text("abc", max_size=8))
def test_the_best_are_those_of_an_enumeration(parts, text):
    vocabulary = {"a": 0.11, "b": 0.07} | {part: 0.013 * (number + 1) for number, part in enumerate(parts)}
    tokenizer = tokenizer_with(vocabulary, prefix=False)
    unknown = min(map(math.log, vocabulary.values())) - 10

    def ways(rest):
        if not rest:
            return [0.0]
        heads = [(len(part), math.log(p)) for part, p in vocabulary.items() if rest.startswith(part)] or [(1, unknown)]
        return [score + later for size, score in heads for later in ways(rest[size:])]

    every = sorted(ways(text), reverse=True)
    found = best_segmentations(tokenizer, text, 10_000)
    assert [score for _, score in found] == pytest.approx(every)
    assert found[0][1] == pytest.approx(every[0])
    assert len({tuple(ids) for ids, _ in found}) == len(found) or "c" in text
    if len(every) < 2 or every[0] - every[1] > 1e-9:
        assert found[0][0] == tokenizer.encode(text).ids
    drawn = sample_segmentation(tokenizer, text, 0.5, Draws(0, np.array([1])))
    assert drawn in [ids for ids, _ in found]


def test_unknown_characters_are_bytes_or_one_token():
    letters = {"▁": 0.2, "a": 0.2, "▁a": 0.1}
    plain = tokenizer_with(letters)
    assert spelt(plain, best_segmentations(plain, "a é漢a")[0][0]) == ("▁a", "▁", "<unk>", "a")
    pieces = (Piece("<unk>", 0.0, Kind.UNKNOWN), *(Piece(f"<0x{byte:02X}>", 0.0, Kind.BYTE) for byte in range(256)))
    learnt = tuple(Piece(text, math.log(p)) for text, p in letters.items())
    whole = tokenizer_of(SentencePieces(pieces + learnt, "unigram", byte_fallback=True), "this model")
    for text in ("a é漢a", "<0x41>", "<unk>"):
        ids = best_segmentations(whole, text)[0][0]
        assert ids == whole.encode(text).ids
        assert whole.decode(ids) == text
    lattice = build_lattice(whole, "a a")
    assert lattice.text == "▁a▁a" and [len(arriving) for arriving in lattice.arriving] == [0, 1, 2, 1, 2]


def test_sentencepieces_own_best_and_its_own_samples(unigram_tokenizer):
    """The same lattice there: equal n-best lists with equal scores, and equal chances of a sampled word."""
    import sentencepiece

    peer = sentencepiece.SentencePieceProcessor(model_proto=model_bytes_of(unigram_tokenizer))
    for text in ("Return the number of items.", "unknowable 日本 words", "a  b", "naïve"):
        found = best_segmentations(unigram_tokenizer, text, 12)
        theirs = peer.nbest_encode_as_proto(text, 12).nbests
        assert [score for _, score in found] == pytest.approx([each.score for each in theirs], abs=1e-3)
        assert {tuple(ids) for ids, _ in found} == {tuple(p.id for p in each.pieces) for each in theirs}
    word, count = "argumentative", 3000
    mine = [tuple(sample_segmentation(unigram_tokenizer, word, 0.3, Draws(3, np.array([n])))) for n in range(count)]
    sentencepiece.set_random_generator_seed(1)
    other = [tuple(peer.sample_encode_as_ids(word, -1, 0.3)) for _ in range(count)]
    ways = [way for way in {*mine} if mine.count(way) + other.count(way) >= 40]
    pooled = [(mine.count(way), other.count(way)) for way in ways]
    rest = (count - sum(a for a, _ in pooled), count - sum(b for _, b in pooled))
    statistic = sum((a - b) ** 2 / (a + b) for a, b in [*pooled, rest] if a + b)
    assert len(ways) > 3
    assert statistic < len(pooled) + 5 * math.sqrt(2 * len(pooled))


def model_bytes_of(tokenizer):
    from trivium.tokenizers.sentencepiece import sentencepieces_of

    return model_bytes(sentencepieces_of(tokenizer))


def test_what_cannot_be_asked(worked):
    with pytest.raises(SettingsError, match="0 best segmentations"):
        best_segmentations(worked, "hug", 0)
    for alpha in (-1.0, math.nan):
        with pytest.raises(SettingsError, match="no temperature"):
            sample_segmentation(worked, "hug", alpha, Draws(0, np.array([0])))
    with pytest.raises(SettingsError, match="only a Unigram model"):
        best_segmentations(train_bpe(["text"], 293), "text")
