"""Whether the files of a model are sound and belong together, asked before torch is imported, which takes seconds.

Of a folder: ``config.json`` against its family, every weight file's header and the index, the tokenizer and its size.
Of a GGUF file: the header, the settings, the vocabulary. Of an adapter's folder: its settings, its header, its base.
That each weight has the shape which the configuration gives it is seen when the model is made, without memory, and
before its weights are read (``huggingface.filled``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trivium.errors import DataError
from trivium.families.adapter_config import adapter_tensors, base_of, is_adapter
from trivium.families.config_file import config_in, family_of, heads_in
from trivium.families.demo_models import DEMO_MODELS, find_model
from trivium.families.family import Family
from trivium.families.gguf import GgufFile
from trivium.families.gguf_layouts import settings_in
from trivium.families.gguf_tokenizer import gguf_tokenizer
from trivium.families.model_folder import Stored, read_json, stored_tensors
from trivium.families.weights import body_prefix, full_names, plain_name
from trivium.tokenizers import Tokenizer, formats

if TYPE_CHECKING:
    from trivium.transformer import Config


@dataclass(frozen=True)
class Inspected:
    """A sound folder. ``written`` is the content of ``config.json``, ``tensors`` go by their names in the files."""

    written: Mapping[str, object]
    family: Family
    config: "Config"
    tensors: Mapping[str, Stored]
    tokenizer: Tokenizer | None


def inspect_folder(folder: Path) -> Inspected:
    """All that can be told of a Hugging Face folder, ours or another's, from its files alone."""
    written = read_json(folder / "config.json")
    family = family_of(written, folder)
    tensors = stored_tensors(folder)
    prefix = body_prefix(family, heads_in(written, family))
    names = {plain_name(name, family, prefix) for name in full_names(tensors, family, prefix)}
    config = config_in(written, family, names, folder)
    tokenizer = None
    if formats.has_tokenizer(folder):
        tokenizer = _READY.pop(folder, None) or Tokenizer.load(folder)
    if tokenizer is not None:
        check_vocabulary(tokenizer, config, folder)
    return Inspected(written, family, config, tensors, tokenizer)


def check_vocabulary(tokenizer: Tokenizer, config: "Config", source: Path) -> None:
    """Refuses a tokenizer with ids that the model has no row for; more rows than tokens are common."""
    if tokenizer.vocab_size > config.vocab_size:
        raise DataError(
            f"the tokenizer in {source} has {tokenizer.vocab_size:,} tokens and the model {config.vocab_size:,}: they "
            "do not belong together, get both from the same place"
        )


def vocabulary_of(file: GgufFile) -> Tokenizer:
    """The tokenizer in a GGUF file."""
    return _READY.pop(file.path, None) or gguf_tokenizer(file.header)


_READY: dict[Path, Tokenizer] = {}
"""What ``inspect_model`` has read for the load that follows it, which takes it out: a large one costs a second."""


def inspect_model(model: Path) -> None:
    """Refuses damaged files of what ``--model`` names; whether there is such a model at all is for others to say."""
    path = find_model(str(model)) if str(model) in DEMO_MODELS and not model.exists() else model
    if is_adapter(path):
        adapter_tensors(path)
        path = base_of(path)
    tokenizer = None
    if path.suffix == ".gguf" and path.is_file():
        with GgufFile(path) as file:
            settings_in(file)
            tokenizer = vocabulary_of(file)
    elif path.is_dir():
        tokenizer = inspect_folder(path).tokenizer
    if tokenizer is not None:
        _READY[path] = tokenizer
