"""Rewards that can be checked, users' own functions, and everything that can be wrong with them."""

import hashlib
import math
from decimal import Decimal

import pytest

from trivium.alignment.own_rewards import is_own, own
from trivium.alignment.rewards import REWARDS, Asked, built_in, final_number, total, weight_of
from trivium.errors import DataError, SettingsError
from trivium.text.chats import Message


def asked(response, answer="so 6 and 4 make 10\n#### 10", prompt="How many?", place="train.jsonl:1"):
    return Asked((Message("user", prompt),), response, {"question": prompt, "answer": answer}, place)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("6 + 4 = 10\n#### 10", "10"),
        ("#### 1,234.50 dollars or 7", "1234.50"),
        ("#### -3", "-3"),
        ("#### $5", "5"),
        ("it is 3, then 4.", "4"),
        ("#### 2 wrong #### 8", "8"),
        ("none", None),
        ("10 #### none", None),
        ("", None),
    ],
)
def test_the_final_number(text, number):
    assert final_number(text) == (None if number is None else Decimal(number))


def test_gsm8k_compares_numbers_not_texts():
    rows = [asked("the answer is 10."), asked("#### 10.0"), asked("10 or 11"), asked("ten"), asked("$1,0 10")]
    assert built_in("gsm8k").judge(rows) == [1.0, 1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("answer", [None, 10, "ten"])
def test_gsm8k_needs_an_answer_with_a_number(answer):
    with pytest.raises(DataError, match="train.jsonl:1: the reward gsm8k .* its field answer is"):
        built_in("gsm8k").judge([asked("10", answer=answer)])


def test_regex_and_length():
    assert built_in("regex=^A.*z$").judge([asked("A to z"), asked("a to z")]) == [1.0, 0.0]
    scores = built_in("length=4").judge([asked("a b c d"), asked("a b"), asked(""), asked("a " * 8), asked("x " * 99)])
    assert scores == [1.0, 0.5, 0.0, 0.0, 0.0]


def test_weights():
    assert weight_of("0.5*gsm8k") == (0.5, "gsm8k")
    assert weight_of("-1*regex=a*b") == (-1.0, "regex=a*b")
    assert weight_of("regex=a*b") == (1.0, "regex=a*b")
    sums, parts = total([built_in("gsm8k"), built_in("0.5*length=2")], [asked("is 10"), asked("is")])
    assert sums == [1.5, 0.25] and parts == {"gsm8k": [1.0, 0.0], "0.5*length=2": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gsm8", "did you mean gsm8k"),
        ("colour", f"choose one of {', '.join(REWARDS)}"),
        ("gsm8k=3", "is told nothing"),
        ("regex", "needs a pattern"),
        ("regex=(", "has no regular expression"),
        ("length", "needs a number of words"),
        ("length=0", "needs a number of words"),
        ("1.2.3*gsm8k", "is no number"),
    ],
)
def test_names_that_are_wrong_are_refused(given, said):
    with pytest.raises(SettingsError, match=said):
        built_in(given)


def written(folder, code):
    path = folder / "mine.py"
    path.write_text(code, encoding="utf-8")
    return f"{path}:reward"


def test_a_function_is_called_once_for_each_prompt_with_its_row(tmp_path):
    code = """
CALLS = []
def reward(prompt, responses, example):
    CALLS.append(prompt)
    return [len(each) + len(example["answer"]) + 10 * len(CALLS) for each in responses]
"""
    given = written(tmp_path, code)
    assert is_own(given) and is_own(f"0.5*{given}") and not is_own("regex=a.py:b$") and not is_own("gsm8k")
    reward = own(f"0.5*{given}")
    rows = [asked("ab", "x"), asked("a", "x"), asked("abc", "", "Other?", "train.jsonl:2")]
    assert reward.weight == 0.5 and list(reward.judge(rows)) == [13.0, 12.0, 23.0]
    assert reward.sha256 == hashlib.sha256(code.encode()).hexdigest()


def test_a_class_is_made_once_and_called(tmp_path):
    code = """
class reward:
    def __init__(self): self.calls = 0
    def __call__(self, prompt, responses, example):
        self.calls += 1
        return [self.calls] * len(responses)
"""
    reward = own(written(tmp_path, code))
    assert list(reward.judge([asked("a")])) == [1.0] and list(reward.judge([asked("a")])) == [2.0]


def test_the_file_that_is_hashed_is_the_one_that_runs(tmp_path):
    """A compiled file beside it is neither read nor written."""
    given = written(tmp_path, "def reward(prompt, responses, example): return [1.0 for _ in responses]\n")
    assert list(own(given).judge([asked("a")])) == [1.0]
    written(tmp_path, "def reward(prompt, responses, example): return [2.0 for _ in responses]\n")
    assert list(own(given).judge([asked("a")])) == [2.0]
    assert [each.name for each in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no\\nway')", "ValueError: no way .line 2."),
        ("return responses[9]", "IndexError: list index out of range .line 2."),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("return [float('nan')]", "gave nan for a response"),
        ("return ['good']", "gave 'good' for a response"),
        ("return [None]", "gave None for a response"),
        ("return [1e400]", "gave inf for a response"),
        ("return [1.0, 2.0]", "gave 2 scores for 1 responses"),
        ("return []", "gave 0 scores for 1 responses"),
        ("return 1.0", "gave 1.0 for the responses"),
        ("return '1'", "gave '1' for the responses"),
        ("return {'a': 1}", "for the responses"),
    ],
)
def test_a_function_that_fails_is_one_sentence_with_its_name_and_the_prompt(tmp_path, body, said):
    given = written(tmp_path, f"def reward(prompt, responses, example):\n    {body}\n")
    with pytest.raises(DataError, match=said) as error:
        list(own(given).judge([asked("a")]))
    assert "mine.py:reward" in str(error.value) and "'How many?' (train.jsonl:1)" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def reward(:", "cannot be run: SyntaxError"),
        ("import no_such_module", "cannot be run: ModuleNotFoundError"),
        ("raise SystemExit(2)", "cannot be run: SystemExit: 2"),
        ("", "has no 'reward'"),
        ("reward = 3", "has no function or class, but 3"),
        ("class reward:\n    def __init__(self, a): pass", "cannot be made without arguments: TypeError"),
        ("class reward: pass", "cannot be called"),
    ],
)
def test_a_file_without_a_reward_is_refused(tmp_path, code, said):
    with pytest.raises(SettingsError, match=said) as error:
        own(written(tmp_path, code))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        own(f"{tmp_path}/none.py:reward")


def test_numbers_of_numpy_and_torch_are_numbers(tmp_path):
    given = written(tmp_path, "import torch\ndef reward(prompt, responses, example): return torch.tensor([0.5])\n")
    (score,) = own(given).judge([asked("a")])
    assert score == 0.5 and not math.isnan(score)
