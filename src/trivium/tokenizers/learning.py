"""Learning a vocabulary by the name of an algorithm: the table, the sample where one is asked for, the memory."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import import_module

from trivium.errors import SettingsError
from trivium.tokenizers import ALGORITHMS
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.options import OPTIONS, Options
from trivium.tokenizers.sampling import even_sample
from trivium.tokenizers.specials import BRACKETS, TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class Learnt:
    """A tokenizer, and the share of the text that it was learnt from."""

    tokenizer: Tokenizer
    share: float = 1.0


def learn(
    documents: Iterable[str],
    vocab_size: int,
    options: Options,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    sample: int | None = None,
    seed: int = 0,
) -> Learnt:
    """A tokenizer of exactly ``vocab_size`` tokens by the algorithm that ``options`` belong to, with control tokens for
    every kind of model. ``sample``: learn from an even share of the text of so many bytes; None: from all of it."""
    algorithm = algorithm_of(options)
    module, _, name = ALGORITHMS[algorithm].partition(":")
    train = getattr(import_module(module), name)
    share = 1.0
    if sample is not None:
        taken = even_sample(documents, sample, seed)
        documents, share = taken.texts, taken.share
    made = train(documents, vocab_size, specials_for(algorithm), layout, memory=memory, **asdict(options))
    return Learnt(made, share)


def algorithm_of(options: Options) -> str:
    """The name of the algorithm that settings belong to."""
    return next(name for name, kind in OPTIONS.items() if kind is type(options))


def specials_for(algorithm: str) -> SpecialTokens:
    """Control tokens in the spelling that the algorithm's own files have; all serve encoders, decoders and both."""
    return BRACKETS if algorithm.startswith("wordpiece") else TRIVIUM


def check_algorithm(name: str) -> None:
    """Refuses a name that is no algorithm's."""
    if name not in OPTIONS:
        near = get_close_matches(name, OPTIONS, n=1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(OPTIONS)}"
        raise SettingsError(f"there is no tokenizer algorithm {name!r}: {advice}")
