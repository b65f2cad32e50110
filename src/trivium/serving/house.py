"""The models that a server has, and what each can do. Route files get a ``House`` and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from trivium.serving.refusals import Refusal
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings
from trivium.serving.traffic import Traffic

if TYPE_CHECKING:
    from trivium.generation.constraints import Guide
    from trivium.generation.sampling import Sampling
    from trivium.generation.writer import Writer
    from trivium.text.chat_templates import ChatTemplate
    from trivium.tokenizers.chats import ChatRenderer
    from trivium.verbs.load import LanguageModel
    from trivium.verbs.predict import Predictor


READ = 512  # tokens of prompts that are read between two tokens of the texts that are being written


@dataclass(frozen=True, eq=False)
class Served:
    """A model under a name. ``predictor``: what its labels are predicted with, where it was fine-tuned; ``template``:
    how it was taught to talk; ``abilities``: words of ``ABILITIES``; ``longest``: tokens of a text that is written, its
    prompt's among them (None: any number); ``places``: texts that are written at once."""

    name: str
    model: "LanguageModel"
    created: int  # seconds since 1970: when its folder was written
    predictor: "Predictor | None" = None
    template: "ChatTemplate | None" = None
    abilities: frozenset[str] = frozenset()
    longest: int | None = None
    places: int = 16

    @cached_property
    def renderer(self) -> "ChatRenderer":
        """Conversations to ids."""
        from trivium.tokenizers.chats import ChatRenderer

        assert self.template is not None
        return ChatRenderer(self.model.tokenizer, self.template, framed=self.model.kind == "decoder")

    @cached_property
    def turn_ends(self) -> frozenset[int]:
        """The tokens that end a reply, beside those that end any text."""
        return self.renderer.turn_ends()

    def guide(self, sampling: "Sampling", ends: frozenset[int] = frozenset()) -> "Guide | None":
        """What keeps a text to the form that the settings prescribe. It may take seconds: not on the event loop."""
        from trivium.generation.completion import end_tokens
        from trivium.generation.constraints import guides
        from trivium.transformer.network import answers

        if not sampling.form:
            return None
        model = self.model
        every = ends | end_tokens(model.tokenizer, model.generation)
        return guides(model.tokenizer, sampling.form, every, 1, answers(model.config))[0]

    def new_writer(self) -> "Writer":
        """What its texts are written with."""
        return self.model.writer(slots=self.places, longest=self.longest, read_at_once=READ)


# What can be asked of models, and how it is said of one that it does not do that.
ABILITIES = {
    **{verb: verb for verb in ("complete", "chat", "infill", "fill", "embed", "classify", "tag")},
    "spans": "find spans",
    **{verb: verb for verb in ("answer", "rewrite", "score")},
    "attention": "show attention",
    "lens": "show what its layers expect",
    "words": "show words in their contexts",
}


@dataclass(frozen=True, eq=False)
class House:
    """All that a route needs."""

    models: Mapping[str, Served]
    scheduler: Scheduler
    settings: ServeSettings
    traffic: Traffic = field(default_factory=Traffic)

    def served(self, name: str | None, ability: str | None = None) -> Served:
        """The model of that name, or the first that has the ability; refuses what there is none of."""
        if name is None:
            found = next((each for each in self.models.values() if ability in (None, *each.abilities)), None)
            if found is None:
                can = ABILITIES.get(ability or "", "be asked")
                raise Refusal(400, f"no model here can {can}: start the server with one that does", param="model")
            return found
        if name not in self.models:
            raise Refusal(
                404, f"there is no model {name!r} here: {', '.join(self.models)}", param="model", code="model_not_found"
            )
        served = self.models[name]
        if ability is not None and ability not in served.abilities:
            able = [each.name for each in self.models.values() if ability in each.abilities]
            elsewhere = f": ask {', '.join(able)}" if able else ", and no other model here does"
            raise Refusal(400, f"the model {name!r} does not {ABILITIES[ability]}{elsewhere}", param="model")
        return served
