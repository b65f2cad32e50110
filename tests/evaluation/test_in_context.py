"""In-context learning: worked numbers, brute force over a model's own logits, draws, and room in the context."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trivium
from trivium.errors import SettingsError
from trivium.evaluation import Scorer
from trivium.evaluation.demonstrations import cosines, drawn, nearest, word_overlap
from trivium.evaluation.in_context import InContext, Room, ask, calibrated, chosen, most_that_fit, option_scores
from trivium.evaluation.resampling import crossed, crossed_measures, means
from trivium.generation.score import Score
from trivium.text.few_shot import Case, Layout

LAYOUT = Layout("", "{text} is {answer}", "\n")


def case(text: str, gold: int, options: tuple[str, ...] = ("a list", "an error")) -> Case:
    return Case(text, {"text": text}, options, (options[gold],), str(gold))


POOL = [case(f"item {n}", n % 2) for n in range(12)]


@pytest.fixture(scope="module")
def scorer(tiny_models: dict[str, Path]) -> Scorer:
    loaded = trivium.load(tiny_models["gpt2"])
    return Scorer(loaded.model, loaded.tokenizer)


def test_the_papers_normalisation_flips_the_worked_example(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given lp(c|context), lp(c|answer_context): positive (-2.0, -1.0), negative (-1.5, -0.2): raw picks negative,
    normalised -1.0 against -1.3 picks positive."""
    known = {("x is", " positive"): -2.0, ("is", " positive"): -1.0, ("x is", " negative"): -1.5,
             ("is", " negative"): -0.2}  # fmt: skip

    def continuations(self: Scorer, pairs: list[tuple[str, str]]) -> tuple[list[Score], int]:
        return [Score((known[pair] / 2,) * 2, False) for pair in pairs], 0

    monkeypatch.setattr(Scorer, "continuations", continuations)
    one = [case("x", 0, ("positive", "negative"))]
    raw = option_scores(scorer, one, ["x is"], LAYOUT, "sum")[0][0]
    mean = option_scores(scorer, one, ["x is"], LAYOUT, "token")[0][0]
    normalised = option_scores(scorer, one, ["x is"], LAYOUT, "unconditional")[0][0]
    assert raw.tolist() == [-2.0, -1.5] and mean.tolist() == [-1.0, -0.75]
    assert normalised == pytest.approx([-1.0, -1.3])


@pytest.mark.parametrize("how", ["sum", "token", "unconditional"])
def test_scores_are_sums_of_the_models_own_logits(scorer: Scorer, how: str) -> None:
    prompt = LAYOUT.prompt(POOL[:2], {"text": "the file"})
    found = option_scores(scorer, [case("the file", 0)], [prompt], LAYOUT, how)[0][0]
    tokenizer = scorer.tokenizer

    def total(before: str, option: str) -> tuple[float, int]:
        known, whole = len(tokenizer.encode(before).ids), tokenizer.encode(before + option).ids
        from trivium.transformer import Inputs, Tokens

        with torch.no_grad():
            logits = scorer.model(Inputs(target=Tokens(torch.tensor([whole]))), at="all").logits
        logp = logits.float().log_softmax(-1).reshape(len(whole), -1)
        return sum(float(logp[at - 1, whole[at]]) for at in range(known, len(whole))), len(whole) - known

    wanted = []
    for option in (" a list", " an error"):
        value, count = total(prompt, option)
        wanted.append({"sum": value, "token": value / count, "unconditional": value - total("is", option)[0]}[how])
    assert found == pytest.approx(wanted, abs=1e-4)


def test_calibration_by_hand() -> None:
    """p = (.6, .4), content-free (.8, .2): p / p_cf = (.75, 2), normalised (.2727, .7273): the other option."""
    found = calibrated(np.log([0.6, 0.4]), np.log([[0.8, 0.2], [0.8, 0.2]]))
    assert found == pytest.approx([0.75 / 2.75, 2 / 2.75])


