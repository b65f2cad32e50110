"""``trivium align --method ppo``: a policy learns from rewards by proximal policy optimisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from trivium.alignment.policy import Ppo
from trivium.verbs.align_policy import OnPolicy, prepared
from trivium.verbs.alignment_parts import Prepared, Start


@dataclass(frozen=True)
class PpoRun(OnPolicy, Ppo):
    """``training.batch``: prompts of a round, with one response each. See ``Ppo`` and ``OnPolicy``."""

    defaults: ClassVar[Mapping[str, Any]] = {"training": {"batch": 64, "epochs": 1}}

    def __post_init__(self) -> None:
        Ppo.__post_init__(self)
        OnPolicy.__post_init__(self)

    def prepare(self, start: Start) -> Prepared:
        """Prompts, rewards, and the model that answers them."""
        return prepared(self, self, start)
