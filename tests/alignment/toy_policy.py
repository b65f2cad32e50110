"""A policy of a few hundred parameters that writes three tokens of four, whose optimum can be written down."""

import itertools
from typing import Any

import torch
from torch import Tensor

from trivium.alignment.learning import PolicyLearning, PolicyPrompt, heads
from trivium.alignment.rewards import Reward
from trivium.alignment.rollouts import Writing
from trivium.families.bodies import initialise, network
from trivium.text.chats import Message
from trivium.training.settings import AdamW, Linear, TrainingSettings
from trivium.training.trainer import Trainer
from trivium.transformer import Inputs, Tokens, TransformerConfig

VOCABULARY, LENGTH = 4, 3
PROMPT = (4,)
TEXTS = list(itertools.product(range(VOCABULARY), repeat=LENGTH))


class Digits:
    """Stands in for a tokenizer: a response is its numbers."""

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def share_of_one(asked: Any) -> list[float]:
    """The reward: which share of the tokens is 1."""
    return [each.response.split().count("1") / LENGTH for each in asked]


def body(seed: int, own: dict[str, Any] | None = None) -> Any:
    """Weights far enough from 0 that the reference prefers some texts."""
    config = TransformerConfig(
        vocab_size=VOCABULARY + 1, width=16, heads=2, ffn_width=32, decoder_layers=1, context=8, tied=False
    )
    model = initialise(network(config, own), seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and not name.startswith("heads."):
                parameter.mul_(8)
    return model


@torch.no_grad()
def chances(model: Any) -> Tensor:
    """(64,) float64: how probable each text is after the prompt."""
    model.eval()
    ids = torch.tensor([[*PROMPT, *text] for text in TEXTS])
    logits = model(Inputs(target=Tokens(ids[:, :-1])), at="all").logits[..., :VOCABULARY].double()
    return logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0].sum(1).exp()


def learn(settings: Any, batch: int, rounds: int, rate: float = 0.02, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The texts' probabilities by the reference and by the policy after so many rounds."""
    reference = body(3)
    policy = body(3, heads(settings, reference.config))
    prompt = PolicyPrompt(PROMPT, (Message("user", "begin"),), {}, "toy:1")
    learning = PolicyLearning(
        policy, reference, [prompt], [Reward("share", 1.0, share_of_one)], Digits(),  # type: ignore[arg-type]
        Writing(LENGTH, 1.0, None, VOCABULARY), settings, batch, seed,
    )  # fmt: skip
    steps = rounds * learning.updates
    training = TrainingSettings(
        steps=steps, optimizer=AdamW(learning_rate=rate, weight_decay=0.0), schedule=Linear(warmup=0.0),
        precision="float32", device="cpu", clip=1.0,
    )  # fmt: skip
    for _ in Trainer(policy, learning.loss, learning, training, steps=steps):
        pass
    return chances(reference), chances(policy)


def divergence(one: Tensor, other: Tensor) -> float:
    """KL(one || other) in nats."""
    return float((one * (one / other).log()).sum())


def tilted(reference: Tensor, worth: Tensor, price: float) -> Tensor:
    """What maximises E[worth] - price * KL(policy || reference): reference * exp(worth / price), made to sum to 1."""
    made = reference * (worth / price).exp()
    return made / made.sum()


def group_optimum(reference: Tensor, worth: Tensor, price: float) -> Tensor:
    """Where GRPO's updates end: at every token, what maximises the worth to be expected less the price of
    KL(reference || policy) there, price * reference / (c - worth), which is found from the last token backwards."""
    chances = reference.reshape([VOCABULARY] * LENGTH)
    expected = worth.reshape([VOCABULARY] * LENGTH)
    whole = torch.ones_like(chances)
    for token in range(LENGTH - 1, -1, -1):
        summed = chances.sum(dim=tuple(range(token + 1, LENGTH))) if token + 1 < LENGTH else chances
        known = summed / summed.sum(dim=-1, keepdim=True)  # of this token after those before it
        low = expected.amax(dim=-1, keepdim=True) + 1e-12
        high = low + 10.0
        for _ in range(100):
            middle = (low + high) / 2
            over = (price * known / (middle - expected)).sum(dim=-1, keepdim=True) > 1
            low, high = torch.where(over, middle, low), torch.where(over, high, middle)
        chosen = price * known / (low - expected)
        whole = whole * chosen.reshape([*chosen.shape, *[1] * (LENGTH - 1 - token)])
        expected = (chosen * expected).sum(dim=-1)
    return whole.flatten() / whole.sum()
