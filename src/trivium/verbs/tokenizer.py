"""``trivium tokenizer``: learn a vocabulary from text, and look inside one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from trivium.errors import SettingsError
from trivium.text.documents import read_documents
from trivium.tokenizers import ALGORITHMS, Tokenizer


@dataclass(frozen=True)
class TrainedTokenizer:
    """What ``train_tokenizer`` made, and from how much."""

    directory: Path
    algorithm: str
    vocab_size: int
    documents: int
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Piece:
    """One token of a text: its id, the vocabulary's spelling and the text that it covers."""

    id: int
    piece: str
    text: str


@dataclass(frozen=True)
class TokenizerView:
    """A tokenizer from outside, and how it cuts a text when one is given."""

    algorithm: str
    vocab_size: int
    fingerprint: str
    specials: dict[str, int]
    longest: list[str]
    pieces: list[Piece] | None = None
    bytes_per_token: float | None = None
    tokens_per_word: float | None = None


def train_tokenizer(
    files: Sequence[str | Path],
    out: str | Path,
    vocab_size: int = 4096,
    algorithm: str = "bpe",
    field: str = "text",
    errors: Literal["strict", "replace"] = "strict",
) -> TrainedTokenizer:
    """Learns a vocabulary of ``vocab_size`` tokens from files and saves it in the folder ``out``, which must be new."""
    if algorithm not in ALGORITHMS:
        raise SettingsError(f"there is no tokenizer algorithm {algorithm!r}: choose one of {', '.join(ALGORITHMS)}")
    directory = Path(out)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(f"{directory} is in use: choose another --out, or remove it first")
    module, _, name = ALGORITHMS[algorithm].partition(":")
    counted = _Counted()
    documents = counted.over(read_documents([Path(each) for each in files], field=field, errors=errors))
    tokenizer: Tokenizer = getattr(import_module(module), name)(documents, vocab_size)
    tokenizer.save(directory)
    return TrainedTokenizer(
        directory, algorithm, tokenizer.vocab_size, counted.documents, counted.bytes, tokenizer.fingerprint
    )


class _Counted:
    """Counts the documents that pass through."""

    def __init__(self) -> None:
        self.documents = 0
        self.bytes = 0

    def over(self, documents: Iterator[str]) -> Iterator[str]:
        for text in documents:
            self.documents += 1
            self.bytes += len(text.encode("utf-8", errors="surrogatepass"))
            yield text


def show_tokenizer(path: str | Path, text: str | None = None) -> TokenizerView:
    """A tokenizer's vocabulary in short; with ``text``, every token of it and how much text a token carries."""
    tokenizer = Tokenizer.load(path)
    pieces = None if text is None else list(_pieces(tokenizer, text))
    size = len(text.encode()) if text else 0
    words = len(text.split()) if text else 0
    return TokenizerView(
        algorithm=tokenizer.algorithm,
        vocab_size=tokenizer.vocab_size,
        fingerprint=tokenizer.fingerprint,
        specials={tokenizer.piece(number): number for number in sorted(tokenizer.controls)},
        longest=_longest(tokenizer, 10),
        pieces=pieces,
        bytes_per_token=size / len(pieces) if pieces else None,
        tokens_per_word=len(pieces) / words if pieces and words else None,
    )


def _pieces(tokenizer: Tokenizer, text: str) -> Iterator[Piece]:
    encoding = tokenizer.encode(text)
    for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        yield Piece(number, tokenizer.piece(number), text[start:end])


def _longest(tokenizer: Tokenizer, count: int) -> list[str]:
    """The longest tokens, decoded: what the vocabulary was spent on."""
    ordinary = [number for number in range(tokenizer.vocab_size) if number not in tokenizer.controls]
    decoded = [tokenizer.decode([number]) for number in ordinary]
    return sorted(decoded, key=lambda piece: (-len(piece), piece))[:count]
