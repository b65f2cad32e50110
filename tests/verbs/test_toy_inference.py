"""Three labels for pairs (entails, contradicts, neutral), learnt by an encoder and, in GPT-1's way, by a decoder."""

import numpy as np
import pytest

from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.text.examples import Pair
from trivium.tokenizers import train_bpe
from trivium.verbs.finetune import finetune
from trivium.verbs.predict import predict
from trivium.verbs.tuning import FineTuning

LABELS = ("contradicts", "entails", "neutral")


def pairs(count, seed):
    """"It snows" entails "It is cold" and contradicts "It is warm"; of who drives home it says nothing."""
    draw, found = np.random.default_rng(seed), []
    cold, warm = ("it snows", "a winter storm"), ("the sun burns", "a summer day")
    for _ in range(count):
        label, frosty = LABELS[draw.integers(3)], bool(draw.integers(2))
        premise = draw.choice(cold if frosty else warm)
        if label == "neutral":
            hypothesis = draw.choice(("the dog is hairy", "the cat drives home"))
        else:
            hypothesis = "it is cold" if frosty is (label == "entails") else "it is warm"
        found.append(Pair(str(premise), str(hypothesis), label))
    return found


@pytest.mark.parametrize(("family", "options", "changes", "epochs", "rate"), [
    ("bert", {"pooling": "mean"}, {"init_std": 0.1, "dropout": 0.0}, 15, 2e-3),
    ("gpt1", {"lm_weight": 0.5}, {}, 25, 5e-3),
])  # fmt: skip
def test_toy_inference_above_chance(family, options, changes, epochs, rate, tmp_path):
    train, dev = pairs(300, 0), pairs(90, 1)
    tokenizer = train_bpe([f"{pair.first} {pair.second}" for pair in train], 340)
    config = FAMILIES[family].size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad, **changes)
    huggingface.save(initialise(network(config), 0), FAMILIES[family], tokenizer, tmp_path / "base")
    settings = FineTuning(epochs=epochs, batch=20, learning_rate=rate, precision="float32")
    report = finetune("sequence", tmp_path / "base", train, dev, out=tmp_path / "o", options=options, settings=settings)
    assert report.labels == LABELS
    assert report.scores["accuracy"] > 0.8  # chance: a third; from the hypothesis alone two thirds
    rows = [{"text": pair.first, "text2": pair.second} for pair in dev]
    said = [each.prediction.label for each in predict(tmp_path / "o", rows)]
    right = np.mean([label == pair.label for label, pair in zip(said, dev, strict=True)])
    assert right == pytest.approx(report.scores["accuracy"])
