"""The configuration of the model that a recipe describes, and the tokenizer and length of row that it reads."""

from collections.abc import Callable, Sequence
from pathlib import Path

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.objectives import Mixed, PrefixLanguageModel
from trivium.objectives.sequence_to_sequence import starts_with_end
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config
from trivium.transformer.config import TransformerConfig
from trivium.transformer.network import changed
from trivium.verbs.continuing import Beginning, rows_of
from trivium.verbs.pretraining_data import Text, get_tokenizer
from trivium.verbs.recipe import Recipe


def config_of(recipe: Recipe, vocab_size: int, pad_token: int, end_token: int) -> Config:
    family = FAMILIES.get(recipe.model.family)
    if family is None:
        raise SettingsError(f"there is no family {recipe.model.family!r}: choose one of {', '.join(FAMILIES)}")
    objective = recipe.objective
    parts = objective.parts if isinstance(objective, Mixed) else (objective,)
    start_token = end_token if any(starts_with_end(part) for part in parts) else pad_token
    changes = {**recipe.model.changes(), "pad_token": pad_token}
    if "start_token" in family.base:
        changes["start_token"] = start_token
    config = family.size(recipe.model.size, vocab_size, **changes)
    if isinstance(config, TransformerConfig) and not config.encoder_layers:  # others the objective itself refuses
        learns_prompts = any(isinstance(part, PrefixLanguageModel) for part in parts)
        config = changed(config, bidirectional_prompt=learns_prompts)
    return changed(config, start_token=start_token) if config.encoder_layers and config.decoder_layers else config


def read_as(
    recipe: Recipe, sources: Sequence[Text], beginning: Beginning | None, directory: Path, tell: Callable[[str], None]
) -> tuple[Tokenizer, Config, int]:
    """(tokenizer, configuration, tokens of a row). ``directory``: where the run's own tokenizer lies, once it has one;
    ``beginning``: of a run from a pretrained model, which brings its own."""
    if beginning is not None:
        tokenizer = beginning.tokenizer
    else:
        tokenizer = get_tokenizer(recipe.tokenizer, sources, config_of(recipe, 2, 0, 1), directory, tell)
    config = config_of(recipe, rows_of(tokenizer, recipe.from_), tokenizer.pad or 0, tokenizer.end or 0)
    return tokenizer, config, (recipe.from_.length if recipe.from_ is not None else None) or config.context
