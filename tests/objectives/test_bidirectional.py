"""The two-way objective by hand: which word each state predicts, the mean of both, words drawn instead of all."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from trivium.errors import SettingsError
from trivium.objectives import OBJECTIVES, Batch, Bidirectional, Masked
from trivium.objectives.sampled_softmax import draw_words, log_probability, sampled_cross_entropy
from trivium.randomness import Draws
from trivium.recurrent.elmo import Elmo, initialise_elmo
from trivium.recurrent.elmo_config import SIZES, ElmoConfig
from trivium.text.rows import Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Inputs, Tokens, TransformerConfig

WORDS = [f"word{number}" for number in range(40)]


@pytest.fixture(scope="module")
def words(word_tokenizer: Callable[[list[str]], Tokenizer]) -> Tokenizer:
    return word_tokenizer(WORDS)


@pytest.fixture
def model(words: Tokenizer) -> Elmo:
    made = initialise_elmo(Elmo(ElmoConfig(**{**SIZES["tiny"], "vocab_size": words.vocab_size})), 3)  # type: ignore[arg-type]
    made.read_vocabulary(words)
    return made.double().eval()


def packed(words: Tokenizer) -> tuple[Rows, Draws]:
    """Row 0: two documents of 3 and 1 words and 2 places of padding; row 1: one document of 8 words."""
    begin, end = words.begin, words.end
    tokens = np.array(
        [
            [begin, 10, 11, 12, end, begin, 13, end, 0, 0],
            [begin, 20, 21, 22, 23, 24, 25, 26, 27, end],
        ]
    )
    documents = np.array([[0, 0, 0, 0, 0, 1, 1, 1, -1, -1], [0] * 10])
    draws = np.array([4, 9])
    return Rows(tokens, documents, np.zeros_like(tokens), draws), Draws(0, draws)


def by_hand(model: Elmo, batch: Batch) -> tuple[float, float]:
    """Each document alone, each neighbour looked up in the full distribution of its direction."""
    ids, documents = batch.inputs.source.ids, batch.inputs.source.documents
    forward = backward = 0.0
    for row in range(len(ids)):
        for number in range(int(documents[row].max()) + 1):
            text = ids[row][documents[row] == number]
            logs = model(Inputs(source=Tokens(text[None])), at="all").logits.log_softmax(-1)[:, 0]
            for place in range(len(text) - 1):
                forward -= logs[0, place, text[place + 1]].item()
                backward -= logs[1, place + 1, text[place]].item()
    return forward, backward


def test_every_neighbour_is_predicted_from_both_sides(model: Elmo, words: Tokenizer) -> None:
    rows, draws = packed(words)
    objective = Bidirectional()
    batch = objective.batch(rows, draws, words)
    assert batch.counts == {"bidirectional": 2 * (4 + 2 + 9)} and batch.tokens == 18
    with torch.no_grad():
        loss = objective.loss(model, batch)["bidirectional"]
        forward, backward = by_hand(model, batch)
    assert loss.parts["forward"].total.item() == pytest.approx(forward, rel=1e-9)
    assert loss.parts["backward"].total.item() == pytest.approx(backward, rel=1e-9)
    assert loss.parts["forward"].count == loss.parts["backward"].count == 15
    assert loss.total.item() == pytest.approx(forward + backward) and loss.count == 30  # so the mean is that of both


def test_the_softmax_is_asked_for_numbers_of_places_that_repeat(model: Elmo, words: Tokenizer) -> None:
    """33 neighbours, 34 rows of scores (``steady``)."""
    tokens = np.array([[words.begin, *range(10, 42), words.end, 0]])
    rows = Rows(tokens, np.array([[0] * 34 + [-1]]), np.zeros_like(tokens), np.array([0]))
    batch, sizes = Bidirectional().batch(rows, Draws(0, rows.draws), words), []
    assert model.vocabulary is not None
    model.vocabulary.register_forward_hook(lambda _, given, scores: sizes.append(scores.shape))
    with torch.no_grad():
        loss = Bidirectional().loss(model, batch)["bidirectional"]
        assert batch.counts["bidirectional"] == 66 and [size[0] for size in sizes] == [34, 34]
        assert loss.total.item() == pytest.approx(sum(by_hand(model, batch)), rel=1e-9)


def test_rows_are_pieces_of_documents_between_their_bounds(words: Tokenizer) -> None:
    layout = Bidirectional().layout(words, 12)
    assert (layout.mode, layout.length, layout.before, layout.after) == ("packed", 12, (words.begin,), (words.end,))


def test_the_directions_share_softmax_and_word_vectors_but_no_lstm(model: Elmo, words: Tokenizer) -> None:
    rows, draws = packed(words)
    batch = Bidirectional().batch(rows, draws, words)
    for way, other in (("ahead", "back"), ("back", "ahead")):
        part = Bidirectional().loss(model, batch)["bidirectional"].parts[{"ahead": "forward", "back": "backward"}[way]]
        names, parameters = zip(*model.named_parameters(), strict=True)
        gradients = torch.autograd.grad(part.total, parameters, allow_unused=True)
        touched = {n for n, g in zip(names, gradients, strict=True) if g is not None and g.abs().sum() > 0}
        assert {n for n in names if f".{way}." in n} <= touched
        assert not {n for n in touched if f".{other}." in n}
        assert {"vocabulary.weight", "tokens.projection.weight"} <= touched


# ---- words drawn instead of the whole vocabulary ----


def test_words_are_drawn_by_row_and_used_in_training_alone(model: Elmo, words: Tokenizer) -> None:
    rows, draws = packed(words)
    objective = Bidirectional(negatives=7)
    batch = objective.batch(rows, draws, words)
    assert batch.targets["drawn"].shape == (2, 2, 7)
    alone = objective.batch(rows.part(1, 2), Draws(0, rows.draws[1:]), words)
    assert torch.equal(alone.targets["drawn"][0], batch.targets["drawn"][1])  # whatever stands beside it
    full = Bidirectional().loss(model, Bidirectional().batch(rows, draws, words))["bidirectional"].total
    assert torch.equal(objective.loss(model, batch)["bidirectional"].total, full)
    model.train()
    model.encoder.dropout = 0.0
    assert not torch.isclose(objective.loss(model, batch)["bidirectional"].total, full)


def test_the_sampled_loss_by_its_formula() -> None:
    torch.manual_seed(0)
    vocab, width = 9, 4
    weight = torch.randn(vocab, width, dtype=torch.float64)
    states = torch.randn(2, 3, width, dtype=torch.float64)
    targets = torch.tensor([[1, 2, 3], [4, 5, 6]])
    counted = torch.tensor([[True, True, False], [True, False, True]])
    drawn = torch.tensor([[0, 2, 2, 8], [1, 1, 7, 3]])
    score = lambda s, w: torch.bmm(s, weight[w].transpose(1, 2))  # noqa: E731
    found = sampled_cross_entropy(score, states, targets, counted, drawn, vocab)
    expected = 0.0
    for row in range(2):
        for place in range(3):
            if not counted[row, place]:
                continue
            target = int(targets[row, place])

            scores = (weight @ states[row, place]).tolist()
            total = np.exp(scores[target])
            for word in drawn[row].tolist():
                if word != target:
                    total += np.exp(scores[word]) / (4 * np.log((word + 2) / (word + 1)) / np.log(vocab + 1))
            expected += np.log(total) - scores[target]
    assert found.item() == pytest.approx(expected)


def test_many_drawn_words_tend_to_the_full_loss() -> None:
    torch.manual_seed(0)
    vocab, width = 30, 4
    weight = torch.randn(vocab, width, dtype=torch.float64)
    states = torch.randn(1, 20, width, dtype=torch.float64)
    targets = torch.randint(vocab, (1, 20))
    score = lambda s, w: torch.bmm(s, weight[w].transpose(1, 2))  # noqa: E731
    drawn = torch.from_numpy(draw_words(Draws(1, np.arange(1)), "test", 100_000, vocab))
    found = sampled_cross_entropy(score, states, targets, torch.ones(1, 20, dtype=torch.bool), drawn, vocab)
    full = torch.nn.functional.cross_entropy(states[0] @ weight.T, targets[0], reduction="sum")
    assert found.item() == pytest.approx(full.item(), rel=0.02)


def test_draws_are_log_uniform() -> None:
    vocab = 50
    drawn = draw_words(Draws(5, np.arange(20)), "test", 10_000, vocab)
    assert drawn.min() >= 0 and drawn.max() < vocab
    share = np.bincount(drawn.ravel(), minlength=vocab) / drawn.size
    wanted = log_probability(torch.arange(vocab), vocab, torch.float64).exp().numpy()
    assert wanted.sum() == pytest.approx(1)
    assert np.abs(share - wanted).max() < 0.003


# ---- refusals ----


def test_only_a_two_way_model_is_trained_so_and_it_only_so() -> None:
    assert OBJECTIVES["bidirectional"] is Bidirectional
    encoder = TransformerConfig(vocab_size=9, width=8, heads=2, ffn_width=8, encoder_layers=1)
    with pytest.raises(SettingsError, match='model.family = "elmo"'):
        Bidirectional().heads(encoder)
    elmo = ElmoConfig(**{**SIZES["tiny"], "vocab_size": 9})  # type: ignore[arg-type]
    assert Bidirectional().heads(elmo) == {}
    with pytest.raises(SettingsError, match='objective.kind = "bidirectional"'):
        Masked().heads(elmo)
    with pytest.raises(SettingsError, match="negatives"):
        Bidirectional(negatives=-1)


def test_a_tokenizer_without_bounds_is_refused(words: Tokenizer) -> None:
    document = json.loads(words.whole.to_str())
    bare = Tokenizer(document, replace(words.specials, begin=None, classify=None))
    with pytest.raises(SettingsError, match="begin and an end token"):
        Bidirectional().layout(bare, 12)
