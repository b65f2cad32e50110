"""ELMo: published sizes, what each direction sees, spelling, the mixture of layers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.recurrent.characters import spell
from trivium.recurrent.elmo import Elmo, initialise_elmo
from trivium.recurrent.elmo_config import SIZES, ElmoConfig
from trivium.tokenizers import Tokenizer
from trivium.training.flops import Passes, training_flops
from trivium.transformer import SEQUENCE, Inputs, Record, SequenceHead, Tokens

WORDS = "the river bank was wet and a US had money in it".split()


@pytest.fixture(scope="module")
def tokenizer(word_tokenizer: Callable[[list[str]], Tokenizer]) -> Tokenizer:
    return word_tokenizer(WORDS)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Elmo:
    config = ElmoConfig(**{**SIZES["tiny"], "vocab_size": tokenizer.vocab_size})  # type: ignore[arg-type]
    made = initialise_elmo(Elmo(config), 0).double()
    with torch.no_grad():  # convolutions larger than their first values, so that each word's spelling shows
        for parameter in made.tokens.convolutions.parameters():
            parameter.mul_(10)
    made.read_vocabulary(tokenizer)
    return made.eval()


def states(model: Elmo, ids: Tensor, **fields: Tensor) -> list[Tensor]:
    record = Record.empty()
    with torch.no_grad():
        model(Inputs(source=Tokens(ids, **fields)), record=record)
    return record.encoder_hidden


def ids_of(tokenizer: Tokenizer, text: str) -> Tensor:
    return torch.tensor([tokenizer.encode(text).ids])


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "parameters"), [("original", 93_600_864), ("medium", 28_027_744), ("small", 13_593_312)]
)
def test_published_sizes_have_their_number_of_parameters(size: str, parameters: int) -> None:
    """Without the softmax, as they were published: 93.6, 28.0 and 13.6 million."""
    with torch.device("meta"):
        made = Elmo(ElmoConfig(**{**SIZES[size], "vocabulary_head": "none"}))  # type: ignore[arg-type]
    assert count(made) == parameters


def test_the_softmax_is_one_for_both_directions(model: Elmo) -> None:
    assert model.vocabulary is not None
    assert count(model.vocabulary) == model.config.vocab_size * (model.config.projection + 1)


def test_layer_0_is_the_word_vector_twice_and_all_layers_have_one_width(model: Elmo, tokenizer: Tokenizer) -> None:
    layers = states(model, ids_of(tokenizer, "the river bank"))
    assert [layer.shape for layer in layers] == [(1, 3, 16)] * 3
    assert torch.equal(layers[0][..., :8], layers[0][..., 8:])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_states_look_one_way_each(model: Elmo, tokenizer: Tokenizer, k: int) -> None:
    ids = ids_of(tokenizer, "the river bank was wet and")
    before = states(model, ids)
    other = ids_of(tokenizer, "money")[0, 0]
    later, earlier = ids.clone(), ids.clone()
    later[0, k + 1], earlier[0, k - 1] = other, other
    for old, new_later, new_earlier in zip(before, states(model, later), states(model, earlier), strict=True):
        torch.testing.assert_close(new_later[0, : k + 1, :8], old[0, : k + 1, :8], atol=0, rtol=0)
        torch.testing.assert_close(new_earlier[0, k:, 8:], old[0, k:, 8:], atol=0, rtol=0)
    assert not torch.allclose(states(model, later)[2][0, k, 8:], before[2][0, k, 8:])
    assert not torch.allclose(states(model, earlier)[2][0, k, :8], before[2][0, k, :8])


def test_padding_and_other_documents_leak_nothing(model: Elmo, tokenizer: Tokenizer) -> None:
    one, other = ids_of(tokenizer, "the river bank"), ids_of(tokenizer, "money in it")
    row = torch.cat([one, other, torch.full((1, 2), 7)], 1)
    together = states(model, row, documents=torch.tensor([[0, 0, 0, 1, 1, 1, -1, -1]]))
    for layer, alone, beside in zip(together, states(model, one), states(model, other), strict=True):
        torch.testing.assert_close(layer[:, :3], alone)
        torch.testing.assert_close(layer[:, 3:6], beside)


def test_a_word_never_seen_has_a_vector_by_its_spelling(model: Elmo, tokenizer: Tokenizer) -> None:
    unknown = ids_of(tokenizer, "the riverside bank")
    assert unknown[0, 1] == tokenizer.unknown
    characters = torch.zeros(1, 3, 50, dtype=torch.int16)
    characters[0, 1] = torch.from_numpy(spell(["riverside"])[0])
    spelt, unspelt = states(model, unknown, characters=characters), states(model, unknown)
    assert not torch.allclose(spelt[0][0, 1], unspelt[0][0, 1])
    torch.testing.assert_close(spelt[0][0, [0, 2]], unspelt[0][0, [0, 2]])
    torch.testing.assert_close(spelt[0][0, 1, :8], model.tokens(torch.from_numpy(spell(["riverside"])))[0])
    characters[0, 1] = torch.from_numpy(spell(["bankside"])[0])
    assert not torch.allclose(states(model, unknown, characters=characters)[0][0, 1], spelt[0][0, 1])


def test_spelling_a_word_of_the_vocabulary_changes_nothing(model: Elmo, tokenizer: Tokenizer) -> None:
    ids = ids_of(tokenizer, "the river bank")
    characters = torch.from_numpy(spell(["the", "river", "bank"]))[None]
    for one, other in zip(states(model, ids), states(model, ids, characters=characters), strict=True):
        torch.testing.assert_close(one, other)
    bare = Elmo(model.config).double().eval()
    bare.load_state_dict(model.state_dict())
    torch.testing.assert_close(states(bare, ids, characters=characters)[2], states(model, ids)[2])
    with pytest.raises(SettingsError, match="has not read a vocabulary"):
        states(bare, ids)


def test_scores_of_both_directions_at_places_and_everywhere(model: Elmo, tokenizer: Tokenizer) -> None:
    ids = ids_of(tokenizer, "the river bank was")
    with torch.no_grad():
        everywhere = model(Inputs(source=Tokens(ids)), at="all")
        some = model(Inputs(source=Tokens(ids)), at=torch.tensor([1, 6])).logits
    assert model.vocabulary is not None
    assert everywhere.logits.shape == (2, 1, 4, tokenizer.vocab_size)
    torch.testing.assert_close(some, torch.stack([everywhere.logits[0, 0, 1], everywhere.logits[1, 0, 2]]))
    forward = everywhere.hidden[0, 1, :8] @ model.vocabulary.weight.T + model.vocabulary.bias
    torch.testing.assert_close(everywhere.logits[0, 0, 1], forward)


def test_some_words_alone_can_be_scored(model: Elmo) -> None:
    assert model.vocabulary is not None
    found, words = torch.randn(2, 3, 8, dtype=torch.float64), torch.tensor([[5, 6, 5], [0, 1, 2]])
    everything = model.vocabulary(found)
    wanted = torch.stack([everything[row][:, words[row]] for row in range(2)])
    torch.testing.assert_close(model.vocabulary(found, words), wanted)


def test_a_classifier_reads_the_mixture_and_trains_the_characters(tokenizer: Tokenizer) -> None:
    config = ElmoConfig(**{**SIZES["tiny"], "vocab_size": 20, "vocabulary_head": "none"})  # type: ignore[arg-type]
    assert config.pooling == "mix"
    model = initialise_elmo(Elmo(config, {SEQUENCE: SequenceHead(config, 2, config.pooling)}), 0)
    model.read_vocabulary(tokenizer)
    head = model.heads[SEQUENCE]
    assert isinstance(head, SequenceHead) and head.mix is not None
    assert head.mix.weights.tolist() == pytest.approx([1 / 3] * 3) and head.mix.scale.item() == 1
    scores = model(Inputs(source=Tokens(ids_of(tokenizer, "the river bank"))), heads=[SEQUENCE]).heads
    scores[SEQUENCE][0, 0].backward()
    assert model.tokens.characters.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_first_values_depend_on_the_seed_and_the_name_alone() -> None:
    config = ElmoConfig(**{**SIZES["tiny"], "vocab_size": 20})  # type: ignore[arg-type]
    one, same, other = (initialise_elmo(Elmo(config), seed).state_dict() for seed in (1, 1, 2))
    deeper = initialise_elmo(Elmo(replace(config, encoder_layers=3)), 1).state_dict()
    for name, value in one.items():
        assert torch.equal(value, same[name]) and torch.equal(value, deeper[name])
        assert torch.equal(value, other[name]) == ("bias" in name), name
    assert one["encoder.layers.0.ahead.inputs.bias"].tolist() == [0] * 24 + [1] * 24 + [0] * 48
    assert set(one["tokens.highways.0.gate.bias"].tolist()) == {-2.0}
    assert one["tokens.convolutions.0.weight"].abs().max() <= 0.05


def test_flops_are_those_of_the_matrices() -> None:
    """By the modules themselves: each weight of a matrix once a word, each of a convolution once a window."""
    config = ElmoConfig(**{**SIZES["tiny"], "vocab_size": 20})  # type: ignore[arg-type]
    model = Elmo(config)
    lstm = sum(p.numel() for p in model.encoder.parameters() if p.ndim == 2)
    word = sum(m.weight.numel() for m in model.tokens.modules() if isinstance(m, torch.nn.Linear))
    for convolution in model.tokens.convolutions:
        assert isinstance(convolution, torch.nn.Conv1d)
        word += convolution.weight.numel() * (config.characters - convolution.kernel_size[0] + 1)
    assert config.matrix_weights() == (lstm, word)
    expected = 6 * (lstm * 100 + word * 30 + 20 * config.projection * 180)
    assert training_flops(config, Passes(source=100, source_length=10, logits=180, distinct=30)) == expected


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("width", 15, "must be even"),
        ("filters", (), "at least 1"),
        ("filters", ((60, 4),), "wider than a word"),
        ("characters", 2, "at least 4"),
        ("dropout", 1.0, "below 1"),
        ("cell_clip", -1.0, "0 for no clipping"),
        ("cells", 0, "at least 1"),
        ("vocabulary_head", "plain", "two-way, or none"),
    ],
)
def test_wrong_settings_are_refused(field: str, value: object, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        ElmoConfig(**{**SIZES["tiny"], "vocab_size": 20, field: value})  # type: ignore[arg-type]


def test_a_cache_and_a_missing_source_are_refused(model: Elmo) -> None:
    with pytest.raises(SettingsError, match="nothing to cache"):
        model(Inputs(source=Tokens(torch.ones(1, 1, dtype=torch.long))), cache=object())
    with pytest.raises(SettingsError, match=r"inputs\.source"):
        model(Inputs())
