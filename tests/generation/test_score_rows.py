"""Rows that are read once: the same scores as when every question is asked alone, by every kind of network."""

import pytest
import torch

import trivium
from trivium.generation import score
from trivium.generation.questions import about_continuation
from trivium.generation.score_rows import Group, Question, groups, merged

SHOTS = "the quick brown fox jumps over a list. "


def asked(ids: tuple[int, ...], *places: int) -> Question:
    return Question(ids, places, tuple(range(len(places))))


def test_a_row_that_begins_another_is_answered_there() -> None:
    long, short, other = asked((1, 2, 3, 4), 3), asked((1, 2, 3), 1, 2), asked((1, 2, 9), 2)
    found = merged([short, long, other, long], causal=True)
    assert sorted(row.ids for row in found.rows) == [(1, 2, 3, 4), (1, 2, 9)]
    host = found.rows[found.places[1]]
    assert host.positions == (1, 2, 3, 3) and found.places[0] == found.places[1] == found.places[3]
    assert [found.starts[i] for i in (0, 1, 3)] == [0, 2, 3] and found.counts == (2, 1, 1, 1)
    assert len(merged([short, long, other, long], causal=False).rows) == 3


def test_a_shared_beginning_is_read_once_and_never_beyond_a_place_that_is_asked_about() -> None:
    rows = [asked((*range(50), 50 + n, 90 + n), 51) for n in range(3)] + [asked((7, 8, 9), 2)]
    assert groups(rows) == [Group(50, (0, 1, 2)), Group(0, (3,))]
    rows[1] = asked(rows[1].ids, 40, 51)
    assert groups(rows)[0] == Group(40, (0, 1, 2))
    assert groups([asked((1, 2, 3), 2)] * 2) == [Group(0, (0, 1))]


@pytest.mark.parametrize("family", ["gpt2", "llama", "lstm", "t5", "bert", "xlnet"])
def test_scores_are_those_of_each_question_alone(tiny_models: dict, family: str) -> None:  # type: ignore[type-arg]
    model = trivium.load(tiny_models[family])
    ends = ("every model", "raise an error", "a", "number 17")
    pairs = [(SHOTS * (n % 2) + f"text {n}:", f" {word}") for n in range(6) for word in ends]
    together = model.scores(pairs)
    for pair, one in zip(pairs, together, strict=True):
        questions = about_continuation(model.model, model.tokenizer, *pair)
        alone = [each for q in questions for each in score._answer(model.model, [q])]
        assert one.log_probabilities == pytest.approx([v for each in alone for v in each.values], abs=2e-5)


def test_beginnings_are_read_once(tiny_models: dict, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[type-arg]
    model = trivium.load(tiny_models["gpt2"])
    read = []
    forward = type(model.model).forward

    def counted(self, inputs, **others):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        read.append(inputs.target.ids.numel())
        return forward(self, inputs, **others)

    monkeypatch.setattr(type(model.model), "forward", counted)
    pairs = [(f"{SHOTS}text {n}:", f" {word}") for n in range(4) for word in ("yes", "no")]
    with torch.inference_mode():
        model.scores(pairs)
    whole = sum(len(model.tokenizer.encode("".join(pair)).ids) for pair in pairs)
    assert sum(read) < whole / 2