def test_calibrating_what_has_no_content_is_even(scorer: Scorer) -> None:
    settings = InContext(calibrate=True)
    (said,) = ask(scorer, LAYOUT, settings, [case("N/A", 0)], POOL, [[0, 1]]).said
    assert 0.3 < said.probability < 0.9  # one of three inputs whose mean is divided by
    with pytest.raises(SettingsError, match="calibrate weighs the probabilities"):
        InContext(calibrate=True, score="generate")
    with pytest.raises(SettingsError, match="the same options for every question"):
        ask(scorer, LAYOUT, settings, [case("a", 0), case("b", 0, ("c", "d"))], POOL, [[], []])


def test_weights_are_bitwise_unchanged(scorer: Scorer) -> None:
    before = {name: tensor.clone() for name, tensor in scorer.model.state_dict().items()}
    ask(scorer, LAYOUT, InContext(score="generate", max_tokens=3), [case("x", 0)], POOL, [[1]])
    ask(scorer, LAYOUT, InContext(score="unconditional"), [case("x", 0)], POOL, [[1]])
    assert all(torch.equal(before[name], tensor) for name, tensor in scorer.model.state_dict().items())


@given(st.integers(0, 5), st.integers(0, 12), st.integers(0, 3), st.booleans())
def test_smaller_draws_are_the_end_of_larger_ones(seed: int, count: int, draw: int, balanced: bool) -> None:
    large, small = (drawn(POOL, n, seed, draw, balanced) for n in (12, count))
    assert sorted(large) == list(range(12)) and small == large[12 - count :]
    if balanced:
        labels = [POOL[i].label for i in small]
        assert abs(labels.count("0") - labels.count("1")) <= 1


def test_draws_differ_and_rows_may_have_their_own() -> None:
    shared = chosen(InContext(), POOL, 3, 4, 0)
    apart = chosen(InContext(redraw=True), POOL, 3, 4, 0)
    assert all(row == shared[0] for row in shared) and len({tuple(row) for row in apart}) > 1
    assert chosen(InContext(), POOL, 3, 4, 1) != shared != chosen(InContext(seed=1), POOL, 3, 4, 0)


def test_similar_examples_stand_last() -> None:
    assert nearest(np.array([[0.1, 0.9, 0.5]]), 2) == [[2, 1]]
    assert nearest(cosines(np.array([[1.0, 0]]), np.array([[0, 3.0], [5, 0], [1, 1]])), 3) == [[0, 2, 1]]
    found = word_overlap(["a rare word"], ["the word", "a rare word here", "nothing", "a a a"])
    assert found[0].argmax() == 1 and found[0, 2] == 0 and found.shape == (1, 4)


def test_bm25_by_hand() -> None:
    """idf = ln(1 + (2 - 1 + .5) / (1 + .5)) = ln 2; tf 1, length 1 of mean 1.5: k1 (1 - b + b / 1.5) = 1.125."""
    assert word_overlap(["x"], ["x", "y z"])[0, 0] == pytest.approx(np.log(2) * 2.5 / (1 + 1.125))


def test_prompts_that_do_not_fit_lose_whole_examples_the_furthest_first(scorer: Scorer) -> None:
    room = Room(scorer, LAYOUT, 0)
    asked = case("the file", 0)
    kept = room.fitting(POOL, asked)
    limit = scorer.model.config.context
    assert 0 < len(kept) < len(POOL) and kept == POOL[len(POOL) - len(kept) :]
    one_more = LAYOUT.prompt(POOL[len(POOL) - len(kept) - 1 :], asked.fields)
    longest = len(scorer.tokenizer.encode(" an error").ids)
    assert len(scorer.tokenizer.encode(LAYOUT.prompt(kept, asked.fields)).ids) + longest <= limit
    assert len(scorer.tokenizer.encode(one_more).ids) + longest + 2 > limit
    numbers = [list(range(12))]
    assert most_that_fit(scorer, LAYOUT, InContext(), [asked], POOL, numbers) == len(kept)
    found = ask(scorer, LAYOUT, InContext(), [asked], POOL, numbers)
    assert found.said[0].shown == len(kept) and found.cut == 0
    long = case("the file " * 60, 0)
    lost = ask(scorer, LAYOUT, InContext(), [long], POOL, numbers)
    assert lost.said[0].shown == 0 and lost.cut == 1


