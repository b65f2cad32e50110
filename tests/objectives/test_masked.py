import numpy as np
import pytest
import torch

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.objectives import Masked, NextSentence
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.transformer import Model, TransformerConfig, initialise

BERT = TransformerConfig(vocab_size=400, width=16, heads=2, ffn_width=32, encoder_layers=2, context=64)


@pytest.fixture(scope="module")
def model():
    model = Model(BERT)
    initialise(model, 0)
    return model.eval()


def flat(batch):
    return batch.inputs.source.ids.flatten(), batch.targets["at"], batch.targets["masked"]


@pytest.mark.parametrize(("rate", "expected"), [(0.15, [2, 3, 19, 77]), (0.4, [4, 8, 51, 205])])
def test_exact_counts_with_specials_counted_but_never_chosen(rate, expected, tokenizer, make_rows):
    rows, draws = make_rows([10, 20, 128, 512], 512, framed=True)
    chosen = Masked(rate=rate).choose(rows, draws, tokenizer)
    assert chosen.sum(1).tolist() == expected
    assert not chosen[(rows.documents < 0) | np.isin(rows.tokens, [tokenizer.classify, tokenizer.separator])].any()


def test_the_shares_are_80_10_10(tokenizer, make_rows):
    rows, draws = make_rows([100] * 1000, 100)
    objective = Masked()
    batch = objective.batch(rows, draws, tokenizer)
    ids, at, original = flat(batch)
    seen, n = ids[at], len(at)
    masked = (seen == tokenizer.mask).sum().item()
    kept = (seen == original).sum().item()

    def sigma(p):
        return 4 * (n * p * (1 - p)) ** 0.5

    by_chance = 1 / tokenizer.vocab_size  # a random token may be the same one, or the mask
    assert n == 15_000
    assert abs(masked - n * (0.8 + 0.1 * by_chance)) < sigma(0.8)
    assert abs(kept - n * (0.1 + 0.1 * by_chance)) < sigma(0.1)
    replaced = seen[(seen != tokenizer.mask) & (seen != original)]
    assert abs(len(replaced) - n * 0.1) < sigma(0.1)
    assert len(replaced.unique()) > 0.9 * tokenizer.vocab_size  # uniform over the vocabulary, specials included
    untouched = torch.ones_like(ids, dtype=torch.bool)
    untouched[at] = False
    assert (ids[untouched] == torch.from_numpy(rows.tokens).flatten()[untouched]).all()


def test_the_recipe_of_should_you_mask_15_percent(tokenizer, make_rows):
    rows, draws = make_rows([50] * 20, 50)
    ids, at, _ = flat(Masked(rate=0.4, mask=1.0, random=0.0).batch(rows, draws, tokenizer))
    assert len(at) == 20 * 20 and (ids[at] == tokenizer.mask).all()


def test_bernoulli_counts_vary_around_the_rate(tokenizer, make_rows):
    rows, draws = make_rows([50] * 400, 50)
    counts = Masked(count="bernoulli").choose(rows, draws, tokenizer).sum(1)
    assert abs(counts.sum() - 3000) < 4 * (20_000 * 0.15 * 0.85) ** 0.5
    assert counts.std() == pytest.approx((50 * 0.15 * 0.85) ** 0.5, rel=0.2)


def test_my_dog_is_hairy(tokenizer):
    """The lecture's three outcomes for one word: [MASK], a random word (apple), hairy itself."""
    sentence = np.array([[tokenizer.classify, 301, 302, 303, 304, tokenizer.separator]] * 200)
    rows = Rows(sentence, np.zeros_like(sentence), np.tile(np.arange(6), (200, 1)), np.arange(200))
    batch = Masked(rate=0.6).batch(rows, Draws(0, rows.draws), tokenizer)  # 4 of 4: every word is chosen
    hairy = batch.inputs.source.ids[:, 4]
    outcomes = {"mask" if i == tokenizer.mask else "kept" if i == 304 else "apple" for i in hairy.tolist()}
    assert outcomes == {"mask", "kept", "apple"}
    assert (batch.targets["masked"].reshape(200, 4) == torch.tensor([301, 302, 303, 304])).all()


