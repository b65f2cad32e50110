"""A training step without its text: the real objective, batches and trainer of a recipe on made-up documents.

What a step costs depends on the shapes of its batches and not on what is written in them. The documents are of mixed
lengths, so that rows are packed, padded and masked as in a run.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from trivium.families.bodies import initialise, network
from trivium.objectives.objective import Batch
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.specials import TRIVIUM
from trivium.tokenizers.words import train_words
from trivium.training.precision import resolve
from trivium.training.trainer import Trainer
from trivium.transformer import Config, Network
from trivium.verbs.pretraining_batches import Feed, batch_flops
from trivium.verbs.pretraining_data import layout_for, prepare, rows_per_step, texts
from trivium.verbs.recipe import DataSettings, Recipe

_WORDS = 200
_SENTENCE = 12


@dataclass(frozen=True)
class Specimen:
    """One step of a recipe: its micro-batches and their FLOPs."""

    batches: Sequence[Batch]
    flops: float

    @property
    def tokens(self) -> int:
        return sum(batch.tokens for batch in self.batches)


def specimen(recipe: Recipe, config: Config, micro_batches: int | None = None) -> Specimen:
    """The first step of ``recipe``, or its first few micro-batches."""
    (batches,) = first_steps(recipe, config, 1, micro_batches)
    return Specimen(batches, sum(batch_flops(config, batch) for batch in batches))


def first_steps(recipe: Recipe, config: Config, count: int, micro_batches: int | None = None) -> list[list[Batch]]:
    """The micro-batches, or the first few of them, of so many steps of ``recipe``."""
    settings, length = recipe.training, length_of(recipe, config)
    rows, micro = rows_per_step(settings.batch_tokens, settings.micro_batch_tokens, length)
    if micro_batches is not None:
        rows = min(rows, micro * micro_batches)
    with tempfile.TemporaryDirectory() as folder:
        feed = _feed(recipe, config, length, rows, micro, Path(folder))
        return [list(feed(step)) for step in range(count)]


@contextmanager
def specimen_trainer(recipe: Recipe, config: Config, steps: int) -> Iterator[Trainer[Network, Batch]]:
    """A trainer of the recipe's model for so many steps."""
    settings = replace(resolve(recipe.training), steps=steps, tokens=None, minutes=None)
    length = length_of(recipe, config)
    rows, micro = rows_per_step(settings.batch_tokens, settings.micro_batch_tokens, length)
    with tempfile.TemporaryDirectory() as folder:
        feed = _feed(recipe, config, length, rows, micro, Path(folder))
        model = initialise(network(config, recipe.objective.heads(config)), settings.seed)
        model.read_vocabulary(feed.data.tokenizer)
        yield Trainer(model, recipe.objective.loss, feed, settings, steps=steps)


def time_step(recipe: Recipe, config: Config, steps: int = 3) -> float:
    """Seconds of a step on this machine: the median of so many, after one that is not counted."""
    with specimen_trainer(recipe, config, steps + 1) as trainer:
        return median([step.seconds for step in trainer][1:])


def length_of(recipe: Recipe, config: Config) -> int:
    """Tokens of a training row."""
    return (recipe.from_.length if recipe.from_ is not None else None) or config.context


def _feed(recipe: Recipe, config: Config, length: int, rows: int, micro: int, folder: Path) -> Feed:
    sentinels = tuple(f"<extra_id_{number}>" for number in range(max(32, length // 8)))
    specials = replace(TRIVIUM, sentinels=sentinels)
    words = max(8, min(_WORDS, config.vocab_size - len(specials.strings())))
    vocabulary = " ".join(f"w{number}" for number in range(words - 1)) + " ."
    tokenizer: Tokenizer = train_words([vocabulary], len(specials.strings()) + words, specials, layout_for(config))
    documents = list(_documents(words - 1, length, 2 * (rows + 2) * (length + 2)))
    made_up = replace(recipe, data=DataSettings(corpus="python-docs", heldout=0.0))
    data = prepare(made_up, texts(made_up.data, documents), None, tokenizer, length, rows, folder)
    return Feed(recipe.objective, data, rows, micro, recipe.training.seed)


def _documents(words: int, length: int, tokens: int) -> Iterator[str]:
    """Documents of a quarter to twice a row, in sentences, until there are so many tokens."""
    generator = np.random.default_rng(0)
    made = 0
    while made < tokens:
        size = int(generator.integers(max(2, length // 4), 2 * length + 2))
        numbers = generator.integers(words, size=size)
        yield " ".join(f"w{number} ." if at % _SENTENCE == 1 else f"w{number}" for at, number in enumerate(numbers))
        made += size
