"""Three calls are enough for any judge: prompting, evaluation and the server use a model through exactly these."""

from typing import Protocol

from trivium.generation.completion import Completion
from trivium.generation.sampling import Sampling
from trivium.generation.score import Score, Surprise


class Judge(Protocol):
    """Whatever can say how probable a text is, and write one."""

    def score(self, prompt: str, continuation: str) -> Score:
        """How probable the continuation is after the prompt."""
        ...

    def surprise(self, text: str) -> Surprise:
        """What a whole text costs, in nats."""
        ...

    def generate(self, prompt: str, sampling: Sampling | None = None) -> Completion:
        """One text that goes on from the prompt."""
        ...
