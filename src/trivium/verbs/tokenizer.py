"""``trivium tokenizer``: learn a vocabulary from text, look inside one, write it in another format."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trivium.durable import check_writable
from trivium.errors import SettingsError
from trivium.settings import build, dump, merge, override
from trivium.settings.layers import Layer
from trivium.text.documents import read_documents
from trivium.tokenizers import Tokenizer, formats
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.learning import check_algorithm, learn
from trivium.tokenizers.options import OPTIONS, Options
from trivium.views.tokenisation import Kind, Piece

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class TrainedTokenizer:
    """What ``train_tokenizer`` made, and from how much. ``share``: the part of the text that it was learnt from."""

    directory: Path
    algorithm: str
    options: dict[str, object]
    vocab_size: int
    documents: int
    bytes: int
    share: float
    seconds: float
    fingerprint: str


@dataclass(frozen=True)
class TokenizerView:
    """A tokenizer from outside, and how it cuts a text when one is given. The ratios are of the text's own tokens."""

    algorithm: str
    vocab_size: int
    fingerprint: str
    specials: dict[str, int]
    longest: list[str]
    text: str | None = None
    pieces: list[Piece] | None = None
    bytes_per_token: float | None = None
    tokens_per_word: float | None = None


@dataclass(frozen=True)
class ConvertedTokenizer:
    """What ``convert_tokenizer`` wrote; what was read back gave the same ids for ``probes`` texts."""

    files: list[Path]
    vocab_size: int


def train_tokenizer(
    files: Sequence[str | Path],
    out: str | Path,
    vocab_size: int = 4096,
    algorithm: str = "bpe",
    field: str = "text",
    errors: Literal["strict", "replace"] = "strict",
    *,
    sets: Sequence[str] = (),
    memory: int = MEMORY,
    sample: int | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> TrainedTokenizer:
    """Learns a vocabulary of ``vocab_size`` tokens from files and saves it in the folder ``out``, which must be new.

    ``sets``: settings of the algorithm, such as "min_frequency=3". ``memory``: bytes that counting may take.
    ``sample``: learn from an even part of the text of so many bytes, drawn by ``seed``; None: from all of it.
    """
    options = algorithm_options(algorithm, sets)
    directory = Path(out)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(f"{directory} is in use: choose another --out, or remove it first")
    check_writable(directory / "tokenizer.json")
    counted = Counted()
    documents = counted.over(read_documents([Path(each) for each in files], field=field, errors=errors))
    began = time.perf_counter()
    learnt = learn(documents, vocab_size, options, memory=memory, sample=sample, seed=seed)
    seconds = time.perf_counter() - began
    if sample is not None:
        tell(f"learnt from a sample of {learnt.share:.1%} of {counted.bytes:,} bytes, seed {seed}")
    learnt.tokenizer.save(directory)
    return TrainedTokenizer(
        directory=directory,
        algorithm=algorithm,
        options=dump(options),
        vocab_size=learnt.tokenizer.vocab_size,
        documents=counted.documents,
        bytes=counted.bytes,
        share=learnt.share,
        seconds=seconds,
        fingerprint=learnt.tokenizer.fingerprint,
    )


def algorithm_options(algorithm: str, sets: Sequence[str] = ()) -> Options:
    """The settings of an algorithm with ``sets`` ("min_frequency=3") laid over them."""
    check_algorithm(algorithm)
    kind = OPTIONS[algorithm]
    values, _ = merge([Layer("--set", override(kind, each)) for each in sets])
    return build(kind, values)


class Counted:
    """Counts the documents that pass through."""

    def __init__(self) -> None:
        self.documents = 0
        self.bytes = 0

    def over(self, documents: Iterable[str]) -> Iterator[str]:
        for text in documents:
            self.documents += 1
            self.bytes += len(text) if text.isascii() else len(text.encode("utf-8", errors="surrogatepass"))
            yield text


def show_tokenizer(path: str | Path, text: str | None = None) -> TokenizerView:
    """A tokenizer's vocabulary in short; with ``text``, every token of it and how much text a token carries."""
    tokenizer = Tokenizer.load(path)
    pieces = None if text is None else text_pieces(tokenizer, text)
    own = sum(piece.kind != "control" for piece in pieces or ())
    size = len(text.encode("utf-8", "replace")) if text else 0
    words = len(text.split()) if text else 0
    return TokenizerView(
        algorithm=tokenizer.algorithm,
        vocab_size=tokenizer.vocab_size,
        fingerprint=tokenizer.fingerprint,
        specials={tokenizer.piece(number): number for number in sorted(tokenizer.controls)},
        longest=_longest(tokenizer, 10),
        text=text,
        pieces=pieces,
        bytes_per_token=size / own if own else None,
        tokens_per_word=own / words if own and words else None,
    )


def text_pieces(tokenizer: Tokenizer, text: str, pair: str | None = None, specials: bool = True) -> list[Piece]:
    """Every token of a text or a pair; ``specials``: with the control tokens that the tokenizer puts around them."""
    encoding = tokenizer.encode(text, pair, specials)
    texts = (text, pair or "")
    parts = zip(encoding.ids, encoding.offsets, encoding.word_of_token, encoding.text_of_token, strict=True)
    return [
        Piece(number, tokenizer.piece(number), texts[of][start:end], start, end, word, _kind(tokenizer, number, of), of)
        for number, (start, end), word, of in parts
    ]


def _kind(tokenizer: Tokenizer, number: int, of: int) -> Kind:
    if of < 0:
        return "control"
    if number == tokenizer.unknown:
        return "unknown"
    spelt = tokenizer.piece(number)
    partial = "\N{REPLACEMENT CHARACTER}" in tokenizer.decode([number]) and "\N{REPLACEMENT CHARACTER}" not in spelt
    return "byte" if partial or _BYTE.fullmatch(spelt) else "piece"


def convert_tokenizer(source: str | Path, target: str | Path, to: str | None = None) -> ConvertedTokenizer:
    """Writes a tokenizer in another format (``formats.FORMATS``), and proves that what it wrote gives the same ids."""
    written = formats.convert(Path(source), Path(target), to)
    return ConvertedTokenizer(written, Tokenizer.load(written[0]).vocab_size)


def _longest(tokenizer: Tokenizer, count: int) -> list[str]:
    """The longest tokens, decoded: what the vocabulary was spent on."""
    ordinary = [number for number in range(tokenizer.vocab_size) if number not in tokenizer.controls]
    decoded = [tokenizer.decode([number]) for number in ordinary]
    return sorted(decoded, key=lambda piece: (-len(piece), piece))[:count]
