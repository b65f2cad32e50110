import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import save
from trivium.objectives import Batch
from trivium.objectives.packing import steady
from trivium.tasks import Rewriting, Rewritten, predict_all
from trivium.tasks.rewrite_items import LOSS
from trivium.text.examples import Rewrite
from trivium.transformer import TransformerConfig

EXAMPLES = [
    Rewrite("It's a snow day! There is snow outside.", "snow"),
    Rewrite("cat", "The cat sat on the mat"),
    Rewrite("my dog is hairy, after such a late night we drive home", "we drive my dog home"),
    Rewrite("There is snow outside.", "day", ("night",)),
]
CLASSES = {
    "t5": transformers.T5ForConditionalGeneration,
    "bart": transformers.BartForConditionalGeneration,
    "gpt2": transformers.GPT2LMHeadModel,
}


def built(family, tokenizer, **settings):
    task = Rewriting(**{"target_length": 20, **settings})
    own = {"t5": {"start_token": tokenizer.pad}, "bart": {"start_token": tokenizer.end}}.get(family, {})
    sizes = {"init_std": 0.2} if family != "t5" and family in CLASSES else {}
    config = FAMILIES[family].size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad, **own, **sizes)
    tokens = tokenizer.with_layout("classify") if family == "bart" else tokenizer
    model = initialise(network(config), 0).eval()
    return task, model, task.layout(tokens, config)


def reference_loss(theirs, tokens, task, smoothing=0.0):
    """Sum over targets and their number, by their model and their labels, a padded batch; the mean is their loss."""
    config = theirs.config
    both = config.is_encoder_decoder
    layout = tokens.layout()
    rows, labels = [], []
    for example in EXAMPLES:
        target = tokens.encode(example.target).ids
        if both:
            rows.append([*layout.before, *tokens.encode(task._prefix + example.source).ids, *layout.after])
            labels.append([*layout.before, *target, *layout.after])
        else:
            prompt = tokens.encode(task._prefix + example.source + task.separator).ids
            rows.append([*prompt, *target, tokens.end])
            labels.append([-100] * len(prompt) + [*target, tokens.end])

    def padded(lists, value):
        widest = max(map(len, lists))
        return torch.tensor([row + [value] * (widest - len(row)) for row in lists])

    ids, mask = padded(rows, 0), padded([[1] * len(row) for row in rows], 0)
    wanted = padded(labels, -100)
    with torch.no_grad():
        out = theirs(input_ids=ids, attention_mask=mask, labels=wanted)
    known = wanted if both else wanted[:, 1:]
    logits = out.logits if both else out.logits[:, :-1]
    total = F.cross_entropy(logits[known >= 0], known[known >= 0], label_smoothing=smoothing, reduction="sum")
    count = int((known >= 0).sum())
    if not smoothing:
        assert out.loss.item() == pytest.approx(total.item() / count, rel=1e-5)
    return total, count


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("family", list(CLASSES))
def test_the_loss_is_that_of_transformers(family, smoothing, tokenizer, tmp_path):
    task, model, tokens = built(family, tokenizer, prefix="a storm:", label_smoothing=smoothing)
    save(model, FAMILIES[family], tokens, tmp_path)
    theirs = CLASSES[family].from_pretrained(tmp_path).eval()
    batch = task.batch(task.encode(EXAMPLES, tokens, model.config), np.arange(4))
    found = task.loss(model, batch)[LOSS]
    total, count = reference_loss(theirs, tokens, task, smoothing)
    assert found.count == count == batch.counts[LOSS]
    torch.testing.assert_close(found.total, total, rtol=1e-5, atol=1e-4)


