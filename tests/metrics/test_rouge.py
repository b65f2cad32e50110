"""Against the package rouge_score, and by hand."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from trivium.metrics import lead, rouge
from trivium.metrics.rouge import TYPES, rouge_each

GOLD, SAID = "the cat sat on the mat\nthe dog barked", "the cat lay on the mat\na dog was barking"


def test_the_worked_examples():
    plain = rouge([SAID], [GOLD])
    assert [plain[name] for name in TYPES] == pytest.approx([0.631579, 0.352941, 0.631579, 0.631579], abs=1e-6)
    first, second = "the dog barked", "the cat sat"
    turned = rouge([f"{second}\n{first}"], [f"{first}\n{second}"])
    assert [turned["rougeL"], turned["rougeLsum"]] == [0.5, 1.0]


def test_the_worked_example_with_stems():
    each = rouge_each(SAID, GOLD, stem=True)
    assert [each["rouge1"].precision, each["rouge1"].recall] == pytest.approx([0.7, 0.777778], abs=1e-6)
    assert [each[name].f1 for name in TYPES] == pytest.approx([0.736842, 0.352941, 0.736842, 0.736842], abs=1e-6)


def summaries(draw):
    words = "the cats cat running runs national nation dog's dog café 12 U.S. hopefully the a".split()
    lines = [" ".join(draw.choices(words, k=draw.randrange(8))) for _ in range(draw.randrange(1, 4))]
    return "\n".join(lines)


@pytest.mark.parametrize("stem", [False, True])
def test_a_thousand_texts_as_the_package(stem):
    scorer = RougeScorer(list(TYPES), use_stemmer=stem)
    draw = random.Random(0)
    for _ in range(1000):
        said, golds = summaries(draw), [summaries(draw) for _ in range(draw.randrange(1, 3))]
        ours, theirs = rouge_each(said, golds, stem), scorer.score_multi(golds, said)
        for name in TYPES:
            assert [ours[name].precision, ours[name].recall, ours[name].f1] == pytest.approx(list(theirs[name])), name


def test_subsequences_by_brute_force():
    """The longest common subsequence of short word lists, over all subsets."""
    draw = random.Random(2)

    def all_parts(words):
        return {tuple(w for i, w in enumerate(words) if chosen >> i & 1) for chosen in range(1 << len(words))}

    for _ in range(100):
        first, second = (draw.choices("abc", k=draw.randrange(1, 7)) for _ in range(2))
        longest = max(map(len, all_parts(first) & all_parts(second)))
        each = rouge_each(" ".join(second), " ".join(first))["rougeL"]
        assert each.recall == pytest.approx(longest / len(first))
        assert each.precision == pytest.approx(longest / len(second))


def test_lead_takes_the_first_sentences():
    text = 'It rained. "Did it?" he asked. Dr. no. 5 came!\nThen came the sun. The end.'
    assert lead(text) == 'It rained.\n"Did it?" he asked.\nDr. no.'
    assert lead("One line") == "One line" and lead("", 3) == ""
    assert lead("a b.\nC d.", 1) == "a b."


def test_empty_texts_and_errors():
    assert set(rouge([""], ["word"]).values()) == set(rouge(["word"], [""]).values()) == {0.0}
    for call in (lambda: rouge([], []), lambda: rouge(["a"], []), lambda: rouge_each("a", [])):
        with pytest.raises(ValueError):
            call()
