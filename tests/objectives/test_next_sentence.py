"""Next-sentence prediction and BERT's sum of two losses, against transformers and on texts that keep to a topic."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.objectives import Masked, NextSentence
from trivium.randomness import Draws
from trivium.settings import build, dump
from trivium.text import cut, write_shards
from trivium.text.mixture import Mixture
from trivium.tokenizers.learning import OPTIONS, learn
from trivium.training.settings import AdamW, TrainingSettings
from trivium.training.trainer import Trainer
from trivium.transformer import NEXT_SENTENCE, Inputs

BOTH, PLAIN = NextSentence(copies=2), NextSentence(copies=2, short=0.0, masked=None)
TOPICS = "cats dogs birds fish trees ships stones clouds rivers towns books songs".split()
VERBS = "see like want know hear find".split()


def texts(count=48, sentences=12, seed=0):
    """Each document speaks of one topic, which every sentence names."""
    drawn = np.random.default_rng(seed).integers(0, len(VERBS), (count, sentences))
    return [" ".join(f"we {VERBS[v]} {TOPICS[d % len(TOPICS)]}." for v in row) for d, row in enumerate(drawn)]


@pytest.fixture(scope="module")
def words():
    return learn(texts(), 90, OPTIONS["wordpiece"](), "classify").tokenizer


@pytest.fixture(scope="module")
def blocks(words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    shards = write_shards(texts(), words.encode_batch, words.end, words.vocab_size, folder, "f")
    return cut(shards, BOTH.layout(words, 40))


def model_for(objective, tokenizer, family="bert", **changes):
    config = FAMILIES[family].size("tiny", tokenizer.vocab_size, context=40, pad_token=tokenizer.pad, **changes)
    return initialise(network(config, objective.heads(config)), 0)


def batch_of(objective, blocks, tokenizer, first=0, count=16):
    rows = Mixture.of(blocks, 0).rows(first, count)
    return objective.batch(rows, Draws(1, rows.draws), tokenizer)


def test_a_row_is_classify_a_separator_b_separator(blocks, words):
    """[CLS] the man went to the store [SEP] he bought a gallon of milk [SEP], segments 0 and 1."""
    batch = batch_of(PLAIN, blocks, words)
    source, labels = batch.inputs.source, batch.targets[NEXT_SENTENCE]
    for ids, segments, documents in zip(source.ids, source.segments, source.documents, strict=True):
        real = ids[documents >= 0]
        assert real[0] == words.classify and real[-1] == words.separator
        assert (real == words.separator).sum() == 2
        middle = int((real == words.separator).nonzero()[0]) + 1
        assert segments.tolist() == [0] * middle + [1] * (len(real) - middle) + [0] * (40 - len(real))
    assert set(labels.tolist()) == {0, 1} and batch.counts == {NEXT_SENTENCE: 16} and batch.scored == 0


@pytest.mark.parametrize("alone", [False, True])
def test_the_losses_and_their_sum_are_those_of_transformers(alone, blocks, words, tmp_path):
    """total == masked_lm_loss + next_sentence_loss, each a mean, in one pass of a model that transformers opens."""
    import transformers

    from trivium.families.huggingface import save

    objective = PLAIN if alone else BOTH
    model = model_for(objective, words).eval()
    save(model, FAMILIES["bert"], words, tmp_path)
    theirs = transformers.BertForPreTraining.from_pretrained(tmp_path).eval()
    batch = batch_of(objective, blocks, words)
    source = batch.inputs.source
    labels = torch.full_like(source.ids, -100)
    if not alone:
        labels.view(-1)[batch.targets["at"]] = batch.targets["masked"]
    with torch.no_grad():
        losses = {name: loss.total / loss.count for name, loss in objective.loss(model, batch).items()}
        found = theirs(
            source.ids, attention_mask=(source.documents >= 0).long(), token_type_ids=source.segments,
            labels=labels, next_sentence_label=batch.targets[NEXT_SENTENCE],
        )  # fmt: skip
    if alone:
        expected = torch.nn.functional.cross_entropy(found.seq_relationship_logits, batch.targets[NEXT_SENTENCE])
        assert set(losses) == {NEXT_SENTENCE}
    else:
        expected = found.loss
        assert set(losses) == {"masked", NEXT_SENTENCE}
    torch.testing.assert_close(sum(losses.values()), expected, rtol=1e-5, atol=1e-5)


def test_the_input_is_the_sum_of_token_segment_and_position(blocks, words):
    """The module's embeddings by hand, and without any of the three the output is another."""
    model = model_for(BOTH, words).eval()
    source = batch_of(BOTH, blocks, words).inputs.source
    encoder = model.encoder
    summed = model.tokens.weight[source.ids] + encoder.segments.weight[source.segments] + encoder.positions.weight[:40]
    embedded = encoder.embed(model.tokens(source.ids), source)
    torch.testing.assert_close(embedded, encoder.embedding_norm(summed))
    with torch.no_grad():
        before = model(Inputs(source=source)).hidden
        for table in (model.tokens, encoder.segments, encoder.positions):
            kept = table.weight.clone()
            table.weight.zero_()
            assert not torch.allclose(model(Inputs(source=source)).hidden, before)
            table.weight.copy_(kept)
        assert torch.equal(model(Inputs(source=source)).hidden, before)


