"""What a model makes of its context, against ``transformers``' logits token by token and a model that copies."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import trivium
from trivium.errors import DataError, SettingsError
from trivium.evaluation import Scorer
from trivium.evaluation.comparison import lower_is_better
from trivium.evaluation.context_use import ContextUse

TEXT = "Every model reads tokens, écrit des mots and raises an error when the file is missing.\n" * 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "text.txt"


def scorer_of(folder: Path) -> Scorer:
    loaded = trivium.load(folder)
    return Scorer(loaded.model, loaded.tokenizer)


def test_each_band_is_the_mean_of_the_references_costs(tiny_models: dict[str, Path], path: Path) -> None:
    """Passages of 20 tokens after the end token: bands from 1, 2, 4 and 8 tokens before, the last up to 20."""
    scorer = scorer_of(tiny_models["gpt2"])
    read = scorer.tokenizer.encode(TEXT)
    reference = transformers.GPT2LMHeadModel.from_pretrained(tiny_models["gpt2"]).eval()
    bits: dict[int, list[float]] = {1: [], 2: [], 4: [], 8: []}
    short = 0.0
    sizes: dict[int, int] = dict.fromkeys(bits, 0)
    count = len(read.ids) // 20
    for passage in range(count):
        here = range(20 * passage, 20 * passage + 20)
        ids = [scorer.tokenizer.end, *(read.ids[i] for i in here)]
        with torch.no_grad():
            chances = reference(torch.tensor([ids])).logits[0].log_softmax(-1)
            for at in range(8, 21, 2):  # two at a time, or the one that is left, after the end token and one more
                piece = [scorer.tokenizer.end, *ids[at - 1 : at + 2]]
                again = reference(torch.tensor([piece])).logits[0].log_softmax(-1)
                short -= sum(float(again[place - 1, piece[place]]) for place in range(2, len(piece))) / math.log(2)
        for seen, at in enumerate(here, start=1):
            band = max(start for start in bits if start <= seen)
            bits[band].append(-float(chances[seen - 1, ids[seen]]) / math.log(2))
            end = read.offsets[at + 1][0] if at + 1 < len(read.ids) else len(TEXT)
            sizes[band] += len(TEXT[read.offsets[at][0] : end].encode())
    measured = ContextUse(context=20, early=2).run(scorer, path, None).measured
    wanted = {start: sum(bits[start]) / sizes[start] for start in bits}
    for start, value in wanted.items():
        assert measured.scores[f"bits_per_byte_from_{start}"].value == pytest.approx(value, rel=1e-4)
    assert measured.scores["bits_per_byte_shortened"].value == pytest.approx(short / sizes[8], rel=1e-4)
    assert measured.scores["gain"].value == pytest.approx(short / sizes[8] - wanted[8], abs=1e-4)
    assert measured.conventions["passages"] == str(count) and measured.conventions["late"] == "8"


def test_copies_are_shuffled_tokens_shown_twice(tiny_models: dict[str, Path], path: Path, monkeypatch) -> None:
    asked = []

    class Copier:
        """Certain of what stood 6 tokens before, and of nothing else: a chance of one in 16."""

        def __init__(self, question) -> None:
            seen = question.ids
            known = [place >= 5 and seen[place - 5] == target
                     for place, target in zip(question.positions, question.targets, strict=True)]  # fmt: skip
            self.log_probabilities = tuple(0.0 if each else -4 * math.log(2) for each in known)
            self.log_probability = sum(self.log_probabilities)

    def answers(model, questions, tokens):
        asked.append(questions)
        return [Copier(each) for each in questions]

    monkeypatch.setattr("trivium.evaluation.context_use.answers", answers)
    scorer = scorer_of(tiny_models["gpt2"])
    scores = ContextUse(context=24, early=4, copied=6).run(scorer, path, None).measured.scores
    ids = scorer.tokenizer.encode(TEXT).ids
    moved = 0
    for number, question in enumerate(asked[1]):
        row = (*question.ids, question.targets[-1])
        assert row[0] == scorer.tokenizer.end and row[1:7] == row[7:]
        assert sorted(row[1:7]) == sorted(ids[24 * number : 24 * number + 6])
        moved += row[1:7] != tuple(ids[24 * number : 24 * number + 6])
        assert question.targets == (*row[2:7], *row[8:])
    assert moved > len(asked[1]) / 2 and len(asked[1]) == len(ids) // 24
    assert scores["second_copy_bits_per_byte"].value == 0
    assert scores["copying"].value == scores["first_copy_bits_per_byte"].value > 0
    again = ContextUse(context=24, early=4, copied=6, seed=1).run(scorer, path, None)
    assert asked[4] != asked[1] and asked[3] == asked[0] and asked[5] == asked[2] and again.scored == 12


def test_a_gain_is_better_when_high_and_a_cost_when_low() -> None:
    assert lower_is_better("bits_per_byte_from_8") and lower_is_better("second_copy_bits_per_byte")
    assert not lower_is_better("gain") and not lower_is_better("copying")


@pytest.mark.parametrize("name", ["llama", "xlnet", "lstm"])
def test_every_model_that_reads_from_left_to_right_can_be_asked(tiny_models, path: Path, name: str) -> None:
    scores = ContextUse(context=16, early=2).run(scorer_of(tiny_models[name]), path, None).measured.scores
    assert all(np.isfinite((each.value, each.low, each.high)).all() for each in scores.values())
    assert scores["gain"].low <= scores["gain"].value <= scores["gain"].high


def test_what_cannot_be_measured_is_said(tiny_models: dict[str, Path], tmp_path: Path, path: Path) -> None:
    scorer = scorer_of(tiny_models["gpt2"])
    for settings, message in (
        (ContextUse(context=8), "context is 8: it must be from 16 to what this model reads, 64"),
        (ContextUse(context=65), "context is 65"),
        (ContextUse(early=12), "early is 12: it must be a power of two below 32"),
        (ContextUse(context=16), "early is 8: it must be a power of two below 8"),
        (ContextUse(copied=33), "copied is 33: it must be at least 2"),
    ):
        with pytest.raises(SettingsError, match=message):
            settings.run(scorer, path, None)
    (tmp_path / "short.txt").write_text("Too short.")
    with pytest.raises(DataError, match="too short for one passage of 64 tokens"):
        ContextUse().run(scorer, tmp_path / "short.txt", None)
    for name in ("bert", "t5"):
        with pytest.raises(SettingsError, match=r"read from left to right, and this is an encoder"):
            ContextUse().run(scorer_of(tiny_models[name]), path, None)