def test_only_the_sampled_tokens_are_learnt_from(model, tokenizer, make_rows):
    rows, draws = make_rows([16, 12], 16, framed=True)
    batch = Masked().batch(rows, draws, tokenizer)
    logits = model(batch.inputs, at="all").logits
    logits.retain_grad()
    flat_logits = logits.flatten(0, 1)
    nll = -flat_logits.log_softmax(-1)[batch.targets["at"], batch.targets["masked"]].sum()
    nll.backward()
    elsewhere = torch.ones(32, dtype=torch.bool)
    elsewhere[batch.targets["at"]] = False
    assert (logits.grad.flatten(0, 1)[elsewhere] == 0).all()
    torch.testing.assert_close(Masked().loss(model, batch)["masked"].total, nll)


def test_nll_with_the_tied_softmax_by_hand(model, tokenizer, make_rows):
    """-sum log exp(x_i . h_t) / sum_j exp(x_j . h_t), x the word embeddings."""
    rows, draws = make_rows([16, 16], 16)
    batch = Masked().batch(rows, draws, tokenizer)
    hidden = model(batch.inputs).hidden.flatten(0, 1)
    total = 0.0
    for place, target in zip(batch.targets["at"].tolist(), batch.targets["masked"].tolist(), strict=True):
        scores = model.tokens.weight @ hidden[place]
        total -= (scores[target] - scores.exp().sum().log()).item()
    loss = Masked().loss(model, batch)["masked"]
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert loss.count == batch.counts["masked"] == 4


@pytest.mark.parametrize("objective", [Masked(), Masked(whole_word=True), Masked(count="bernoulli"), Masked(copies=2)])
def test_pure_and_independent_of_the_batch(objective, tokenizer, make_rows):
    rows, draws = make_rows([20, 14, 20, 3, 20, 9, 20, 20], 20)
    whole = objective.batch(rows, draws, tokenizer)
    again = objective.batch(rows, draws, tokenizer)
    assert (whole.inputs.source.ids == again.inputs.source.ids).all()
    halves = []
    for part in (slice(0, 4), slice(4, 8)):
        some = Rows(rows.tokens[part], rows.documents[part], rows.positions[part], rows.draws[part])
        halves.append(objective.batch(some, Draws(draws.seed, some.draws), tokenizer))
    assert (torch.cat([h.inputs.source.ids for h in halves]) == whole.inputs.source.ids).all()
    assert (torch.cat([h.targets["masked"] for h in halves]) == whole.targets["masked"]).all()
    assert sum(h.counts["masked"] for h in halves) == whole.counts["masked"]


def test_dynamic_masks_differ_between_epochs_and_static_ones_come_back(tokenizer, make_rows):
    first, _ = make_rows([40] * 8, 40)
    second = Rows(first.tokens, first.documents, first.positions, first.draws + 1000)

    def masks(objective, rows):
        return objective.batch(rows, Draws(3, rows.draws), tokenizer).inputs.source.ids

    assert (masks(Masked(), first) != masks(Masked(), second)).any(1).all()
    assert (masks(Masked(copies=1), first) == masks(Masked(copies=1), second)).all()
    many = [
        masks(Masked(copies=10), Rows(first.tokens, first.documents, first.positions, first.draws + 1000 * epoch))[0]
        for epoch in range(60)
    ]
    assert len({tuple(row.tolist()) for row in many}) == 10  # 40 epochs over 10 copies, as in BERT's static masking


