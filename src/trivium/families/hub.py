"""Models of the Hugging Face hub by their ids, ``org/name`` or ``org/name@revision``, through ``huggingface_hub``.

Its cache is used as it is laid out, and its variables hold: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE. Fetched is
what a model needs and no more: configuration, safetensors, tokenizer, chat template, sentence modules; pickles never.
What was fetched whole is found again without a network: a list of its files is left beside it.
"""

import json
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivium.durable import replace_file
from trivium.errors import DataError, TriviumError
from trivium.extras import extra_module
from trivium.families.model_folder import INDEX, PICKLES, WEIGHTS, shards
from trivium.families.sentence_modules import SETTINGS as SENTENCE_SETTINGS

_NAME = re.compile(
    r"(?P<explicit>hf:/{1,2})?(?P<repository>\w[\w.-]*/[\w.-]*\w)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ALWAYS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "chat_template.jinja", "modules.json", "config_sentence_transformers.json", *SENTENCE_SETTINGS, "trivium.toml",
)  # fmt: skip
_VOCABULARIES = re.compile(r"vocab\.(txt|json)|merges\.txt|added_tokens\.json|[^/]+\.model")  # no tokenizer.json
_MODULES = re.compile(r"\d+_\w+/config\.json")  # what modules.json names


@dataclass(frozen=True)
class HubModel:
    """``explicit``: written as ``hf://org/name``, which is never a folder of this machine."""

    repository: str
    revision: str = "main"
    explicit: bool = False

    def __str__(self) -> str:
        return self.repository if self.revision == "main" else f"{self.repository}@{self.revision}"


def hub_model(name: str) -> HubModel | None:
    """What a name means on the hub, if it can mean anything there."""
    found = _NAME.fullmatch(name)
    if found is None or name.endswith((".gguf", "/..")) or ".." in name:
        return None
    return HubModel(found["repository"], found["revision"] or "main", found["explicit"] is not None)


def fetch(model: HubModel, tell: Callable[[str], None]) -> Path:
    """The folder of a model in the cache: no network is used where it is complete; else what is missing is fetched,
    after ``tell`` was told how much that is."""
    hub = extra_module("huggingface_hub", "hub", f"{model} would be fetched from the hub by huggingface_hub")
    cached = _cached(hub, model)
    if cached is not None and _complete(cached):
        return cached
    try:
        return _fetched(hub, model, tell)
    except (hub.errors.HfHubHTTPError.__bases__[0], OSError) as error:  # the first: what its HTTP library raises
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # of the disk
        refused = _refused(hub, model, error)
        if refused is None and cached is not None and _usable(cached):
            tell(f"{model}: {_reason(hub, error)}, so it is taken from the cache as it is there")
            return cached
        raise refused or TriviumError(
            f"{model} is not whole in the cache and cannot be fetched: {_reason(hub, error)}; try again with a "
            "network, which goes on where it broke off, or give the folder of a model"
        ) from error


def _refused(hub: Any, model: HubModel, error: Exception) -> DataError | None:
    """What the hub says of the model, where it says something; its messages of many lines as one sentence."""
    endpoint, errors = hub.constants.ENDPOINT, hub.errors
    if isinstance(error, errors.GatedRepoError):
        address = f"{endpoint}/{model.repository}"
        return DataError(
            f"{model} is gated: accept its conditions at {address}, and put a token of your account into HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DataError(f"{model.repository} has no revision {model.revision!r} at {endpoint}: check it")
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 404):
        return DataError(
            f"there is no model {model.repository} at {endpoint}, and no folder of that name here: check the name, or "
            "put a token into HF_TOKEN if it is private"
        )
    return None


