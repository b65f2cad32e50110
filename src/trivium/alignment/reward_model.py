"""A reward model in use: conversations, or token rows that a policy wrote, to numbers.

A conversation is read up to the token that ends its last reply, where the reward was learnt; a row up to its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from trivium.alignment.reward import rewards_at
from trivium.errors import DataError, SettingsError
from trivium.generation.rows import right_padded
from trivium.tasks.batching import within_budget
from trivium.text.chat_fields import COLUMNS, chat_of, preference_of
from trivium.text.chats import Chat, Message, Preference
from trivium.text.fields import Columns
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer import Inputs

if TYPE_CHECKING:
    from collections.abc import Collection

    from trivium.transformer import Network

TOKENS = 8192  # of a batch with its padding, unless one row alone has more


@dataclass(frozen=True)
class Rewarded:
    """What a conversation's last reply is worth."""

    reward: float

    def row(self) -> dict[str, object]:
        """To six digits."""
        return {"reward": round(self.reward, 6)}


@dataclass(frozen=True)
class Compared:
    """What two replies to one prompt are worth, of which people prefer the first."""

    chosen: float
    rejected: float

    def row(self) -> dict[str, object]:
        """To six digits; ``right``: whether the model prefers it, too."""
        rewards = {"reward_chosen": round(self.chosen, 6), "reward_rejected": round(self.rejected, 6)}
        return {**rewards, "right": self.chosen > self.rejected}


@dataclass(frozen=True, eq=False)
class RewardModel:
    """``ends``: the tokens at which replies end. ``shift``: the mean reward of the chosen replies that it learnt from;
    with it taken off, such replies are worth 0."""

    model: "Network"
    renderer: ChatRenderer
    ends: "Collection[int]"
    shift: float = 0.0

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    @torch.no_grad()
    def token_rewards(self, rows: Sequence[Sequence[int]], shifted: bool = False) -> list[float]:
        """Of token rows, each a prompt with its reply; padding and neighbours change nothing."""
        config, device = self.model.config, next(self.model.parameters()).device
        lengths = np.array([len(row) for row in rows], np.int64)
        if len(rows) and not lengths.all():
            raise SettingsError(f"row {int(lengths.argmin())} has no tokens: give a prompt with its reply")
        if config.limit is not None and (lengths > config.limit).any():
            raise SettingsError(
                f"a row has {lengths.max()} tokens, and the reward model reads {config.limit}: write shorter replies, "
                "or train one on a model with a larger context"
            )
        found = np.zeros(len(rows), np.float64)
        for numbers in within_budget(lengths, np.arange(len(rows)), TOKENS) if len(rows) else []:
            side = right_padded([rows[number] for number in numbers], config.pad_token, device)
            width = side.ids.shape[1]
            last = torch.from_numpy(np.arange(len(numbers)) * width + lengths[numbers] - 1).to(device)
            found[numbers] = rewards_at(self.model, Inputs(target=side), last).cpu().numpy()
        if bad := np.flatnonzero(~np.isfinite(found)).tolist():
            raise DataError(f"the reward model gives row {bad[0]} {found[bad[0]]}: its weights are damaged")
        return (found - self.shift * shifted).tolist()

    def rewards(self, conversations: Sequence[Sequence[Message]], shifted: bool = False) -> list[float]:
        """Of conversations that end in a reply."""
        return self.token_rewards([self.ids(messages) for messages in conversations], shifted)

    def ids(self, messages: Sequence[Message], place: str = "") -> list[int]:
        """What is read of a conversation."""
        rendered = self.renderer.render(messages, self.ends, place)
        said: list[int] = np.flatnonzero(rendered.replies >= 0).tolist()
        ids: list[int] = rendered.ids.tolist()
        return ids[: said[-1] + 1] if said else ids

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Chat | Preference:
        """A row of a file, in any layout of conversations or of preferences."""
        named = {columns.get(name, name): name for name in COLUMNS}
        renamed = {named.get(name, name): value for name, value in row.items()}
        return preference_of(place, renamed) if "chosen" in renamed else chat_of(place, renamed)

    def predict(self, examples: Sequence[Chat | Preference]) -> list[Rewarded | Compared]:
        """In the order of the examples."""
        conversations: list[Sequence[Message]] = []
        for each in examples:
            if isinstance(each, Preference):
                conversations += [(*each.prompt, *each.chosen), (*each.prompt, *each.rejected)]
            else:
                conversations.append(each.messages)
        found = iter(self.rewards(conversations))
        return [
            Compared(next(found), next(found)) if isinstance(each, Preference) else Rewarded(next(found))
            for each in examples
        ]
