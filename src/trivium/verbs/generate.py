"""``trivium generate``: texts from prompts."""

from collections.abc import Sequence
from pathlib import Path

from trivium.generation.completion import Completion
from trivium.generation.sampling import Sampling
from trivium.verbs.load import LanguageModel, Precision, load


def generate(
    model: str | Path | LanguageModel,
    prompt: str | Sequence[str],
    *,
    max_tokens: int = 100,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 0.95,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    stop: str | Sequence[str] = (),
    samples: int = 1,
    precision: Precision = "float32",
    device: str = "auto",
) -> list[Completion]:
    """``samples`` texts for each prompt, by prompt and then by sample. ``temperature=0`` is greedy.

    The settings are those of ``Sampling``. The same model, prompt, settings and seed give the same text, whatever else
    is asked for beside it.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    sampling = Sampling(max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, seed, stops)
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    return load(model, precision=precision, device=device).complete(prompts, sampling, samples)
