"""``trivium align --method reward``: what a reward model learns, and who opens it."""

from pathlib import Path

import pytest
import torch
import transformers
from tests.verbs.preferences import asked, conversations, rows

from trivium.errors import DataError, SettingsError
from trivium.verbs.align import Aligned, align
from trivium.verbs.load import load
from trivium.verbs.predict import predict
from trivium.verbs.reward_models import open_reward_model


def test_a_reward_model_learns_which_reply_is_preferred(judge: Aligned) -> None:
    assert judge.after["loss"] < 0.2 < judge.before["loss"] and judge.after["accuracy"] == 1.0
    assert judge.after["accuracy_low"] == pytest.approx(0.7225, abs=1e-3)  # Wilson's of 10 in 10
    assert judge.after["margin"] > judge.before["margin"]
    lines = [line for line in judge.history if line["kind"] == "train"]
    assert lines[-1]["losses"].keys() == {"preference", "accuracy", "margin"}
    assert lines[-1]["loss"] == pytest.approx(lines[-1]["losses"]["preference"])  # what is watched is not learnt


def test_transformers_opens_it_with_the_same_scores_alone_and_padded(judge: Aligned) -> None:
    assert judge.opens_in_transformers
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(judge.directory)
    assert theirs.config.num_labels == 1
    ours = open_reward_model(judge.directory, "cpu")
    ids = [ours.ids(each) for each in conversations()]
    assert theirs.config.pad_token_id not in {row[-1] for row in ids}
    rewards = ours.token_rewards(ids)
    alone = [theirs(torch.tensor([row])).logits.item() for row in ids]
    assert rewards == pytest.approx(alone, abs=1e-4)
    width = max(map(len, ids))
    padded = torch.tensor([row + [theirs.config.pad_token_id] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    assert theirs(padded, attention_mask=mask).logits[:, 0].tolist() == pytest.approx(rewards, abs=1e-4)
    assert ours.rewards(conversations()) == pytest.approx(rewards)
    assert ours.rewards(conversations(), shifted=True) == pytest.approx([each - ours.shift for each in rewards])


def test_demonstrations_are_worth_nothing_when_the_shift_is_taken_off(judge: Aligned, tmp_path: Path) -> None:
    ours = open_reward_model(judge.directory, "cpu")
    found = ours.rewards(conversations(32), shifted=True)
    assert sum(found) / 32 == pytest.approx(0, abs=1e-4)
    assert ours.shift == pytest.approx(judge.figures["mean_of_chosen"])


def test_predict_says_what_replies_are_worth(judge: Aligned) -> None:
    given = [{"instruction": row["instruction"], "output": row["chosen"]} for row in rows(2)]
    messages = [{"messages": [each.row() for each in conversation]} for conversation in conversations(2)]
    expected = open_reward_model(judge.directory, "cpu").rewards(conversations(2))
    for asked_rows in (given, messages):
        found = [each.row() for each in predict(judge.directory, asked_rows, device="cpu")]
        assert [row["reward"] for row in found] == pytest.approx(expected, abs=1e-5)
    assert [each.prediction.reward for each in load(judge.directory).predict(given)] == pytest.approx(expected)
    both = [each.row() for each in predict(judge.directory, [rows(1)[0], given[1]], device="cpu")]
    assert both[0]["reward_chosen"] == pytest.approx(expected[0], abs=1e-5) and both[0]["right"] is True
    assert both[0]["reward_rejected"] < both[0]["reward_chosen"]
    assert both[1]["reward"] == pytest.approx(expected[1], abs=1e-5)
    with pytest.raises(DataError, match="row 0: no conversation among the columns 'text'"):
        list(predict(judge.directory, ["only a text"], device="cpu"))


def test_an_adapter_scores_as_the_model_that_was_trained(tiny_models, files, tmp_path) -> None:
    settings = asked("reward", tiny_models["llama"], files, "training.learning_rate=0.01", weights="lora")
    made = align(settings, tmp_path / "run", quiet=True)
    expected = open_reward_model(tmp_path / "run", "cpu")
    made.model.eval()
    mine = type(expected)(made.model, expected.renderer, expected.ends)
    assert expected.rewards(conversations()) == pytest.approx(mine.rewards(conversations()), abs=1e-4)


def test_what_is_no_reward_model_is_refused(tiny_models, judge: Aligned, tmp_path) -> None:
    with pytest.raises(SettingsError, match="is no reward model"):
        open_reward_model(tiny_models["llama"])
    ours = open_reward_model(judge.directory, "cpu")
    assert ours.token_rewards([]) == []
    with pytest.raises(SettingsError, match="row 1 has no tokens"):
        ours.token_rewards([[1, 2], []])
    with pytest.raises(SettingsError, match="and the reward model reads"):
        ours.token_rewards([[1] * 10_000])
