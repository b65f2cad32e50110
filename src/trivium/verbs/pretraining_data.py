"""What a pretraining run reads: text to a tokenizer, to shards in the run's ``data/``, to numbered training rows.

Done once. A run that is resumed finds its tokenizer and shards in its directory and does not read the text again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.objectives import Mixed, Objective
from trivium.text import python_docs
from trivium.text.blocks import Blocks, cut
from trivium.text.cleaning import Cleaner, Report
from trivium.text.documents import named_documents, source_fingerprint
from trivium.text.lanes import Lanes
from trivium.text.mixture import Mixture
from trivium.text.origins import counted
from trivium.text.rows import Layout, Rows
from trivium.text.shards import Shards, write_shards
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.learning import learn
from trivium.transformer import Config
from trivium.verbs.recipe import DataSettings, Recipe, TokenizerSettings

FEWEST_TO_SPLIT = 20  # documents; from fewer none is kept for evaluation
MANY_EPOCHS = 20


@dataclass(frozen=True)
class Text:
    """One source: its documents, to be read as often as needed, its weight, and a hash that names its content.
    ``named``: each document after the name of its file, where there are files."""

    documents: Callable[[], Iterable[str]]
    weight: float
    fingerprint: Callable[[], str]
    named: Callable[[], Iterable[tuple[str, str]]] | None = None
    told: Callable[[], str | None] = lambda: None  # what was found out when it was read


@dataclass(frozen=True)
class CutText:
    """The text in rows of one layout: numbered training rows, and rows of documents that are never trained on, one
    entry a source."""

    training: Mixture | Lanes
    heldout: Sequence[Blocks]

    @property
    def density(self) -> float:
        """The mean share of a row's places that hold a token."""
        weights = self.training.weights
        parts = zip(self.training.sources, weights, strict=True)
        return sum(blocks.density * weight for blocks, weight in parts) / sum(weights)


@dataclass(frozen=True)
class Turn:
    """Rows of a step that one part of the objective reads: which ones of its text, and their draws in the run."""

    part: int
    training: Mixture | Lanes
    numbers: np.ndarray  # (B,) draws of ``training``
    draws: np.ndarray  # (B,) of the run; the same where there is but one part

    def rows(self) -> Rows:
        """(B, T)."""
        return replace(self.training.at(self.numbers), draws=self.draws)


@dataclass(frozen=True)
class PretrainingData:
    """The text, once for each distinct layout that the parts of the objective want. ``layouts``: which of ``cuts`` each
    part reads; an objective that is no mixture is one part."""

    tokenizer: Tokenizer
    cuts: Sequence[CutText]
    fingerprint: str
    objective: Objective | Mixed
    seed: int
    layouts: Sequence[int] = (0,)
    notes: Sequence[str] = ()

    @property
    def training(self) -> Mixture | Lanes:
        """The rows of the first layout; all have the same sources."""
        return self.cuts[0].training

    @property
    def heldout(self) -> Sequence[Blocks]:
        """Of the first layout."""
        return self.cuts[0].heldout

    @property
    def tokens(self) -> int:
        """Training tokens of one epoch."""
        return sum(blocks.tokens for blocks in self.training.sources)

    @cached_property
    def shares(self) -> np.ndarray:
        """(P,) of all rows, those of each part."""
        return self.objective.cycle / self.objective.cycle.sum() if isinstance(self.objective, Mixed) else np.ones(1)

    @property
    def density(self) -> float:
        """The mean share of a row's places that hold a token."""
        parts = zip(self.layouts, self.shares, strict=True)
        return float(sum(self.cuts[layout].density * share for layout, share in parts))

    def turns(self, first: int, count: int) -> list[Turn]:
        """Draws ``first`` to ``first + count - 1``, by the part of the objective that reads them."""
        draws = np.arange(first, first + count, dtype=np.int64)
        if not isinstance(self.objective, Mixed):
            return [Turn(0, self.training, draws, draws)]
        parts, places = self.objective.turns(draws, self.seed, self.layouts)
        return [
            Turn(part, self.cuts[self.layouts[part]].training, places[parts == part], draws[parts == part])
            for part in np.unique(parts).tolist()
        ]

    def epochs(self, draws: int) -> list[float]:
        """How often each source has been seen through after the first ``draws`` draws."""
        shares = np.bincount(self.layouts, weights=self.shares)
        each = [cut.training.epochs(round(draws * share)) for cut, share in zip(self.cuts, shares, strict=True)]
        return [sum(seen) for seen in zip(*each, strict=True)]


