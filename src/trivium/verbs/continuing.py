"""How a run from a pretrained model begins: its tokenizer, with new tokens where some are wanted, and its weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from torch import nn

from trivium.families.bodies import initialise, network
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.extension import extended, with_roles
from trivium.tokenizers.further_merging import Word
from trivium.tokenizers.sampling import even_sample
from trivium.transformer import Config, Network
from trivium.transformer.network import changed
from trivium.verbs.new_rows import fill
from trivium.verbs.pretraining_data import Text, layout_for
from trivium.verbs.recipe import From, Recipe
from trivium.verbs.source_model import Source


@dataclass(frozen=True, eq=False)
class Beginning:
    """``tokenizer`` of the run; ``base``: without the tokens that were learnt from the text. ``first``: the number of
    the first new token; ``base_parts`` and ``parts``: the old ids that each new token stands for, none for a control
    token."""

    tokenizer: Tokenizer
    base: Tokenizer
    first: int
    base_parts: Sequence[Word]
    parts: Sequence[Word]


def begun(recipe: Recipe, source: Source, sources: Sequence[Text]) -> Beginning:
    """The source's tokenizer with the control tokens that its kind of model needs, and with new tokens of the text."""
    given, loaded = recipe.from_, source.model
    assert given is not None
    roles = with_roles(loaded.tokenizer, layout_for(loaded.config))
    if not given.extend_vocabulary:
        return Beginning(roles.tokenizer, roles.tokenizer, roles.first, roles.parts, roles.parts)
    texts: Iterable[str] = chain.from_iterable(each.documents() for each in sources)
    if recipe.tokenizer.sample is not None:
        texts = even_sample(texts, recipe.tokenizer.sample).texts
    made = extended(roles.tokenizer, texts, given.extend_vocabulary, given.min_frequency)
    return Beginning(made.tokenizer, roles.tokenizer, roles.first, roles.parts, [*roles.parts, *made.parts])


def rows_of(tokenizer: Tokenizer, given: From | None) -> int:
    """Rows of the embeddings: a source's may be more than the tokenizer has tokens."""
    return max(tokenizer.vocab_size, (given.rows if given is not None else None) or 0)


def placed(
    model: Network, heads: Callable[[Config], dict[str, nn.Module]], source: Source, beginning: Beginning, seed: int,
    tell: Callable[[str], None],
) -> Network:  # fmt: skip
    """Gives the run's model its first weights. Returns the model that knows nothing of the new text yet: the same, or
    where that text has already given it tokens, one without them. ``heads``: those of the objective."""
    old, first = source.model.model, beginning.first
    new = fill(model, old, first, beginning.parts, seed)
    if new:
        tell(f"the source has no {', '.join(new)}: they begin at random")
    dropped = [name for name in old.state_dict() if name not in model.state_dict()]
    if dropped:
        tell(f"not taken over: {', '.join(dropped)}")
    controls, learnt = len(beginning.base_parts), len(beginning.parts) - len(beginning.base_parts)
    if controls or learnt:
        tell(f"vocabulary: {first:,} tokens, {controls:,} control tokens and {learnt:,} tokens of the new text added")
    if not learnt:
        return model
    rows = max(beginning.base.vocab_size, old.config.vocab_size)
    config = changed(model.config, vocab_size=rows)
    base = initialise(network(config, heads(config)), seed)
    fill(base, old, first, beginning.base_parts, seed)
    base.read_vocabulary(beginning.base)
    return base
