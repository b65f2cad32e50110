"""What holds for every metric: the order of the examples does not matter, and none at all are an error."""

import random

import pytest

from trivium.metrics import LOWER_IS_BETTER, METRICS, likelihood

TAGS = ["B-X", "I-X", "O", "B-Y"]


def columns(name, draw, count=50):
    """One to three lists of one length, as the metric wants them."""

    def tags():
        return draw.choices(TAGS, k=4)

    def text():
        return " ".join(draw.choices("the cat sat on a mat".split(), k=5))

    def spans():
        return [(draw.choice("xy"), draw.randrange(3), draw.randrange(3, 6)) for _ in range(3)]

    makers = {
        "classification": (lambda: draw.randrange(3), lambda: draw.randrange(3)),
        "binary_f1": (lambda: draw.randrange(2), lambda: draw.randrange(2)),
        "multi_label": (lambda: set(draw.choices("abc", k=2)), lambda: set(draw.choices("abc", k=2))),
        "regression": (draw.random, draw.random),
        "calibration": (draw.random, lambda: draw.random() < 0.5),
        "entity_scores": (tags, tags),
        "span_scores": (spans, spans),
        "squad": (text, lambda: [text(), text()]),
        "multirc": (lambda: draw.randrange(9), lambda: draw.randrange(2), lambda: draw.randrange(2)),
        "rouge": (text, text),
        "translation": (text, text),
        "diversity": (text,),
    }
    return [[make() for _ in range(count)] for make in makers[name]]


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"likelihood", "record"}))
def test_order_does_not_matter(name):
    draw = random.Random(3)
    given = columns(name, draw)
    order = draw.sample(range(50), 50)
    first, second = METRICS[name](*given), METRICS[name](*[[column[i] for i in order] for column in given])
    if name == "translation":
        first, second = vars(first), vars(second)
    assert first == pytest.approx(second) if name != "translation" else first == second
    if name != "binary_f1":
        with pytest.raises(ValueError):
            METRICS[name](*[[] for _ in given])


def test_scores_that_are_better_when_low():
    assert set(likelihood(2.0, 3, words=2, characters=4, bytes=4)) <= LOWER_IS_BETTER
    draw = random.Random(0)
    for name in ("classification", "squad", "rouge", "entity_scores", "record"):
        given = ({1: "a"}, {1: ["a"]}) if name == "record" else columns(name, draw)
        assert not set(METRICS[name](*given)) & LOWER_IS_BETTER