def test_whole_words_are_masked_whole(tokenizer):
    texts = ["the winter snow, hairy Alice said after midnight (unbelievably)"] * 50
    ids = [[tokenizer.classify, *tokenizer.encode(text).ids, tokenizer.separator] for text in texts]
    tokens = np.array(ids)
    rows = Rows(tokens, np.zeros_like(tokens), np.tile(np.arange(tokens.shape[1]), (50, 1)), np.arange(50))
    chosen = Masked(rate=0.6, whole_word=True).choose(rows, Draws(0, rows.draws), tokenizer)
    pieces = [tokenizer.piece(i) for i in tokens[0]]
    special = np.isin(tokens, [tokenizer.classify, tokenizer.separator])
    numbers = word_numbers(tokens, special, tokenizer)[0]
    words = ["".join(p for p, w in zip(pieces, numbers, strict=True) if w == word) for word in range(numbers[-1] + 1)]
    assert [w.removeprefix("Ġ") for w in words[1:-1]] == (
        ["the", "winter", "snow", ",", "hairy", "Alice", "said", "after", "midnight", "(", "unbelievably", ")"]
    )
    assert chosen.any(0)[1:-1].all()
    for row in chosen:
        assert all(len(set(row[numbers == word])) == 1 for word in range(numbers[-1] + 1))
    assert (chosen.sum(1) <= round(tokens.shape[1] * 0.6)).all()


def test_masks_are_left_out_where_they_change_nothing(tokenizer, make_rows):
    full, draws = make_rows([8, 8], 8)
    assert Masked().batch(full, draws, tokenizer).inputs.source.documents is None
    padded, draws = make_rows([8, 6], 8)
    source = Masked().batch(padded, draws, tokenizer).inputs.source
    assert source.documents is not None and source.positions is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rate": 0.0}, "rate = 0.0"), ({"mask": 0.9, "random": 0.2}, "sum must not pass 1"), ({"copies": 0}, "copies")],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Masked(**settings)


def test_a_two_stream_network_is_refused_before_it_learns_what_it_never_uses():
    with pytest.raises(SettingsError, match=r"a stream that does not: set objective\.kind = \"causal\""):
        Masked().heads(FAMILIES["xlnet"].size("tiny", 50))


def test_a_decoder_is_refused():
    with pytest.raises(SettingsError, match="encoder alone"):
        Masked().heads(TransformerConfig(vocab_size=8, width=8, heads=1, ffn_width=8, decoder_layers=1))


def test_rows_that_run_on_over_documents_open_with_the_classify_token_and_need_no_mask(tokenizer, make_rows, model):
    """RoBERTa's FULL-SENTENCES (Liu et al. 2019, section 4.2): full rows, each position seen from each other one."""
    objective = Masked(rate=0.4, isolate_documents=False)
    layout = objective.layout(tokenizer, 32)
    assert (layout.mode, layout.length) == ("stream", 31)
    rows, draws = make_rows([31] * 6, 31)
    batch = objective.batch(rows, draws, tokenizer)
    source = batch.inputs.source
    assert source.ids.shape == (6, 32) and source.documents is None and source.positions is None
    assert (source.ids[:, 0] == tokenizer.classify).all()
    original = torch.cat([torch.full((6, 1), tokenizer.classify), torch.from_numpy(rows.tokens)], dim=1).flatten()
    assert torch.equal(original[batch.targets["at"]], batch.targets["masked"])
    assert not (batch.targets["at"] % 32 == 0).any()
    assert batch.counts["masked"] == 6 * round(32 * 0.4)


@pytest.mark.parametrize("isolated", [True, False])
def test_rows_of_whole_sentences_have_their_control_tokens_already(isolated, tokenizer, make_rows):
    objective = Masked(whole_sentences=True, isolate_documents=isolated)
    layout = objective.layout(tokenizer, 32)
    assert (layout.mode, layout.joined, layout.before) == ("packed", not isolated, (tokenizer.classify,))
    assert all(tokenizer.decode([i]).rstrip("\"'”’»)]").endswith((".", "!", "?", "\n")) for i in layout.sentences[:50])
    rows, draws = make_rows([32] * 2, 32)
    batch = objective.batch(rows, draws, tokenizer)
    assert batch.inputs.source.ids.shape == (2, 32)


def test_pairs_are_of_whole_sentences_anyway():
    with pytest.raises(SettingsError, match="pairs are of whole sentences anyway"):
        NextSentence(masked=Masked(whole_sentences=True))
