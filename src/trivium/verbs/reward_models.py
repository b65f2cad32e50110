"""The folder of a reward model: a sequence classifier with one label, the chat template that it reads, and
``reward.json``, which says what the chosen replies that it learnt from are worth."""

import json
import math
from pathlib import Path

from trivium.alignment.reward_model import RewardModel
from trivium.durable import json_bytes, replace_file
from trivium.errors import DataError, SettingsError
from trivium.families.chat_template import find_template
from trivium.generation.completion import end_tokens
from trivium.text.chat_templates import ChatTemplate
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer import SEQUENCE, SequenceHead
from trivium.verbs.load import LanguageModel, load

REWARD = "reward.json"


def is_reward_model(folder: Path) -> bool:
    """Whether a folder says that it is one."""
    return (folder / REWARD).is_file()


def write_shift(folder: Path, shift: float, deviation: float) -> None:
    """``shift`` and ``deviation``: the mean and the standard deviation of the chosen replies' rewards."""
    replace_file(folder / REWARD, json_bytes({"shift": shift, "deviation": deviation}))


def open_reward_model(model: str | Path | LanguageModel, device: str = "auto") -> RewardModel:
    """A folder that ``trivium align --method reward`` wrote, or one of a sequence classifier of ``transformers`` with
    one label and a chat template; or what was loaded from one."""
    loaded = load(model, device=device)
    folder = loaded.directory
    head = loaded.model.heads[SEQUENCE] if SEQUENCE in loaded.model.heads else None
    if not isinstance(head, SequenceHead) or head.labels != 1 or head.pooling != "last":
        raise SettingsError(
            f"{folder} is no reward model (a head with one label that reads a text's last token): make one with "
            "trivium align --method reward"
        )
    template = find_template(folder)
    if template is None:
        raise DataError(f"{folder} has no chat template, so no conversation can be written for it: copy it there")
    renderer = ChatRenderer(loaded.tokenizer, ChatTemplate(template))
    ends = end_tokens(loaded.tokenizer, loaded.generation) | renderer.turn_ends()
    return RewardModel(loaded.model, renderer, ends, _shift(folder / REWARD))


def _shift(path: Path) -> float:
    if not path.is_file():
        return 0.0
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        shift = float(written["shift"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as problem:
        raise DataError(f"{path} is damaged ({problem}): write {{\"shift\": 0}} in it, or train again") from None
    if not math.isfinite(shift):
        raise DataError(f"{path} says that the shift is {shift}: write a finite number")
    return shift
