"""How a folder says that one vector is made of a text: ``modules.json`` of sentence-transformers and what it names.

Read: a Transformer in the folder itself, Pooling (one mode of cls, mean and lasttoken), Normalize; the length and the
lower case of ``sentence_bert_config.json``; the default prompt of ``config_sentence_transformers.json``. Any other
module would change the vectors, so it is refused by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trivium.errors import DataError
from trivium.families.model_folder import read_document, read_json

SentencePooling = Literal["mean", "cls", "last"]

_POOLINGS: dict[str, SentencePooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_OLD_KEYS = {  # pooling as a table of yes and no, up to version 5
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_CHAINS = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_NO_LIMIT = 10**9  # tokenizer_config.json writes 10^30 where nothing limits a text


@dataclass(frozen=True)
class SentenceModules:
    """The mean of the tokens, as it is, unless a folder says otherwise.

    ``length``: tokens that are read, control tokens included; None: as many as the model can. ``prompt``: stands before
    every text.
    """

    pooling: SentencePooling = "mean"
    normalise: bool = False
    length: int | None = None
    lowercase: bool = False
    prompt: str = ""


def read_modules(folder: Path, width: int) -> SentenceModules:
    """A folder's own way for a model of ``width``; that of any other folder or file is the default."""
    if not folder.is_dir():
        return SentenceModules()
    length = _length(folder)
    if not (folder / "modules.json").exists():
        return SentenceModules(length=length)
    kinds, paths = _modules(folder / "modules.json")
    if kinds not in _CHAINS:
        raise DataError(
            f"{folder / 'modules.json'} makes a vector by {', '.join(kinds)}, and only Transformer, Pooling and, after "
            "them, Normalize are known here: use sentence-transformers for this model"
        )
    if paths[0]:
        raise DataError(
            f"{folder / 'modules.json'} keeps its Transformer in {paths[0]!r}, and only one in the folder itself is "
            "read: use sentence-transformers for this model"
        )
    pooling, whole = _pooling(folder / paths[1] / "config.json", width)
    prompt = _prompt(folder / "config_sentence_transformers.json")
    if prompt and not whole:
        raise DataError(
            f"{folder / paths[1] / 'config.json'} leaves the prompt out of the pooling, which is not known here: use "
            "sentence-transformers for this model"
        )
    settings = _settings(folder)
    if settings.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise DataError(
            f"{folder / SETTINGS[0]} has transformer_task = {settings['transformer_task']!r}, and only "
            "'feature-extraction' is known here"
        )
    return SentenceModules(
        pooling, "Normalize" in kinds, length, lowercase=settings.get("do_lower_case") is True, prompt=prompt
    )


def _modules(path: Path) -> tuple[list[str], list[str]]:
    """What each module is, and its folder."""
    listed = read_document(path)
    kinds, paths = [], []
    for module in listed if isinstance(listed, list) else [None]:
        kind = module.get("type") if isinstance(module, dict) else None
        place = module.get("path") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not isinstance(place, str):
            raise DataError(f"{path} is not a list of modules, each with its type and path")
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise DataError(f"{path} names {place!r}, which is outside its folder")
        package, _, name = kind.rpartition(".")
        kinds.append(name if package.startswith("sentence_transformers.") else kind)
        paths.append(place)
    return kinds, paths


def _pooling(path: Path, width: int) -> tuple[SentencePooling, bool]:
    """The one mode, and whether a prompt is part of what is pooled."""
    settings = read_json(path)
    told = settings.get("pooling_mode", [new for old, new in _OLD_KEYS.items() if settings.get(old)] or "mean")
    modes = told if isinstance(told, list) else [told]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise DataError(
            f"{path} pools by {', '.join(map(str, modes)) or 'nothing'}, and one of {', '.join(_POOLINGS)} is known "
            "here: use sentence-transformers for this model"
        )
    declared = settings.get("embedding_dimension", settings.get("word_embedding_dimension", width))
    if declared != width:
        raise DataError(f"{path} is for vectors of {declared} numbers, and the model's have {width}")
    return _POOLINGS[modes[0]], settings.get("include_prompt", True) is not False


def _settings(folder: Path) -> Mapping[str, object]:
    """The first file there is of those that the library has called so."""
    return next((read_json(folder / name) for name in SETTINGS if (folder / name).exists()), {})


def _length(folder: Path) -> int | None:
    """The sentence model's own, or else the tokenizer's."""
    tokenizer = folder / "tokenizer_config.json"
    found = [(_settings(folder), "max_seq_length")]
    if tokenizer.exists():
        found.append((read_json(tokenizer), "model_max_length"))
    for settings, name in found:
        value = settings.get(name)
        if isinstance(value, int | float) and 0 < value < _NO_LIMIT:
            return int(value)
    return None


def _prompt(path: Path) -> str:
    if not path.exists():
        return ""
    settings = read_json(path)
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts")
    prompt = prompts.get(name) if isinstance(prompts, dict) else None
    return prompt if isinstance(prompt, str) else ""
