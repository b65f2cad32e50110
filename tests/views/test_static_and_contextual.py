"""Row E10: one word in three senses. Before any context its vector is the same; in context no two are."""

import numpy as np
import pytest

from trivium.families import FAMILIES
from trivium.verbs.inside import inside_page, inspect_inside
from trivium.verbs.load import load
from trivium.verbs.occurrences import inspect_word, summary, word_page
from trivium.views.word_states import read_words

SENSES = ("She sat on the bank of the river.", "He took money to the bank today.", "Turn the plane into a bank slowly.")


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "elmo"])
def test_static_cosines_are_one_and_contextual_ones_are_not(tiny_models, name: str) -> None:
    loaded = load(tiny_models[name])
    view = inspect_word(loaded, "bank", SENSES)
    apart = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(view.static_cosines, 1.0, atol=1e-6)
    assert (view.cosines[apart] < 1 - 1e-6).all()
    assert "before any context 1.000" in summary(view)
    assert [one.document for one in view.occurrences] == [0, 1, 2]
    assert [SENSES[one.document][slice(*one.span)] for one in view.occurrences] == ["bank"] * 3


def test_the_static_vector_is_the_mean_of_the_embeddings(tiny_models) -> None:
    loaded = load(tiny_models["bert"])
    one = inspect_word(loaded, "bank", SENSES[:1], layer=2).occurrences[0]
    table = loaded.model.tokens.weight.detach().numpy()
    ids = loaded.tokenizer.encode(SENSES[0])
    own = [number for number, span in zip(ids.ids, ids.offsets, strict=True) if span[1] > 15 and span[0] < 19]
    state = read_words(loaded.model, loaded.tokenizer, [(SENSES[0], (15, 19))], 2)[0]
    place = state.words.index((15, 19))
    mean = table[own].mean(0)
    expected = mean @ state.states[place] / np.linalg.norm(mean) / np.linalg.norm(state.states[place])
    assert one.static == pytest.approx(float(expected), abs=1e-5)


def test_a_model_of_characters_has_no_embeddings_of_words(tiny_models) -> None:
    view = inspect_word(tiny_models["elmo"], "bank", SENSES)
    assert view.static_cosines is None and "before any context" not in summary(view)
    assert "<svg" in word_page(view)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_models_of_few_bits_are_looked_into_as_well(tiny_models, precision: str) -> None:
    loaded = load(tiny_models["gpt2"], precision=precision)
    whole = inspect_inside(loaded, SENSES[0], max_tokens=2)
    np.testing.assert_allclose(whole.attention.weights.sum(-1), 1, atol=1e-5)
    assert whole.attention.weights.dtype == np.float32 and "<svg" in inside_page(whole)
    np.testing.assert_allclose(inspect_word(loaded, "bank", SENSES).static_cosines, 1.0, atol=1e-6)
