"""The models that a server has, and what each can do. Route files get a ``House`` and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trivium.serving.figures import Figures
from trivium.serving.refusals import Refusal
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings

if TYPE_CHECKING:
    from trivium.text.chat_templates import ChatTemplate
    from trivium.verbs.load import LanguageModel
    from trivium.verbs.predict import Predictor


@dataclass(frozen=True, eq=False)
class Served:
    """A model under a name. ``predictor``: what its labels are predicted with, where it was fine-tuned; ``template``:
    how it was taught to talk; ``abilities``: words of ``ABILITIES``."""

    name: str
    model: "LanguageModel"
    created: int  # seconds since 1970: when its folder was written
    predictor: "Predictor | None" = None
    template: "ChatTemplate | None" = None
    abilities: frozenset[str] = frozenset()


ABILITIES = (
    "complete", "chat", "infill", "fill", "embed", "classify", "tag", "spans", "answer", "rewrite", "score",
    "attention", "lens", "words",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class House:
    """All that a route needs."""

    models: Mapping[str, Served]
    scheduler: Scheduler
    settings: ServeSettings
    figures: Figures = field(default_factory=Figures)

    def served(self, name: str | None, ability: str | None = None) -> Served:
        """The model of that name, or the first that has the ability; refuses what there is none of."""
        if name is None:
            found = next((each for each in self.models.values() if ability in (None, *each.abilities)), None)
            if found is None:
                raise Refusal(400, f"no model here can {ability}: start the server with one that does", param="model")
            return found
        if name not in self.models:
            raise Refusal(
                404, f"there is no model {name!r} here: {', '.join(self.models)}", param="model", code="model_not_found"
            )
        served = self.models[name]
        if ability is not None and ability not in served.abilities:
            able = [each.name for each in self.models.values() if ability in each.abilities]
            elsewhere = f": ask {', '.join(able)}" if able else ", and no other model here does"
            raise Refusal(400, f"the model {name!r} does not {ability}{elsewhere}", param="model")
        return served
