"""Mixtures of objectives: exact shares, parts that are independent of batches, a loss that is the rows' mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.objectives.regularities import CHANCE, counting, learnt

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.objectives import KINDS, OBJECTIVES, Causal, Corruption, Masked, Mixed, Permutation
from trivium.randomness import Draws
from trivium.settings import build, dump, override, schema, to_toml
from trivium.training.settings import TrainingSettings
from trivium.training.trainer import Trainer
from trivium.transformer import Model, TransformerConfig, TwoStreamConfig, initialise
from trivium.transformer.two_stream import TwoStream, initialise_two_stream
from trivium.verbs.recipe import Recipe

BERT = TransformerConfig(vocab_size=400, width=16, heads=2, ffn_width=32, encoder_layers=2, context=64)
XLNET = TwoStreamConfig(400, width=32, heads=2, ffn_width=64, encoder_layers=2, context=64, init_std=0.1)
RATES = Mixed(parts=(Masked(rate=0.15), Masked(rate=0.4)), weights=(3, 1))


def test_a_cycle_of_draws_holds_the_exact_shares():
    part, _ = RATES.turns(np.arange(4000), 0, [0, 0])
    assert (np.bincount(part.reshape(-1, 4).sum(1), minlength=2)[1]) == 1000  # one of four, in each cycle
    assert len({tuple(each) for each in part.reshape(-1, 4)[:40].tolist()}) == 4  # in an order of its own


@pytest.mark.parametrize("weights", [(60, 22, 8, 8, 3), (0.2, 0.3, 0.5), (1.0, 2**0.5)])
def test_shares_of_any_stretch_are_the_weights_within_four_sigma(weights):
    mixed = Mixed(parts=tuple(Masked(rate=0.1 + 0.1 * n) for n in range(len(weights))), weights=weights)
    part, _ = mixed.turns(np.arange(777, 777 + 10_000), 5, [0] * len(weights))
    for found, weight in zip(np.bincount(part), np.array(weights) / sum(weights), strict=True):
        assert abs(found - 10_000 * weight) < 4 * (10_000 * weight * (1 - weight)) ** 0.5


@given(first=st.integers(0, 10**9), seed=st.integers(0, 3))
def test_each_group_reads_on_without_gaps_from_wherever_a_run_starts(first, seed):
    mixed = Mixed(parts=(Masked(), Causal(), Masked(rate=0.4)), weights=(2, 3, 1))
    groups = [0, 1, 0]
    numbers = np.arange(6 * first, 6 * first + 60)  # ten whole cycles, with three draws for each group
    part, place = mixed.turns(numbers, seed, groups)
    for group in (0, 1):
        of_group = sorted(place[np.asarray(groups)[part] == group].tolist())
        assert of_group == list(range(3 * first, 3 * first + 30))
    alone = [mixed.turns(numbers[n : n + 1], seed, groups) for n in range(60)]
    assert (np.concatenate([each for each, _ in alone]) == part).all()
    assert (np.concatenate([each for _, each in alone]) == place).all()


def test_losses_are_named_by_their_part():
    assert Mixed(parts=(Masked(), Causal())).names == ("masked", "causal")
    assert Mixed(parts=(Masked(), Causal(), Masked(rate=0.4))).names == ("masked_1", "causal", "masked_2")


def feed(mixed, tokenizer, micro):
    """16 rows a step of random text, in micro-batches of ``micro`` rows of one part."""

    def batches(number):
        numbers = np.arange(number * 16, number * 16 + 16)
        part, _ = mixed.turns(numbers, 0, [0] * len(mixed.parts))
        made = []
        for each in np.unique(part):
            draws = numbers[part == each]
            for start in range(0, len(draws), micro):
                rows = counting(draws[start : start + micro], 24, (tokenizer.separator,))
                made.append(mixed.batch(int(each), len(draws) / 16, rows, Draws(0, rows.draws), tokenizer))
        return made

    return batches


def trainer(mixed, tokenizer, micro=16):
    model = initialise(Model(BERT), 0)
    settings = TrainingSettings(steps=3, device="cpu", precision="float32", clip=0.0)
    return Trainer(model, mixed.loss, feed(mixed, tokenizer, micro), settings, steps=3)


def test_a_steps_loss_is_the_rows_mean_of_their_parts_means(tokenizer):
    """By hand: each part's rows in one pass, its mean over all its targets, weighted by its share of the rows."""
    made = trainer(RATES, tokenizer)
    by_hand = initialise(Model(BERT), 0)
    step = made.step()
    rows = counting(np.arange(16), 24, (tokenizer.separator,))
    part, _ = RATES.turns(np.arange(16), 0, [0, 0])
    total = torch.zeros(())
    for number, objective in enumerate(RATES.parts):
        some = np.flatnonzero(part == number)
        few = replace(rows, **{n: getattr(rows, n)[some] for n in ("tokens", "documents", "positions", "draws")})
        loss = objective.loss(by_hand, objective.batch(few, Draws(0, few.draws), tokenizer))["masked"]
        mean = loss.total / loss.count
        assert step.losses[RATES.names[number]] == pytest.approx(mean.item(), rel=1e-6)
        total = total + mean * len(some) / 16
    assert step.loss == pytest.approx(total.item(), rel=1e-6)
    total.backward()
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in by_hand.parameters() if p.grad is not None]))
    assert step.grad_norm == pytest.approx(norm.item(), rel=1e-5)


