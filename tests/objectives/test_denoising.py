import json
from dataclasses import replace

import numpy as np
import pytest

from trivium.errors import SettingsError
from trivium.objectives import Cloze, Denoising, PrefixLanguageModel
from trivium.objectives.sentences import sentence_ends
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import TransformerConfig

BART = {"vocab_size": 400, "width": 16, "heads": 2, "ffn_width": 32, "context": 64, "pad_token": 0, "start_token": 2}
ONE = {  # each noise alone
    "infilling": Denoising(permute_sentences=0),
    "masking": Denoising(infill=0, permute_sentences=0, mask=0.3),
    "deletion": Denoising(infill=0, permute_sentences=0, delete=0.3),
    "permutation": Denoising(infill=0),
    "rotation": Denoising(infill=0, permute_sentences=0, rotate=1.0),
    "substitution": Denoising(infill=0, permute_sentences=0, substitute=0.3),
    "reordering": Denoising(infill=0, permute_sentences=0, reorder=0.3),
    "windows": Denoising(infill=0, permute_sentences=0, reorder=0.6, window=3),
    "insertion": Denoising(infill=0, permute_sentences=0, insert=0.3),
}
ALL = Denoising(
    infill=0.2, mask=0.1, substitute=0.1, reorder=0.1, delete=0.1, insert=0.1, rotate=0.5, random=0.1, mean_length=2.0
)
LENGTHS = [40, 17, 2, 33]


def sides(objective, tokenizer, make_rows, lengths=LENGTHS):
    """(original, what the encoder sees, what the decoder is asked) of each row, all as lists."""
    rows, draws = make_rows(lengths, max(lengths))
    batch = objective.batch(rows, draws, tokenizer)
    wanted = np.split(batch.targets["denoising"].numpy(), np.cumsum([length + 2 for length in lengths])[:-1])
    source = batch.inputs.source
    read = source.ids.numpy()
    real = np.ones_like(read, bool) if source.documents is None else source.documents.numpy() >= 0
    return [
        (rows.tokens[i, :length].tolist(), read[i][real[i]].tolist(), wanted[i].tolist())
        for i, length in enumerate(lengths)
    ]


@pytest.mark.parametrize("objective", [*ONE.values(), ALL], ids=[*ONE, "all"])
def test_the_whole_original_is_written_and_the_frame_is_kept(objective, tokenizer, make_rows):
    for text, read, wanted in sides(objective, tokenizer, make_rows):
        assert wanted == [tokenizer.begin, *text, tokenizer.end]
        assert read[0] == tokenizer.begin and read[-1] == tokenizer.end
        assert tokenizer.pad not in read and len(read) <= len(text) + 2 + round(len(text) * objective.insert)


def test_the_decoder_begins_with_the_end_token_as_bart_does(tokenizer, make_rows):
    from transformers.models.bart.modeling_bart import shift_tokens_right

    rows, draws = make_rows([12, 12], 12)
    batch = Denoising().batch(rows, draws, tokenizer)
    labels = batch.targets["denoising"].reshape(2, -1)
    assert (batch.inputs.target.ids == shift_tokens_right(labels, tokenizer.pad, tokenizer.end)).all()
    assert batch.tokens == batch.inputs.target.ids.numel() + int(
        batch.inputs.source.ids.numel()
        if batch.inputs.source.documents is None
        else (batch.inputs.source.documents >= 0).sum()
    )


def test_each_noise_does_what_its_name_says(tokenizer, make_rows):
    mask = tokenizer.mask
    for name, objective in ONE.items():
        for text, (_, *read, _), _ in sides(objective, tokenizer, make_rows):
            n = len(text)
            third = round(n * 0.3)
            differing = sum(a != b for a, b in zip(read, text, strict=False))
            if name == "masking":
                assert read.count(mask) == third == differing
            elif name == "deletion":
                assert len(read) == n - third
            elif name == "insertion":
                assert len(read) == n + third
            elif name == "substitution":
                assert len(read) == n and differing == third and mask not in read
            elif name in ("reordering", "windows", "permutation", "rotation"):
                assert sorted(read) == sorted(text)
                assert differing <= {"reordering": third, "windows": 3 * round(round(n * 0.6) / 3)}.get(name, n)
            if name == "rotation":
                assert any(read[k:] + read[:k] == text for k in range(n))


def test_sentences_are_permuted_and_a_document_s_end_ends_one(tokenizer):
    text = tokenizer.encode("the cat sat. my dog is hairy. such late night").ids
    tail = tokenizer.encode("hard winter snow.").ids
    row = np.array([[*text, tokenizer.end, *tail]])
    ends = set(np.flatnonzero(sentence_ends(tokenizer))) | {tokenizer.end}
    parts, current = [], []
    for token in row[0].tolist():
        current.append(token)
        if token in ends:
            parts.append(tuple(current))
            current = []
    assert len(parts) == 4 and not current
    seen = set()
    for draw in range(60):
        rows = Rows(row, np.zeros_like(row), np.arange(row.shape[1])[None], np.array([draw]))
        made = Denoising(infill=0).corrupt(rows, Draws(0, rows.draws), tokenizer).tokens[0].tolist()
        order = tuple(sorted(parts, key=lambda part: "".join(map(chr, made)).index("".join(map(chr, part)))))
        assert [token for part in order for token in part] == made
        seen.add(order)
    assert len(seen) > 12  # of 24


def test_the_share_of_masks_that_become_random(tokenizer, make_rows):
    rows, draws = make_rows([200] * 40, 200)
    objective = Denoising(infill=0, permute_sentences=0, mask=0.5, random=0.2)
    made = objective.corrupt(rows, draws, tokenizer)
    share = (made.tokens != tokenizer.mask)[~made.free].mean()
    assert abs(share - 0.2) < 4 * (0.16 / 4000) ** 0.5
    assert not np.isin(made.tokens[made.tokens != tokenizer.mask], sorted(tokenizer.controls)).any()


