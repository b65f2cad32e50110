"""Worked corpus scores: by hand from the counts, and those that sacrebleu 2 prints."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.metrics import translation
from trivium.metrics.translation import bleu, bleu_counts, bleu_of, chrf, chrf_counts, chrf_of

texts = st.lists(st.sampled_from("the cat sat on a mat . It's 3.5 %".split()), max_size=9).map(" ".join)

SAID, GOLD = "the cat is on the mat", "the cat sat on the mat"


def test_bleu_by_hand():
    found = translation([SAID], [GOLD])
    precisions = [5 / 6, 3 / 5, 1 / 4, 1 / 6]  # no four words in common: 1 / (2 * 3)
    assert found.bleu == pytest.approx(100 * math.exp(sum(map(math.log, precisions)) / 4))
    assert found.bleu == pytest.approx(37.991784)
    both = translation([SAID, "hello there world !"], [GOLD, "hello there , world !"])
    assert both.bleu == pytest.approx(29.770825)
    assert found.bleu_signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "chrF2" not in found.chrf_signature and "nc:6" in found.chrf_signature


def test_several_references_and_choices():
    assert translation([SAID], [[GOLD, SAID]]).bleu == pytest.approx(100)
    uneven = translation([SAID, "good day sir yes"], [[GOLD, SAID], ["good day sir yes"]])
    assert uneven.bleu == pytest.approx(100) and "nrefs:var" in uneven.bleu_signature
    shouted = SAID.upper()
    assert translation([shouted], [SAID], lowercase=True).bleu == pytest.approx(100)
    assert translation([shouted], [SAID]).bleu < 5
    assert "tok:intl" in translation([SAID], [GOLD], tokenize="intl").bleu_signature


def test_what_cannot_be_scored():
    with pytest.raises(ValueError, match="no texts"):
        translation([], [])
    with pytest.raises(ValueError, match="1 predictions but 2"):
        translation(["a"], ["b", "c"])


@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_scores_from_counts_are_the_same(pairs):
    said, golds = [said for said, _ in pairs], [golds for _, golds in pairs]
    assert bleu(said, golds) == pytest.approx(translation(said, golds).bleu, abs=1e-9)
    assert chrf(said, golds) == pytest.approx(translation(said, golds).chrf, abs=1e-9)
    shouted = [text.upper() for text in said]
    theirs = translation(shouted, golds, tokenize="char", lowercase=True)
    assert bleu_of(bleu_counts(shouted, golds, "char", True).sum(0)[None])[0] == pytest.approx(theirs.bleu, abs=1e-9)
    assert chrf_of(chrf_counts(shouted, golds, True).sum(0)[None])[0] == pytest.approx(theirs.chrf, abs=1e-9)


def test_counts_of_no_texts_are_refused():
    for score in (bleu, chrf):
        with pytest.raises(ValueError, match="no texts"):
            score([], [])