def test_micro_batches_give_the_same_step(tokenizer):
    whole, split = trainer(RATES, tokenizer), trainer(RATES, tokenizer, micro=3)
    for a, b in zip(whole, split, strict=True):
        assert sorted(a.draws) == sorted(b.draws) == list(range(a.number * 16, a.number * 16 + 16))
        assert a.loss == pytest.approx(b.loss, rel=1e-6) and a.losses == pytest.approx(b.losses, rel=1e-5)


def test_a_step_without_rows_of_a_part_has_the_others_alone(tokenizer):
    rare = Mixed(parts=(Masked(), Masked(rate=0.4)), weights=(199, 1))
    steps = list(trainer(rare, tokenizer))
    assert {tuple(step.losses) for step in steps} == {("masked_1",)}
    assert all(step.loss == step.losses["masked_1"] for step in steps)


def mixture_of_xlnet(tokenizer, turn):
    """What two objectives cost after training in turns, ``turn`` (draws to part)."""
    mixed = Mixed(parts=(Causal(), Permutation(k=3)))
    ends = (tokenizer.separator, tokenizer.classify)

    def batch(draws):
        part = turn(draws)
        return mixed.batch(part, 1.0, counting(draws, 16, ends), Draws(0, draws), tokenizer)

    model = initialise_two_stream(TwoStream(XLNET), 1)
    learnt(model, batch, mixed.loss, 200)
    costs = {}
    with torch.no_grad():
        for part, name in enumerate(mixed.names):
            new = np.arange(10**6, 10**6 + 64)
            made = mixed.batch(part, 1.0, counting(new, 16, ends), Draws(0, new), tokenizer)
            loss = mixed.loss(model, made)[name]
            costs[name] = loss.total.item() / loss.count
    return costs