def test_label_smoothing_is_torchs_definition(tokenizer):
    """(1 - e) * nll + e * the mean of -log p over the vocabulary, by hand."""
    task, model, tokens = built("gpt2", tokenizer, label_smoothing=0.25)
    batch = task.batch(task.encode(EXAMPLES[:1], tokens, model.config), np.arange(1))
    logs = model(batch.inputs, at=batch.targets["at"]).logits.log_softmax(-1)
    chosen = logs.gather(1, batch.targets[LOSS][:, None])[:, 0]
    by_hand = -(0.75 * chosen + 0.25 * logs.mean(-1)).sum()
    torch.testing.assert_close(task.loss(model, batch)[LOSS].total, by_hand)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_scores_are_asked_for_at_numbers_of_places_that_repeat(smoothing, tokenizer):
    """``steady`` rows of scores, more than there are targets, which cost what the targets do."""
    task, model, tokens = built("gpt2", tokenizer, label_smoothing=smoothing)
    examples = [Rewrite("we " * number, "the cat " * number) for number in range(1, 9)]
    batch, sizes = task.batch(task.encode(examples, tokens, model.config), np.arange(8)), []
    model.vocabulary.register_forward_hook(lambda _, given, scores: sizes.append(len(scores)))
    found = task.loss(model, batch)[LOSS].total
    assert sizes[0] == len(steady(batch.targets["at"])) > batch.counts[LOSS]
    logits = model(batch.inputs, at=batch.targets["at"]).logits
    expected = F.cross_entropy(logits, batch.targets[LOSS], reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_source_is_no_target_and_no_logits_are_computed_there(family, tokenizer):
    task, model, tokens = built(family, tokenizer)
    items = task.encode(EXAMPLES, tokens, model.config)
    batch = task.batch(items, np.arange(4))
    counts = [len(tokenizer.encode(example.target).ids) + 1 for example in EXAMPLES]  # and the end token
    assert batch.counts[LOSS] == sum(counts) == len(batch.targets["at"])
    assert model(batch.inputs, at=batch.targets["at"]).logits.shape == (sum(counts), tokenizer.vocab_size)
    changed = batch.targets[LOSS].clone()
    parts = changed.split(counts)
    assert [part[-1].item() for part in parts] == [tokenizer.end] * 4
    assert [tokenizer.decode(part[:-1].tolist()) for part in parts] == [example.target for example in EXAMPLES]


@pytest.mark.parametrize(("family", "beams"), [
    ("t5", 1), ("t5", 3), ("bart", 2), ("gpt2", 1), ("gpt2", 3), ("lstm", 1), ("seq2seq", 2),
])  # fmt: skip
def test_a_text_does_not_depend_on_its_neighbours(family, beams, tokenizer):
    task, model, tokens = built(family, tokenizer, beams=beams, target_length=12, no_repeat_ngram=1)
    items = task.encode(EXAMPLES, tokens, model.config)
    found = [predict_all(task, model, EXAMPLES, items, size) for size in (1, 40, 10_000)]
    for other in found[1:]:
        assert [each.output for each in other] == [each.output for each in found[0]]
        for name in ("probability", "nats"):
            theirs = [getattr(each, name) for each in found[0]]
            assert [getattr(each, name) for each in other] == pytest.approx(theirs, rel=1e-3, abs=1e-9)
    assert any(each.output for each in found[0])
    costs = task.loss(model, task.batch(items, np.arange(4)))[LOSS]
    assert sum(each.nats for each in found[0]) == pytest.approx(costs.total.item(), rel=1e-4)
    assert task.score(found[0], EXAMPLES)["loss"] == pytest.approx(costs.total.item() / costs.count, rel=1e-4)


def test_what_is_too_long_is_cut_at_its_end_and_counted(tokenizer):
    task, model, tokens = built("gpt2", tokenizer, source_length=10, target_length=6, separator=" TL;DR:")
    items = task.encode(EXAMPLES, tokens, model.config)
    closing = tokenizer.encode(" TL;DR:").ids
    assert items.truncated == 4
    for prompt, target, example in zip(items.prompts, items.targets, EXAMPLES, strict=True):
        assert len(prompt.ids) <= 10 and list(prompt.ids[-len(closing) :]) == closing
        assert len(target) <= 6 and target[-1] == tokenizer.end
        assert tokenizer.encode(example.target).ids[:5] == list(target[:-1])
    assert len(items.prompts[0].ids) == 10
    task, model, tokens = built("t5", tokenizer, source_length=9)
    items = task.encode([*EXAMPLES, Rewrite("cat", "")], tokens, model.config)
    whole = tokenizer.encode(EXAMPLES[0].source).ids
    assert items.prompts[0].source == (*whole[:8], tokenizer.end) and items.truncated == 3
    assert items.targets[4] == () and items.prompts[4].ids == (tokenizer.pad,)


def test_padding_is_not_paid_for(tokenizer):
    """The decoder's rows need no mask, and one batch of similar texts has hardly any padding."""
    task, model, tokens = built("t5", tokenizer)
    batch = task.batch(task.encode(EXAMPLES, tokens, model.config), np.arange(4))
    assert batch.inputs.target.documents is None
    sides = zip(batch.items.prompts, batch.items.targets, strict=True)
    assert batch.tokens == sum(len(prompt.source) + len(target) for prompt, target in sides)
    assert type(batch.to("cpu")) is type(batch) and batch.to("cpu").items is batch.items
    assert isinstance(batch, Batch)


def test_what_a_model_said_as_fields_of_a_line():
    assert Rewritten("a b", 0.123456789).row() == {"output": "a b", "probability": 0.123457}
    assert Rewritten("a b", 1.23456789e-12).row()["probability"] == 1.23457e-12
    assert Rewritten("x", 0.5, None, labelled=True).row() == {"output": "x", "label": None, "probability": 0.5}


def test_outcomes_and_several_references():
    task = Rewriting(metric="exact")
    predicted = [Rewritten("snow", 1, nats=2.0, tokens=2), *[Rewritten("night", 1, nats=1.0, tokens=1)] * 3]
    assert task.score(predicted, EXAMPLES) == {"exact": 0.5, "loss": 1.0}  # the last one's second reference
    outcome = task.outcomes(predicted, EXAMPLES)[0]
    assert (outcome.gold, outcome.said, outcome.loss) == ("snow", "snow", 2.0)


def test_rows_become_examples():
    task = Rewriting()

    def example(row, columns=None, gold=True):
        return task.example("a.jsonl:3", row, columns or {}, gold)

    assert example({"source": "a", "target": "b"}) == Rewrite("a", "b")
    names = {"source": "abstract", "target": "summaries"}
    assert example({"abstract": "a", "summaries": ["b", "c"]}, names) == Rewrite("a", "b", ("c",))
    assert example({"source": "a"}, gold=False) == example({"text": "a"}, gold=False) == Rewrite("a", "")
    for row, message in [
        ({"source": "a", "target": []}, "'target' is an empty list"),
        ({"source": "a", "target": ["b", " "]}, "'target' holds ' '"),
        ({"source": "a", "target": 3}, "the text in 'target' is int"),
        ({"source": "", "target": "b"}, "the text in 'source' is empty"),
        ({"sorce": "a", "target": "b"}, "did you mean 'sorce'"),
    ]:
        with pytest.raises(Exception, match=f"a.jsonl:3: .*{message}"):
            example(row)


def test_models_without_a_vocabulary_or_an_end_are_refused(tokenizer):
    config = TransformerConfig(vocab_size=8, width=8, heads=1, ffn_width=8, decoder_layers=1, vocabulary_head="none")
    with pytest.raises(SettingsError, match="no vocabulary projection"):
        Rewriting().configure(config, {})
