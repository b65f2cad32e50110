"""``trivium align --method grpo``: a policy learns from rewards by group relative policy optimisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from trivium.alignment.group_policy import Grpo
from trivium.verbs.align_policy import OnPolicy, prepared
from trivium.verbs.alignment_parts import Prepared, Start


@dataclass(frozen=True)
class GrpoRun(OnPolicy, Grpo):
    """``training.batch``: prompts of a round, with ``group`` responses each. See ``Grpo`` and ``OnPolicy``."""

    defaults: ClassVar[Mapping[str, Any]] = {"training": {"batch": 8, "epochs": 1}}

    def __post_init__(self) -> None:
        Grpo.__post_init__(self)
        OnPolicy.__post_init__(self)

    def prepare(self, start: Start) -> Prepared:
        """Prompts, rewards, and the model that answers them."""
        return prepared(self, self, start)