def _fetched(hub: Any, model: HubModel, tell: Callable[[str], None]) -> Path:
    if not sys.stderr.isatty():
        hub.utils.disable_progress_bars()
    about = hub.HfApi().model_info(model.repository, revision=model.revision, files_metadata=True)
    sizes: dict[str, int] = {file.rfilename: file.size or 0 for file in about.siblings}
    _check(model, sizes)

    def get(name: str) -> Path:
        return Path(hub.hf_hub_download(model.repository, name, revision=about.sha))

    folder = get("config.json").parent
    weights = [WEIGHTS] if WEIGHTS in sizes else [INDEX, *shards(get(INDEX))]
    names = [*_described(sizes), *weights]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        size = sum(sizes.get(name, 0) for name in missing)
        where = hub.constants.ENDPOINT
        count = f"{len(missing)} file{'s' if len(missing) > 1 else ''}, {size / 1e6:,.1f} MB"
        tell(f"fetching {model} ({about.sha[:12]}) from {where}: {count}")
    for name in missing:
        if name not in sizes:
            raise DataError(f"{model} has no {name}, which its {INDEX} names: choose another revision")
        get(name)
    storage = folder.parents[1]
    _list_of(folder).parent.mkdir(exist_ok=True)
    replace_file(_list_of(folder), json.dumps(names, indent=1).encode())
    if not _COMMIT.fullmatch(model.revision):
        reference = storage / "refs" / model.revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        replace_file(reference, about.sha.encode())
    return folder


def _check(model: HubModel, names: Collection[str]) -> None:
    """Refuses, before anything is fetched, what could not be opened."""
    if "config.json" not in names:
        more = ": fetch one of its .gguf files and give that" if any(n.endswith(".gguf") for n in names) else ""
        raise DataError(f"{model} has no config.json, so it is not a model that can be opened here{more}")
    if WEIGHTS in names or INDEX in names:
        return
    if any(name.endswith(PICKLES) for name in names):
        raise DataError(
            f"{model} has pickled weights only, which can run code when opened and are never fetched or read: look for "
            "a revision or a copy of it with model.safetensors"
        )
    raise DataError(f"{model} has no {WEIGHTS}: look for a revision or a copy of it that has")


def _described(names: Collection[str]) -> list[str]:
    """The files beside the weights that say what they are."""
    vocabulary = [] if "tokenizer.json" in names else [name for name in names if _VOCABULARIES.fullmatch(name)]
    modules = [name for name in names if "modules.json" in names and _MODULES.fullmatch(name)]
    return [*(name for name in _ALWAYS if name in names), *vocabulary, *modules]


def _cached(hub: Any, model: HubModel) -> Path | None:
    """The folder that the cache has for a revision, whole or not."""
    found = hub.try_to_load_from_cache(model.repository, "config.json", revision=model.revision)
    return Path(found).parent if isinstance(found, str) else None


def _list_of(folder: Path) -> Path:
    """Where the names of all files of a commit are kept that were fetched together."""
    return folder.parents[1] / "trivium" / f"{folder.name}.json"


def _complete(folder: Path) -> bool:
    """Whether everything is there that the repository has for us."""
    try:
        names = json.loads(_list_of(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(names, list) and all(isinstance(n, str) and (folder / n).is_file() for n in names)


def _usable(folder: Path) -> bool:
    """Whether the weights at least are there, which another program may have fetched."""
    if (folder / WEIGHTS).is_file():
        return True
    return (folder / INDEX).is_file() and all((folder / name).is_file() for name in shards(folder / INDEX))


def _reason(hub: Any, error: BaseException) -> str:
    """In few words, why nothing comes from the hub."""
    causes: list[BaseException] = [error]
    while (deeper := causes[-1].__cause__ or causes[-1].__context__) is not None and deeper not in causes:
        causes.append(deeper)
    if any(isinstance(cause, hub.errors.OfflineModeIsEnabled) for cause in causes):
        return "HF_HUB_OFFLINE is set"
    for cause in causes:
        code = getattr(getattr(cause, "response", None), "status_code", None)
        if code is not None:
            return f"{hub.constants.ENDPOINT} answers with status {code}"
    words = " ".join(str(causes[-1]).split()) or type(causes[-1]).__name__
    return f"{hub.constants.ENDPOINT} does not answer ({words})"
