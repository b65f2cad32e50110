"""``generation_config.json``: what a model's makers say about how its texts end and how they were searched.

Read: the end tokens, the tokens forced to the beginning and the end, and on request the settings of beam search. All of
it is kept as it is, and written again with the model. Folders from before that file had the same keys in
``config.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trivium.errors import DataError
from trivium.families.model_folder import read_json

GENERATION = "generation_config.json"
_OF_THE_WRITER = ("transformers_version", "_from_model_config")  # said of the program that wrote the file
_OLD_HOME = (  # the keys that are looked for in config.json where there is no file of their own
    "bos_token_id", "eos_token_id", "forced_bos_token_id", "forced_eos_token_id", "num_beams", "length_penalty",
    "early_stopping", "no_repeat_ngram_size", "repetition_penalty", "min_length", "max_length",
)  # fmt: skip


@dataclass(frozen=True)
class GenerationConfig:
    """``ends``: tokens that end a text, none where the file names none; ``first`` and ``last``: forced ones."""

    ends: frozenset[int] = frozenset()
    first: int | None = None
    last: int | None = None
    written: Mapping[str, object] = field(default_factory=dict)


def read_generation(folder: Path, config: Mapping[str, object], vocab_size: int) -> GenerationConfig:
    """A folder's, whose ``config.json`` holds ``config``. Numbers of no token of the model end and force nothing."""
    path = folder / GENERATION
    if path.exists():
        named = {key: config[key] for key in ("bos_token_id", "eos_token_id") if config.get(key) is not None}
        written = named | {key: value for key, value in read_json(path).items() if key not in _OF_THE_WRITER}
    else:
        path, written = folder / "config.json", {key: config[key] for key in _OLD_HOME if key in config}

    def tokens(key: str) -> list[int]:
        value = written.get(key)
        found: list[object] = value if isinstance(value, list) else [] if value is None else [value]
        numbers = [each for each in found if isinstance(each, int) and not isinstance(each, bool)]
        if len(numbers) < len(found):
            raise DataError(f"{path} has {key} = {value!r}: it must be a token's number, or a list of them")
        return [each for each in numbers if 0 <= each < vocab_size]

    def token(key: str) -> int | None:
        return next(iter(tokens(key)), None)

    first, last = token("forced_bos_token_id"), token("forced_eos_token_id")
    return GenerationConfig(frozenset(tokens("eos_token_id")), first, last, written)