def test_a_mixture_learns_to_count_by_each_of_its_parts(tokenizer):
    """Forwards, and from both sides; where all turns go to one part, the other is not learnt."""
    both = mixture_of_xlnet(tokenizer, lambda draws: int(draws[0] // 16 % 2))
    assert both["causal"] < CHANCE / 2 and both["permutation"] < CHANCE / 2
    planted = mixture_of_xlnet(tokenizer, lambda draws: 0)
    assert planted["causal"] < CHANCE / 2 and planted["permutation"] > CHANCE / 2


# ---- settings ----

TABLE = {
    "kind": "mixed",
    "parts": [{"kind": "masked", "rate": 0.4}, {"kind": "causal"}, "masked"],
    "weights": [2, 1, 1.5],
}


def recipe(objective):
    return build(
        Recipe,
        {
            "data": {"corpus": "python-docs"},
            "tokenizer": {"vocab_size": 300},
            "model": {"family": "xlnet", "size": "tiny"},
            "objective": objective,
            "training": {"steps": 1},
        },
    )


def test_parts_are_tables_chosen_by_kind_and_come_back(tmp_path):
    import tomllib

    made = recipe(TABLE)
    assert made.objective == Mixed(parts=(Masked(rate=0.4), Causal(), Masked()), weights=(2.0, 1.0, 1.5))
    assert build(Recipe, dump(made)) == made
    assert build(Recipe, tomllib.loads(made.to_toml())) == made
    assert 'parts = [{kind = "masked", rate = 0.4' in to_toml(dump(made))


def test_the_schema_has_every_kind_of_part_and_no_mixture_in_a_mixture():
    arms = schema(Recipe)["properties"]["objective"]["anyOf"]
    mixed = next(arm for arm in arms if arm["properties"]["kind"].get("const") == "mixed")
    items = mixed["properties"]["parts"]["items"]["anyOf"]
    assert {each["properties"]["kind"]["const"] for each in items} == set(OBJECTIVES) == set(KINDS) - {"mixed"}


def test_parts_may_be_given_on_the_command_line():
    found = override(Recipe, 'objective.parts=[{kind = "masked", rate = 0.3}, {kind = "causal"}]')
    assert found["objective"]["parts"] == [{"kind": "masked", "rate": 0.3}, {"kind": "causal"}]
    assert override(Recipe, "objective.weights=3,1") == {"objective": {"weights": [3, 1]}}
    with pytest.raises(SettingsError, match=r"objective\.parts is a list of tables: give all of it"):
        override(Recipe, "objective.parts.rate=0.3")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parts": []}, "objective.parts has 0 objectives: a mixture needs at least two"),
        ({"parts": [{"kind": "masked"}], "weights": [1]}, "objective.parts has 1 objectives"),
        ({"weights": [1, 2]}, "objective.weights has 2 numbers for 3 objective.parts"),
        ({"weights": [1, 0, 2]}, r"objective.weights \[1.0, 0.0, 2.0\]: each must be above 0"),
        ({"weights": [1, -1, 2]}, "each must be above 0"),
        ({"weights": [1, 1e-9, 1]}, "smallest is under a millionth"),
        ({"parts": {"kind": "masked"}}, "objective.parts = .* must be a list of tables"),
        ({"parts": [{"rate": 0.4}]}, r"objective.parts\[0\].kind is missing"),
        ({"parts": [{"kind": "masked"}, {"kind": "maskd"}]}, r"parts\[1\].kind = 'maskd'.*did you mean masked"),
        ({"parts": [{"kind": "masked", "rat": 0.4}]}, r"no setting objective.parts\[0\].rat: did you mean .*rate"),
        ({"parts": [{"kind": "masked", "rate": 2}]}, "objective.rate = 2"),
        ({"parts": [TABLE, {"kind": "masked"}]}, r"objective.parts\[0\].kind = 'mixed' does not exist"),
    ],
)
def test_mixtures_that_cannot_be(changes, said):
    with pytest.raises(SettingsError, match=said):
        recipe(TABLE | changes)


def test_a_model_that_one_part_is_not_defined_for_is_refused():
    mixed = Mixed(parts=(Masked(), Causal()))
    with pytest.raises(SettingsError, match="causal objective trains a decoder alone"):
        mixed.heads(FAMILIES["bert"].size("tiny", 100))
    t5 = FAMILIES["t5"].size("tiny", 100, start_token=0)
    assert Mixed(parts=(Corruption(), Corruption(rate=0.5))).heads(t5) == {}