def test_pure_and_independent_of_the_batch(tokenizer, make_rows):
    rows, draws = make_rows([40, 17, 40, 8, 40, 40, 23, 40], 40)
    whole = ALL.corrupt(rows, draws, tokenizer)
    for part in (slice(0, 4), slice(4, 8)):
        some = rows.part(part.start, part.stop)
        half = ALL.corrupt(some, Draws(draws.seed, some.draws), tokenizer)
        assert (whole.lengths[part] == half.lengths).all()
        assert (whole.tokens[part, : half.tokens.shape[1]] == half.tokens).all()
    other = ALL.corrupt(rows, Draws(draws.seed, draws.examples + 1000), tokenizer)
    assert other.tokens.shape != whole.tokens.shape or (other.tokens != whole.tokens).any()


@pytest.mark.parametrize("objective", [Denoising(), ALL])
def test_rows_fill_the_context_and_never_pass_it(objective, tokenizer, make_rows):
    raw = objective.layout(tokenizer, 64).length
    assert raw + round(raw * objective.insert) in (61, 62)
    rows, draws = make_rows([raw] * 200, raw)
    batch = objective.batch(rows, draws, tokenizer)
    assert batch.inputs.source.ids.shape[1] <= 64 and batch.inputs.target.ids.shape[1] == raw + 2


def test_a_tokenizer_without_begin_and_mask_tokens_does_without(tokenizer, make_rows):
    t5 = Tokenizer(json.loads(tokenizer.whole.to_str()), replace(tokenizer.specials, begin=None, mask=None))
    rows, draws = make_rows([20], 20)
    batch = ONE["masking"].batch(rows, draws, t5)
    assert (batch.inputs.source.ids == t5.sentinels[0]).sum() == 6 and batch.inputs.source.ids.shape[1] == 21


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Denoising, {"infill": 1.0}, "infill = 1.0"),
        (Denoising, {"delete": -0.1}, "delete = -0.1"),
        (Denoising, {"rotate": 1.5}, "rotate = 1.5"),
        (Denoising, {"infill": 0.6, "mask": 0.6}, "sum to"),
        (Denoising, {"infill": 0.0, "permute_sentences": 0.0}, "no noise"),
        (Denoising, {"mean_length": 0.0}, "mean_length"),
        (Denoising, {"window": 1}, "window = 1"),
        (Cloze, {"mask": 1.0}, "mask = 1.0"),
        (Cloze, {"mask": 0.0}, "more than 0"),
        (Cloze, {"window": -1}, "window = -1"),
    ],
)
def test_impossible_settings_are_refused(kind, settings, message):
    with pytest.raises(SettingsError, match=message):
        kind(**settings)


def test_spans_longer_than_a_row_are_refused(tokenizer, word_tokenizer):
    with pytest.raises(SettingsError, match="longer than"):
        Denoising(mean_length=50.0).layout(tokenizer, 32)
    with pytest.raises(SettingsError, match="longer than"):
        Denoising(reorder=0.2, window=50).layout(tokenizer, 32)
    with pytest.raises(SettingsError, match="longer than"):
        Cloze(reorder=0.2, window=50).layout(tokenizer, 32)
    with pytest.raises(SettingsError, match="no text to denoise"):
        Denoising().layout(tokenizer, 3)
    with pytest.raises(SettingsError, match="mask token"):
        Denoising().layout(word_tokenizer(["a", "b"]), 32)


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="encoder-decoder"):
        Denoising().heads(TransformerConfig(**BART, decoder_layers=1))
    with pytest.raises(SettingsError, match="encoder alone"):
        Cloze().heads(TransformerConfig(**BART, decoder_layers=1))
    with pytest.raises(SettingsError, match="decoder alone"):
        PrefixLanguageModel().heads(TransformerConfig(**BART, encoder_layers=1, decoder_layers=1))
    assert Denoising().heads(TransformerConfig(**BART, encoder_layers=1, decoder_layers=1)) == {}


def test_a_cloze_asks_for_what_it_corrupted_alone(tokenizer, make_rows):
    rows, draws = make_rows([40, 20], 40, framed=True)
    objective = Cloze(mask=0.2, substitute=0.1, reorder=0.1)
    texts, chosen = objective.corrupt(rows, draws, tokenizer)
    assert chosen.sum(1).tolist() == [8 + 4 + 4, 4 + 2 + 2]
    assert (texts.tokens == rows.tokens)[~chosen].all() and not np.isin(rows.tokens[chosen], [0, 1, 2]).any()
    batch = objective.batch(rows, draws, tokenizer)
    assert batch.counts == {"cloze": 24} and batch.tokens == 60
    assert (rows.tokens.ravel()[batch.targets["at"]] == batch.targets["cloze"].numpy()).all()


def test_a_prefix_is_seen_and_not_predicted(tokenizer, make_rows):
    rows, draws = make_rows([33, 33, 12], 33)
    batch = PrefixLanguageModel().batch(rows, draws, tokenizer)
    seen = batch.inputs.target.prefix.numpy()
    at, start = batch.targets["at"].numpy(), 0
    for row, length in enumerate([33, 33, 12]):
        k = int(seen[row].sum())
        assert seen[row, :k].all() and 1 <= k <= length - 1
        places = [place % 32 for place in at if place // 32 == row]
        assert places == list(range(k - 1, length - 1))  # the prefix's last token predicts the first of the rest
        wanted = batch.targets["prefix"][start : start + len(places)].tolist()
        assert wanted == rows.tokens[row, k:length].tolist()
        start += len(places)
    assert batch.counts["prefix"] == len(at) == start
