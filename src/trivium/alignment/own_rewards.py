"""A user's own reward: ``path/file.py:name``, a function, or a class that is made once and then called.

    def reward(prompt: str, responses: list[str], example: dict) -> list[float]: ...

The file is code that runs with all rights of whoever starts the run. So it is taken from the command line, or a recipe
named there, and from nowhere else: a run's own files record its name and its SHA-256, and whoever resumes the run names
it again. What the file imports is not a part of the hash.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

from trivium.alignment.rewards import REWARDS, Asked, Judge, Reward, checked, weight_of
from trivium.errors import DataError, SettingsError, shown


def is_own(given: str) -> bool:
    """Whether it names a Python file and what is in it."""
    rest = weight_of(given)[1]
    path, colon, _ = rest.rpartition(":")
    return bool(colon) and path.endswith(".py") and rest.partition("=")[0] not in REWARDS


def own(given: str) -> Reward:
    """The reward that it names. Runs the file."""
    weight, rest = weight_of(given)
    path, _, name = rest.rpartition(":")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"the reward {rest} cannot be read: {error.strerror}: give the path of its file") from None
    found = getattr(_module(Path(path), content), name, None)
    if not callable(found):
        what = "has no" if found is None else f"has no function or class, but {shown(found)}, under"
        raise SettingsError(f"{path} {what} {name!r}: give path/file.py:name of a function or class that is there")
    if isinstance(found, type):
        try:
            found = found()
        except (Exception, SystemExit) as error:  # whatever the user's code raises is to be said in a sentence
            raise SettingsError(f"the reward {rest} cannot be made without arguments: {_said(error)}") from error
        if not callable(found):
            raise SettingsError(f"the reward {rest} is a class whose objects cannot be called: give it __call__")
    return Reward(given, weight, _judge(rest, found), hashlib.sha256(content).hexdigest())


def _module(path: Path, content: bytes) -> ModuleType:
    """The very bytes that are hashed are run: not what an old compiled file beside them says."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # whatever the user's code raises is to be said in a sentence
        raise SettingsError(f"the reward's file {path} cannot be run: {_said(error)}") from error
    return module


def _judge(name: str, function: Callable[..., Any]) -> Judge:
    """Called once for each prompt, with all responses to it."""

    def judge(asked: Sequence[Asked]) -> list[float]:
        scores: list[float] = []
        for _, group in groupby(asked, key=lambda each: (each.place, each.prompt)):
            same = list(group)
            first = same[0]
            try:
                given = function(first.prompt, [each.response for each in same], dict(first.example))
            except (Exception, SystemExit) as error:  # whatever the user's code raises is to be said in a sentence
                raise DataError(
                    f"the reward {name} failed on the prompt {shown(first.prompt)} ({first.place}): {_said(error)}"
                ) from error
            scores += checked(name, given, same)
        return scores

    return judge


def _said(error: BaseException) -> str:
    """An exception in a line, with the line of the file where it was raised."""
    trace, line = error.__traceback__, None
    while trace is not None:
        line, trace = trace.tb_lineno, trace.tb_next
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{': ' + words if words else ''}{f' (line {line})' if line else ''}"