def texts(data: DataSettings, documents: Iterable[str] | None) -> list[Text]:
    """The sources that a recipe names; ``documents`` of the caller's own take their place."""
    if documents is not None:
        own = documents if isinstance(documents, Sequence) else list(documents)
        return [Text(lambda: own, 1.0, lambda: _content_hash(own))]
    if data.corpus is not None:
        return [Text(_corpus, 1.0, lambda: f"python-docs train {python_docs.corpus_hash()}", _named_corpus)]
    sources = [(source.files, source.weight) for source in data.sources] or [(data.files, 1.0)]
    return [_files(files, weight, data) for files, weight in sources]


def get_tokenizer(
    settings: TokenizerSettings,
    sources: Sequence[Text],
    config: Config,
    directory: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Tokenizer:
    """The run's own where it already has one, else a saved one, else a new one learnt from the sources."""
    if (directory / "tokenizer.json").exists():
        return Tokenizer.load(directory)
    found = Tokenizer.load(settings.path) if settings.path is not None else _learnt(settings, sources, config, tell)
    if config.characters and found.algorithm != "WordLevel":
        tell(
            f"tokenizer: this model reads words by their characters, and {found.algorithm} cuts words into pieces, "
            'which it will take for words: set tokenizer.algorithm = "words"'
        )
    return found


def _learnt(
    settings: TokenizerSettings, sources: Sequence[Text], config: Config, tell: Callable[[str], None]
) -> Tokenizer:
    assert settings.vocab_size is not None
    documents = chain.from_iterable(source.documents() for source in sources)
    layout = layout_for(config)
    first = list(islice(documents, 1))  # a file that cannot be read is an error that stands alone
    tell(f"learning a tokenizer of {settings.vocab_size:,} tokens")
    learnt = learn(chain(first, documents), settings.vocab_size, settings.algorithm, layout, sample=settings.sample)
    if learnt.share < 1:
        tell(f"tokenizer: learnt from a sample of {learnt.share:.1%} of the text (tokenizer.sample)")
    return learnt.tokenizer


def layout_for(config: Config) -> LayoutName:
    """What goes around a text: an encoder's classify and separator, the one that it sums a text up in first or last; an
    encoder-decoder's end, or both where it begins to write after the end token, as BART does; a decoder's nothing."""
    if config.decoder_layers == 0:
        return "classify-last" if config.pooling == "last" else "classify"
    if config.encoder_layers == 0:
        return "plain"
    return "end" if config.start_token in (None, config.pad_token) else "classify"


def prepare(
    recipe: Recipe,
    sources: Sequence[Text],
    heldout: Iterable[str] | None,
    tokenizer: Tokenizer,
    length: int,
    rows: int,
    folder: Path,
) -> PretrainingData:
    """Shards of every source and their rows of ``length`` tokens, of which a step takes ``rows``."""
    objective, seed = recipe.objective, recipe.training.seed
    wanted = [part.layout(tokenizer, length) for part in parts_of(objective)]
    if len(wanted) > 1 and any(layout.continued for layout in wanted):
        raise SettingsError(
            "objective.carry_state goes on from row to row, and the rows of a mixture take turns: leave it out of "
            "objective.parts"
        )
    training, evaluation, prints = [], [], []
    for number, source in enumerate(sources):
        shards = _shards(source, tokenizer, folder / str(number))
        prints.append(shards.fingerprint)
        if heldout is None and recipe.data.heldout and shards.documents >= FEWEST_TO_SPLIT:
            shards, kept = shards.split(recipe.data.heldout, seed=seed)
            evaluation.append(kept)
        training.append(shards)
    if heldout is not None:
        own = heldout if isinstance(heldout, Sequence) else list(heldout)
        kept = _shards(Text(lambda: own, 1.0, lambda: _content_hash(own)), tokenizer, folder / "heldout")
        prints.append(kept.fingerprint)
        evaluation.append(kept)
    distinct = list(dict.fromkeys(wanted))
    weights = [source.weight for source in sources]
    cuts = [_cut(layout, training, evaluation, weights, rows, seed) for layout in distinct]
    fingerprint = hashlib.sha256(" ".join(prints).encode()).hexdigest()
    notes = [note for source in sources if (note := source.told()) is not None]
    layouts = [distinct.index(each) for each in wanted]
    return PretrainingData(tokenizer, cuts, fingerprint, objective, seed, layouts, notes)


def parts_of(objective: Objective | Mixed) -> Sequence[Objective]:
    """Those of a mixture; any other objective is the one part of itself."""
    return objective.parts if isinstance(objective, Mixed) else [objective]


def _cut(
    layout: Layout, training: Sequence[Shards], heldout: Sequence[Shards], weights: Sequence[float], rows: int,
    seed: int,
) -> CutText:  # fmt: skip
    blocks = [cut(shards, layout, shuffle=seed if layout.continued else None, seed=seed) for shards in training]
    order = Lanes(blocks, weights, rows) if layout.continued else Mixture(blocks, weights, seed)
    return CutText(order, [cut(shards, layout) for shards in heldout])


def check_enough(data: PretrainingData, rows: int, length: int) -> None:
    """Refuses a text that does not fill one batch of ``rows``."""
    present = max(sum(len(blocks) for blocks in cut.training.sources) for cut in data.cuts)
    if present < rows:
        raise RefusedError(
            f"the text has {data.tokens:,} tokens, which fill {present} rows of {length}, and one batch takes {rows}: "
            "give more text, or lower training.batch_tokens or model.context"
        )


def advice(data: PretrainingData, rows: int, steps: int, share: float) -> Iterator[str]:
    """What to say before the first step: how often each source will be seen, and whether that is too often. ``share``:
    what was to be kept for evaluation."""
    yield from data.notes
    epochs = data.epochs(rows * steps)
    for blocks, seen in zip(data.training.sources, epochs, strict=True):
        count = blocks.shards.documents
        part = f"{blocks.tokens:,} tokens in {count:,} document{'s' * (count != 1)}, seen {seen:.2f} times"
        yield f"text: {part} in {steps:,} steps"
        if seen > MANY_EPOCHS:
            yield (
                f"warning: a text of {blocks.tokens:,} tokens seen {seen:.0f} times is learnt by heart: give more "
                f"text, or train for about {max(1, round(steps * MANY_EPOCHS / seen)):,} steps"
            )
    if not data.heldout and share:
        yield (
            f"no evaluation: of fewer than {FEWEST_TO_SPLIT} documents none is kept for it (empty lines part those of "
            "a plain text)"
        )
    elif not data.heldout:
        yield "no evaluation: no text is kept for it (data.heldout is 0)"


def _shards(source: Text, tokenizer: Tokenizer, folder: Path) -> Shards:
    if tokenizer.end is None:
        raise SettingsError("pretraining needs a tokenizer with an end token, which closes each document")
    if (folder / "shards.json").exists():
        shards = Shards.open(folder)
        _check_unchanged(shards.fingerprint, source, tokenizer, folder)
        return shards
    fingerprint = f"{source.fingerprint()} {tokenizer.fingerprint}"
    documents = source.documents() if source.named is None else counted(source.named(), folder)
    return write_shards(
        documents, tokenizer.encode_batch, tokenizer.end, tokenizer.vocab_size, folder, fingerprint
    )


def _check_unchanged(written: str, source: Text, tokenizer: Tokenizer, folder: Path) -> None:
    """Refuses shards of another text or tokenizer. A text that is gone by now is not needed any more."""
    text, _, encoder = written.rpartition(" ")
    if encoder != tokenizer.fingerprint:
        raise SettingsError(f"{folder} was written with another tokenizer than the one given: start a new run")
    try:
        now = source.fingerprint()
    except DataError:
        return
    if now != text and now.split()[0] == text.split()[0]:  # shards of a caller's own documents need no recipe's files
        raise SettingsError(
            f"the text has changed since {folder} was written from it: put the old text back, or start a new run"
        )


def _files(files: tuple[str, ...], weight: float, data: DataSettings) -> Text:
    rules, reports = data.clean, list[Report]()

    def named() -> Iterable[tuple[str, str]]:
        found = named_documents(files, field=data.field, errors=data.errors)
        if rules is None:
            return found
        cleaner = Cleaner(rules)
        reports[:] = [cleaner.report]
        return cleaner.of(found)

    def fingerprint() -> str:
        cleaned = "" if rules is None else f"-cleaned-{rules.fingerprint()}"
        return f"files {source_fingerprint(files, field=data.field, errors=data.errors)}{cleaned}"

    def told() -> str | None:
        return reports[0].sentence() if reports else None

    return Text(lambda: (text for _, text in named()), weight, fingerprint, named, told)


def _corpus() -> Iterable[str]:
    """The part of the embedded corpus that no development or test example of its tasks comes from."""
    return [document.text for document in python_docs.documents("train")]


def _named_corpus() -> Iterable[tuple[str, str]]:
    return [(document.name, document.text) for document in python_docs.documents("train")]


def _content_hash(documents: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in documents:
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return f"documents {digest.hexdigest()}"


def rows_per_step(batch_tokens: int, micro_tokens: int | None, length: int) -> tuple[int, int]:
    """(rows of a step, rows of a micro-batch), each at least 1."""
    rows = max(1, batch_tokens // length)
    return rows, min(rows, max(1, micro_tokens // length)) if micro_tokens is not None else rows
