"""``trivium tokenizer count``: how many tokens texts have for a model, and what it costs to have them answered.

Services ask so much for a number of tokens that are read, and more for one that is written (Brown et al. 2020's model
was sold by the 1,000 tokens, later ones by the million). A machine of one's own costs so much an hour. Prices are the
user's own, without a currency.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from trivium.errors import SettingsError
from trivium.families.gguf_tensors import GgufTensors
from trivium.families.inspection import vocabulary_of
from trivium.text.documents import read_documents
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.formats import has_tokenizer
from trivium.verbs.load import find

CHUNK = 256  # documents that are tokenised together


@dataclass(frozen=True)
class Prices:
    """``read`` and ``written``: of so many tokens (``each``). ``hour``: of a machine that writes ``speed`` tokens a
    second; reading is so much faster that it is left out."""

    read: float = 0.0
    written: float = 0.0
    each: float = 1e6
    hour: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        for name in ("read", "written", "hour"):
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                raise SettingsError(f"the price {name} = {getattr(self, name)} must be a number from 0 on")
        for name in ("each", "speed"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise SettingsError(f"{name} = {value} must be a number above 0")
        if (self.hour is None) != (self.speed is None):
            raise SettingsError("a machine's cost needs its price for an hour and its tokens a second: give both")

    def cost(self, read: int, written: int) -> "Cost":
        """Of so many tokens."""
        parts = self.read * read / self.each, self.written * written / self.each
        hours = None if self.speed is None else written / self.speed / 3600
        own = None if self.hour is None or hours is None else self.hour * hours
        return Cost(*parts, sum(parts), hours, own)


@dataclass(frozen=True)
class Cost:
    """``own``: of the machine, for ``hours``."""

    read: float
    written: float
    total: float
    hours: float | None = None
    own: float | None = None


@dataclass(frozen=True)
class TokenCount:
    """``tokens``: of the texts, with those that belong around each; ``written``: of the answers to them."""

    tokenizer: str
    documents: int
    bytes: int
    tokens: int
    longest: int
    written: int
    cost: Cost | None

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / self.tokens if self.tokens else 0.0


def count_tokens(
    data: str | Path | Iterable[str | Path], tokenizers: Sequence[str | Path], *, text: str | None = None,
    answer: int = 0, prices: Prices | None = None, field: str = "text",
    errors: Literal["strict", "replace"] = "strict",
) -> list[TokenCount]:  # fmt: skip
    """For each tokenizer, or model with one: the documents of files, or one ``text`` instead. ``answer``: tokens that
    are written to each document."""
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(each) for each in data]
    if (text is None) == (not paths):
        raise SettingsError("give files to count the tokens of, or a text, one of the two")
    if not tokenizers:
        raise SettingsError("there is no tokenizer to count with: name one, or a model")
    if answer < 0:
        raise SettingsError(f"answer = {answer}: an answer has no fewer than 0 tokens")
    loaded = [(str(each), tokenizer_of(each)) for each in tokenizers]
    found = []
    for name, tokenizer in loaded:
        documents = iter([text]) if text is not None else read_documents(paths, field=field, errors=errors)
        found.append(_counted(name, tokenizer, documents, answer, prices))
    return found


def tokenizer_of(name: str | Path) -> Tokenizer:
    """In a folder or file of any format, or of a model by whatever ``load`` knows it."""
    path = Path(name)
    if path.suffix != ".gguf" and (path.is_file() or (path.is_dir() and has_tokenizer(path))):
        return Tokenizer.load(path)
    found = find(name)
    if found.is_dir():
        return Tokenizer.load(found)
    with GgufTensors(found) as files:
        return vocabulary_of(files.file)


def _counted(
    name: str, tokenizer: Tokenizer, documents: Iterable[str], answer: int, prices: Prices | None
) -> TokenCount:  # fmt: skip
    layout = tokenizer.layout()
    around = len(layout.before) + len(layout.after)
    waiting, count, size, tokens, longest = iter(documents), 0, 0, 0, 0
    while chunk := list(islice(waiting, CHUNK)):
        lengths = [len(ids) + around for ids in tokenizer.encode_batch(chunk)]
        count += len(chunk)
        size += sum(len(each.encode("utf-8", "surrogatepass")) for each in chunk)
        tokens += sum(lengths)
        longest = max(longest, *lengths)
    written = answer * count
    cost = None if prices is None else prices.cost(tokens, written)
    return TokenCount(name, count, size, tokens, longest, written, cost)