def test_batches_do_not_depend_on_how_they_are_split(blocks, words):
    whole = batch_of(BOTH, blocks, words)
    halves = [batch_of(BOTH, blocks, words, first, 8) for first in (0, 8)]
    for name in ("ids", "segments"):
        joined = torch.cat([getattr(half.inputs.source, name) for half in halves])
        assert torch.equal(joined, getattr(whole.inputs.source, name))
    for name in ("masked", NEXT_SENTENCE):
        assert torch.equal(torch.cat([half.targets[name] for half in halves]), whole.targets[name])
        assert sum(half.counts[name] for half in halves) == whole.counts[name]
    assert whole.scored == whole.counts["masked"]
    assert not torch.isin(whole.targets["masked"], torch.tensor([words.classify, words.separator])).any()


class Wrong(NextSentence):
    """Judges each pair by the label of the one before it."""

    def batch(self, rows, draws, tokenizer):
        return super().batch(replace(rows, labels=np.roll(rows.labels, 1)), draws, tokenizer)


def accuracy(objective, folder, steps=230):
    """On pairs of documents never trained on: each speaks of one topic, by which B tells whether it follows A."""
    words = learn(texts(600), 100, OPTIONS["wordpiece"](), "classify").tokenizer

    def pairs(count, seed):
        made = folder / str(seed)
        return cut(write_shards(texts(count, seed=seed), words.encode_batch, words.end, words.vocab_size, made, "f"),
                   PLAIN.layout(words, 19), seed=seed)  # fmt: skip

    model = model_for(objective, words, dropout=0.0, attention_dropout=0.0, width=64, heads=4, init_std=0.1)
    mixture = Mixture.of(pairs(600, 0), 0)

    def feed(number):
        rows = mixture.rows(number * 64, 64)
        return [objective.batch(rows, Draws(1, rows.draws), words)]

    settings = TrainingSettings(steps=steps, optimizer=AdamW(learning_rate=3e-3), precision="float32", device="cpu")
    for _ in Trainer(model, objective.loss, feed, settings, steps=steps):
        pass
    batch = batch_of(PLAIN, pairs(24, 9), words, 0, 256)
    with torch.no_grad():
        return PLAIN.loss(model.eval(), batch)[NEXT_SENTENCE].right.item() / 256


def test_which_sentence_follows_is_learnt_and_not_from_the_labels_of_other_pairs(tmp_path):
    """Above the 70% asked for; chance is the larger share, some 55%."""
    assert accuracy(PLAIN, tmp_path / "right") > 0.85
    assert accuracy(Wrong(masked=None), tmp_path / "wrong") < 0.7


def test_settings_of_both_losses_go_into_a_recipe_and_come_back():
    made = build(NextSentence, {"copies": 3, "masked": {"rate": 0.4, "whole_word": True}})
    assert made == NextSentence(copies=3, masked=Masked(rate=0.4, whole_word=True))
    assert build(NextSentence, {"masked": "none"}) == NextSentence(masked=None)
    for each in (made, NextSentence(), NextSentence(masked=None)):
        assert build(NextSentence, dump(each)) == each


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"copies": 0}, "objective.copies = 0"),
        ({"short": 1.5}, "objective.short = 1.5"),
        ({"masked": Masked(isolate_documents=False)}, "objective.masked.isolate_documents"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        NextSentence(**settings)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("roberta", "embeddings for 1: set model.segments = 2"),
        ("distilbert", "embeddings for 0"),
        ("gpt2", "the next_sentence objective trains an encoder alone"),
        ("t5", "encoder alone"),
    ],
)
def test_models_without_two_segments_are_refused(family, message):
    with pytest.raises(SettingsError, match=message):
        BOTH.heads(FAMILIES[family].size("tiny", 50))
