"""What a response is worth: rewards that can be checked, the user's own functions, and sums of them.

Built in: ``gsm8k`` (the final number is that of the row's ``answer``; Cobbe et al. 2021), ``regex=PATTERN`` (1 where
the pattern is found) and ``length=N`` (1 at N words, falling to 0 at none and at 2N). ``path/file.py:name`` is a
function or class of the user's (``own_rewards.py``); a folder is a reward model, which the verbs open. ``0.5*NAME``
counts half.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from trivium.errors import DataError, SettingsError, shown
from trivium.text.chats import Message


@dataclass(frozen=True)
class Asked:
    """One response to the last of some messages, to be judged. ``example``: the row that the prompt came from, with all
    its fields; ``place``: where it stands, for errors."""

    messages: tuple[Message, ...]
    response: str
    example: Mapping[str, object]
    place: str

    @property
    def prompt(self) -> str:
        """What was said last."""
        return self.messages[-1].content


Judge = Callable[[Sequence[Asked]], Sequence[float]]
"""A score for each response; responses to one prompt stand side by side."""


@dataclass(frozen=True, eq=False)
class Reward:
    """``sha256``: of the file that a user's own function came from, or of a reward model's weights."""

    name: str  # as it was given, weight included
    weight: float
    judge: Judge
    sha256: str = ""


def weight_of(given: str) -> tuple[float, str]:
    """``0.5*gsm8k`` as its weight and the rest."""
    head, star, rest = given.partition("*")
    if not star or not re.fullmatch(r"\s*-?[\d.]+(?:[eE]-?\d+)?\s*", head):
        return 1.0, given
    try:
        weight = float(head)
    except ValueError:
        raise SettingsError(f"reward {given!r}: {head!r} is no number: write a weight as in 0.5*gsm8k") from None
    return weight, rest.strip()


def built_in(given: str) -> Reward:
    """A reward by its name, with what it is told after ``=``."""
    weight, rest = weight_of(given)
    name, _, told = rest.partition("=")
    if name not in REWARDS:
        near = get_close_matches(name, REWARDS, 1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(REWARDS)}"
        raise SettingsError(
            f"there is no reward {name!r}: {advice}; or give a function of your own as path/file.py:name, or the "
            "folder of a reward model"
        )
    return Reward(given, weight, REWARDS[name](told))


def total(rewards: Sequence[Reward], asked: Sequence[Asked]) -> tuple[list[float], dict[str, list[float]]]:
    """The weighted sum for each response, and each reward's own scores by its name."""
    parts = {reward.name: checked(reward.name, reward.judge(asked), asked) for reward in rewards}
    sums = [sum(reward.weight * parts[reward.name][n] for reward in rewards) for n in range(len(asked))]
    return sums, parts


def checked(name: str, scores: object, asked: Sequence[Asked]) -> list[float]:
    """Refuses what is no list of as many finite numbers, with the name and the prompt."""
    prompt = f"of the prompt {shown(asked[0].prompt)} ({asked[0].place})"
    if isinstance(scores, str | bytes | Mapping) or not hasattr(scores, "__iter__"):
        raise DataError(
            f"the reward {name} gave {shown(scores)} for the responses {prompt}: return a list with a number for each"
        )
    values = list(scores)
    if len(values) != len(asked):
        raise DataError(
            f"the reward {name} gave {len(values)} scores for {len(asked)} responses {prompt}: return one for each"
        )
    found = []
    for value, each in zip(values, asked, strict=True):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise DataError(
                f"the reward {name} gave {shown(value)} for a response to the prompt {shown(each.prompt)} "
                f"({each.place}): return a finite number"
            )
        found.append(number)
    return found


_NUMBER = re.compile(r"-?\d(?:[\d,]*\d)?(?:\.\d+)?")


def final_number(text: str) -> Decimal | None:
    """The first number after the last ``####``; without such a mark the last one of the text; None: there is none."""
    _, mark, said = text.rpartition("####")
    found = _NUMBER.findall(said.replace("$", ""))
    return Decimal(found[0 if mark else -1].replace(",", "")) if found else None


def _gsm8k(told: str) -> Judge:
    if told:
        raise SettingsError(f"the reward gsm8k is told nothing, and here it is told {told!r}: leave out the =")

    def judge(asked: Sequence[Asked]) -> list[float]:
        return [float(_right(each)) for each in asked]

    return judge


def _right(each: Asked) -> bool:
    answer = each.example.get("answer")
    wanted = final_number(answer) if isinstance(answer, str) else None
    if wanted is None:
        raise DataError(
            f"{each.place}: the reward gsm8k compares with the row's answer, and its field answer is {shown(answer)}: "
            "give rows with a text that ends in #### and a number"
        )
    return final_number(each.response) == wanted


def _regex(told: str) -> Judge:
    if not told:
        raise SettingsError("the reward regex needs a pattern: write it as in regex=####")
    try:
        pattern = re.compile(told)
    except re.error as problem:
        raise SettingsError(f"the reward regex={told} has no regular expression: {problem}") from None
    return lambda asked: [float(pattern.search(each.response) is not None) for each in asked]


def _length(told: str) -> Judge:
    if not told.isdecimal() or int(told) < 1:
        raise SettingsError(f"the reward length needs a number of words, and is told {told!r}: write it as length=40")
    wanted = int(told)
    return lambda asked: [max(0.0, 1 - abs(len(each.response.split()) - wanted) / wanted) for each in asked]


REWARDS: dict[str, Callable[[str], Judge]] = {"gsm8k": _gsm8k, "regex": _regex, "length": _length}
"""By name; each is given what stands behind the = and says how it judges."""