def test_what_is_written_is_compared_with_the_words(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    from trivium.generation.completion import Completion

    made = [
        Completion(0, 0, " An error", "stop", (1, 2), (-0.5, -0.25)),
        Completion(1, 0, " a lis", "length", (1,), (-1.0,)),
    ]
    monkeypatch.setattr(Scorer, "write", lambda self, prompts, sampling: (made, 0))
    found = ask(scorer, LAYOUT, InContext(score="generate"), [case("x", 1), case("y", 0)], POOL, [[], []])
    assert [each.hits for each in found.said] == [{"accuracy": 1.0}, {"accuracy": 0.0}]
    free = [Case("q", {"text": "capital"}, (), ("the Paris", "Lutetia"))] * 2
    found = ask(scorer, LAYOUT, InContext(), free, [], [[], []])
    assert found.said[0].hits == {"exact": 0.0, "f1": 0.0}


def test_intervals_over_rows_and_draws() -> None:
    rng = np.random.default_rng(0)
    one = crossed((rng.random((1, 200)) < 0.7).astype(float))
    assert one.method == "wilson"
    several = crossed(np.stack([np.r_[np.ones(k), np.zeros(200 - k)] for k in (120, 140, 160)]))
    assert several.value == pytest.approx(0.7) and several.low < 0.64 and several.high > 0.76  # type: ignore[operator]
    same = crossed(np.repeat(np.r_[np.ones(140), np.zeros(60)][None], 5, axis=0))
    assert same.low == pytest.approx(one.low, abs=0.08)  # draws that agree leave the rows' doubt alone
    assert crossed(np.ones((3, 1))).low is None


def test_what_is_written_is_what_the_model_writes_alone(scorer: Scorer, tiny_models: dict[str, Path]) -> None:
    from trivium import Sampling, Search

    model = trivium.load(tiny_models["gpt2"])
    prompts = ["the file is", "a list of items and", "x"]
    greedy = Sampling(5, temperature=0, top_p=1)
    made, cut = scorer.write(prompts, greedy)
    assert [each.text for each in made] == [model.generate(prompt, greedy).text for prompt in prompts] and cut == 0
    ids, _ = scorer.write([tuple(model.tokenizer.encode(prompt).ids) for prompt in prompts], greedy)
    assert [each.tokens for each in ids] == [each.tokens for each in made]
    found, _ = scorer.write(prompts, Search(beams=2, max_tokens=4))
    assert [each.text for each in found] == [model.generate(p, Search(beams=2, max_tokens=4)).text for p in prompts]
    with pytest.raises(SettingsError, match="are not searched with beams"):
        scorer.write([(1, 2)], Search(beams=2))
    long, cut = scorer.write(["the file " * 60], greedy)
    assert cut == 1 and len(long[0].tokens) <= 5


def test_scores_that_are_no_means_are_drawn_the_same_way() -> None:
    values = np.random.default_rng(1).random((3, 40))
    mean = crossed(values)
    measures = [means({"it": row}) for row in values]
    assert crossed_measures(40, measures) == {"it": mean}
    squared = [lambda weights, row=row: {"it": (weights @ row / weights.sum(1)) ** 2} for row in values]
    found = crossed_measures(40, squared)["it"]
    assert found.value == pytest.approx(np.mean(values.mean(axis=1) ** 2)) and found.low < found.value < found.high
