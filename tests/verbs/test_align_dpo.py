"""``trivium align --method dpo``: where the model moves, and what the reference is."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.verbs.preferences import asked

from trivium.alignment.pairs import TokenPairs, reads_endings
from trivium.alignment.reference import log_probabilities
from trivium.transformer import Inputs, Tokens
from trivium.verbs.align import Alignment, align
from trivium.verbs.load import load
from trivium.verbs.preference_pairs import Reading, read_pairs
from trivium.verbs.reply_comparison import repetition, win_rate


@pytest.mark.parametrize("weights", ["full", "lora"])
def test_dpo_moves_the_model_to_what_is_preferred(tiny_models, files, judge, tmp_path, weights: str) -> None:
    rate = 0.002 if weights == "full" else 0.05
    settings = asked(
        "dpo", tiny_models["llama"], files, "training.steps=20", f"training.learning_rate={rate}", "training.batch=8",
        f"method.judge={judge.directory}", weights=weights,
    )  # fmt: skip
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.before["loss"] == pytest.approx(math.log(2), abs=1e-5)  # the model is the reference
    assert (made.before["margin"], made.before["kl"]) == pytest.approx((0, 0), abs=1e-4)
    assert made.before["win_rate"] == 0.5
    assert made.after["loss"] < 0.55 and made.after["accuracy"] > 0.9 and made.after["margin"] > 0.3
    assert made.after["reward_chosen"] > made.after["reward_rejected"]
    moved = made.after["log_probability_chosen"] - made.before["log_probability_chosen"]
    assert made.after["reward_chosen"] == pytest.approx(0.1 * moved, abs=1e-3)  # beta (log pi - log ref)
    assert made.after["kl"] > 0.01 and 0 <= made.after["win_rate_low"] <= made.after["win_rate"] <= 1
    evaluations = [line for line in made.history if line["kind"] == "evaluation"]
    assert all("kl" in line and "accuracy_low" in line for line in evaluations) and len(evaluations) > 5
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run") if weights == "full" else True


def test_the_reference_is_what_the_model_said_at_first(tiny_models, files, tmp_path) -> None:
    from safetensors.numpy import load_file

    settings = asked("dpo", tiny_models["llama"], files, weights="lora")
    align(settings, tmp_path / "run", quiet=True)
    kept = load_file(tmp_path / "run" / "data" / "reference-dev.safetensors")["log_probabilities"]
    base = load(tiny_models["llama"])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_models["llama"]).eval()
    pairs = _pairs(base, settings)
    assert kept.tolist() == pytest.approx(log_probabilities(base.model, pairs), abs=1e-3)
    for pair, row in zip(pairs.pairs, kept, strict=True):
        for side, value in zip((pair.chosen, pair.rejected), row, strict=True):
            labels = torch.full((len(side.ids),), -100)
            labels[side.said] = torch.from_numpy(side.ids[side.said])
            with torch.no_grad():
                loss = theirs(torch.from_numpy(side.ids)[None], labels=labels[None]).loss.item()
            assert -loss * len(side.said) == pytest.approx(value, abs=1e-3)


def _pairs(base: Any, settings: Alignment) -> TokenPairs:
    from types import SimpleNamespace

    from trivium.text.chat_templates import CHAT_TEMPLATES
    from trivium.verbs.alignment_parts import Start

    start = Start(
        base, CHAT_TEMPLATES["plain"], Path(settings.train), Path(settings.dev or ""), {}, None, "full", settings.lora,
        settings.training, Path(), SimpleNamespace,  # type: ignore[arg-type]
    )  # fmt: skip
    dev = read_pairs(start, Reading(too_long="error")).dev
    assert dev is not None and dev.shared is reads_endings(base.config)
    return dev


@pytest.mark.parametrize("model", ["gpt2", "lstm", "qwen2"])
def test_other_decoders_learn_from_preferences_too(tiny_models, files, tmp_path, model: str) -> None:
    for method in ("reward", "dpo"):
        settings = asked(method, tiny_models[model], files, "training.steps=2", "training.evaluations=1")
        made = align(settings, tmp_path / method, quiet=True)
        assert math.isfinite(made.after["loss"])


@pytest.mark.parametrize("sets", [("method.variant=ipo", "method.per_token=true"), ("method.imitation=1",)])
def test_ipo_and_imitation(tiny_models, files, tmp_path, sets: tuple[str, ...]) -> None:
    settings = asked("dpo", tiny_models["llama"], files, "training.learning_rate=0.001", "training.steps=10", *sets)
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.after["loss"] < made.before["loss"] and made.after["margin"] > 0
    if "method.imitation=1" in sets:
        assert made.after["log_probability_chosen"] > made.before["log_probability_chosen"]


def test_one_prompt_has_a_distance_and_no_interval(tiny_models, files, tmp_path) -> None:
    made = align(asked("dpo", tiny_models["llama"], files, "method.samples=1"), tmp_path / "run", quiet=True)
    assert "kl" in made.after and "kl_low" not in made.after


def test_the_adapter_is_in_use_again_after_the_reference_was_asked(tiny_models, files, tmp_path) -> None:
    settings = asked("dpo", tiny_models["llama"], files, "training.learning_rate=0.05", weights="lora")
    made = align(settings, tmp_path / "run", quiet=True)
    written = load(tmp_path / "run")
    ids = torch.tensor([[5, 6, 7, 8]])
    inputs = Inputs(target=Tokens(ids))
    with torch.no_grad():
        after, saved, before = (
            model(inputs, at="all").logits for model in (made.model, written.model, load(tiny_models["llama"]).model)
        )
    torch.testing.assert_close(after, saved, rtol=1e-4, atol=1e-4)
    assert (after - before).abs().max() > 1e-3


def test_a_win_rate_counts_equal_rewards_half() -> None:
    found = win_rate([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 4.0, -1.0])
    assert found.value == 0.625 and 0 <= found.low < found.value < found.high <= 1


@pytest.mark.parametrize(
    ("tokens", "share"), [([1, 2, 3, 1, 2, 3], 0.25), ([5] * 6, 0.75), ([1, 2, 3, 4], 0.0), ([1], 0.0)]
)
def test_repetition_is_the_share_of_runs_that_came_before(tokens: list[int], share: float) -> None:
    assert repetition(tokens) == share
