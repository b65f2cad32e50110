"""Tokenizer files from outside, checked before the Rust code sees them: some damaged files make that code panic, fill
the memory or never end. What can be told from the outside is told here; a panic that remains becomes a DataError.
"""

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import tokenizers
from trivium.errors import DataError, TriviumError

LARGEST_FILE = 64 << 20
LARGEST_VOCABULARY = 1_000_000
MOST_MERGES = 2_000_000
MOST_ADDED = 100_000
LONGEST_TOKEN = 4096  # bytes
LONGEST_PATTERN = 20_000
LONGEST_STRING = 4096  # characters, of anything else that is put into texts
MOST_PARTS = 1_000  # of a normaliser, a template ...
LARGEST_GROWTH = 100  # times a text's own length, by normalising
MODELS = ("BPE", "WordPiece", "Unigram", "WordLevel")


class guarded:  # noqa: N801  # a generator's context takes longer than tokenising a word does
    """Turns the Rust library's errors, panics included, into a DataError that begins with ``what``."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, TriviumError)):
            return
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise DataError(f"{self._what}: {_first_line(error)}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of bounded size."""
    try:
        value = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({_first_line(error)}): save the tokenizer again") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object: save the tokenizer again")
    return value


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file of bounded size, without their ends; bytes that are not UTF-8 are refused by line."""
    content = _bytes(path)
    if content.endswith(b"\n"):
        content = content[:-1]
    for number, line in enumerate(content.split(b"\n") if content else [], 1):
        if len(line) > LONGEST_TOKEN:
            raise DataError(f"{path}, line {number} has {len(line)} bytes: a piece has at most {LONGEST_TOKEN}")
        try:
            yield line.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number} is not UTF-8: save the tokenizer again") from error


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has {path.stat().st_size} bytes: a tokenizer file has at most {LARGEST_FILE}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: name a folder that a tokenizer was saved to") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({_first_line(error)})") from error


def check(document: dict[str, Any], path: Path) -> None:
    """Refuses what cannot be a tokenizer: unknown model, vocabulary with holes of type or range, merges of pieces that
    are not in it, non-finite scores, patterns without end."""

    def refuse(reason: str) -> None:
        raise DataError(f"{path} cannot be used as a tokenizer: {reason}")

    model = document.get("model")
    if not isinstance(model, dict):
        refuse("it has no model")
        return
    kind = model_type(model)
    if kind not in MODELS:
        refuse(f"its model is {str(kind)[:40]!r}, known are {', '.join(MODELS)}")
    vocab = model.get("vocab")
    if kind == "Unigram":
        _check_unigram(model, refuse)
    elif not isinstance(vocab, dict) or not vocab or len(vocab) > LARGEST_VOCABULARY:
        refuse("its vocabulary is not an object of 1 to 1,000,000 pieces")
    elif not all(type(number) is int and 0 <= number < LARGEST_VOCABULARY for number in vocab.values()):
        refuse("its vocabulary holds an id that is not a whole number from 0 to 1,000,000")
    elif len(set(vocab.values())) != len(vocab):
        refuse("its vocabulary gives one id to two pieces")
    if kind == "BPE" and isinstance(vocab, dict):
        _check_merges(model, vocab, refuse)
    if not isinstance(model.get("unk_token"), str | None):
        refuse(f"its unknown token is {str(model['unk_token'])[:40]}, not a string")
    elif kind in ("WordPiece", "WordLevel") and isinstance(vocab, dict) and model.get("unk_token") not in vocab:
        refuse(f"its unknown token {model.get('unk_token')!r} is not in its vocabulary")
    _check_pieces(vocab, refuse)
    _check_added(document.get("added_tokens") or [], refuse)
    _check_parts(document, refuse)
    _check_growth(document, refuse)


def model_type(model: dict[str, Any]) -> object:
    """The algorithm; files of before 2021 (GPT-2's and BERT's own) do not name it."""
    if "type" in model:
        return model["type"]
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "continuing_subword_prefix" in model else "WordLevel"


def _check_unigram(model: dict[str, Any], refuse: Any) -> None:
    vocab = model.get("vocab")
    if not isinstance(vocab, list) or not vocab or len(vocab) > LARGEST_VOCABULARY:
        refuse("its vocabulary is not a list of 1 to 1,000,000 pieces")
        return
    for entry in vocab:
        good = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
        if not good or not isinstance(entry[1], (int, float)) or not math.isfinite(entry[1]):
            refuse(f"its vocabulary entry {str(entry)[:60]} is not a piece with a finite score")
    unknown = model.get("unk_id")
    if unknown is not None and not (type(unknown) is int and 0 <= unknown < len(vocab)):
        refuse(f"its unk_id {unknown!r} is not in its vocabulary of {len(vocab)}")


def _check_merges(model: dict[str, Any], vocab: dict[str, int], refuse: Any) -> None:
    merges = model.get("merges")
    if not isinstance(merges, list) or len(merges) > MOST_MERGES:
        refuse(f"its merges are not a list of at most {MOST_MERGES:,}")
        return
    prefix = model.get("continuing_subword_prefix") or ""
    if not isinstance(prefix, str):
        refuse(f"its continuing_subword_prefix is {str(prefix)[:40]}, not a string")
        return
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            refuse(f"merge {number} ({str(merge)[:60]!r}) is not a pair of pieces")
            return
        if not pair[1].startswith(prefix):
            refuse(f"merge {number} continues with {pair[1][:60]!r}, which does not begin with {prefix[:40]!r}")
        for piece in (*pair, pair[0] + pair[1].removeprefix(prefix)):
            if piece not in vocab:
                refuse(f"merge {number} needs the piece {piece[:60]!r}, which is not in the vocabulary")


def _check_added(added: Any, refuse: Any) -> None:
    if not isinstance(added, list) or len(added) > MOST_ADDED:
        refuse(f"its added tokens are not a list of at most {MOST_ADDED:,}")
        return
    for token in added:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or not token["content"]:
            refuse("an added token has no content")
            return
        if type(token.get("id")) is not int or not 0 <= token["id"] < 2 * LARGEST_VOCABULARY:
            refuse(f"the added token {token['content'][:40]!r} has the id {token.get('id')!r}")


def _check_pieces(vocab: Any, refuse: Any) -> None:
    """Pieces of bounded length, and ids without more holes than pieces: a model has a row for every one."""
    pieces = vocab.keys() if isinstance(vocab, dict) else [entry[0] for entry in vocab or []]
    longest = max(pieces, key=len, default="")
    if len(longest) > LONGEST_TOKEN:
        refuse(f"its piece {longest[:40]!r}... has {len(longest)} characters")
    if isinstance(vocab, dict) and max(vocab.values()) > 2 * len(vocab) + MOST_PARTS:
        refuse(f"its {len(vocab)} pieces have ids up to {max(vocab.values())}")


def _check_parts(document: dict[str, Any], refuse: Any) -> None:
    """Lists, strings and regular expressions of the normaliser, pre-tokeniser, decoder and post-processor."""
    waiting = [document.get(name) for name in ("normalizer", "pre_tokenizer", "decoder", "post_processor")]
    byte_levels = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            byte_levels += value.get("type") == "ByteLevel"
            if value.get("type") == "Precompiled":
                _check_charsmap(value.get("precompiled_charsmap"), refuse)
            for name, each in value.items():
                longest = LONGEST_PATTERN if name == "Regex" else LONGEST_STRING
                if isinstance(each, str) and name != "precompiled_charsmap" and len(each) > longest:
                    kind = "regular expression" if name == "Regex" else "string"
                    refuse(f"it holds a {kind} of {len(each)} characters")
            waiting.extend(value.values())
        elif isinstance(value, list):
            if len(value) > MOST_PARTS:
                refuse(f"it holds a list of {len(value)} parts")
            waiting.extend(value)
    if byte_levels > 6:  # each writes a byte beyond ASCII as a character of two
        refuse(f"it spells texts in bytes {byte_levels} times over")


def _check_charsmap(encoded: Any, refuse: Any) -> None:
    """SentencePiece's map of characters."""
    from trivium.tokenizers.charsmap import check_charsmap

    try:
        check_charsmap(base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError):
        refuse("its character map is not in base64")
    except DataError as error:
        refuse(str(error))


def _check_growth(document: dict[str, Any], refuse: Any) -> None:
    """Applies the replacing normalisers one after the other to a text of their own strings: refuses those that feed
    each other."""
    members = [each for each in _flat(document.get("normalizer")) if each.get("type") in ("Replace", "Prepend")]
    if not members:
        return
    strings = [str(text) for each in members for text in (each.get("content"), *(each.get("pattern") or {}).values())]
    text = "".join([*map(chr, range(32, 127)), *strings])[: 1 << 16]
    most = LARGEST_GROWTH * len(text) + 10_000
    for each in members:
        bare = {
            "version": "1.0",
            "added_tokens": [],
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
        }
        normalizer = tokenizers.Tokenizer.from_str(json.dumps({**bare, "normalizer": each})).normalizer
        text = normalizer.normalize_str(text)
        if len(text) > most:
            refuse(f"its normaliser makes {len(text):,} characters of a short text")


def _flat(part: Any) -> list[dict[str, Any]]:
    if not isinstance(part, dict):
        return []
    inner = part.get("normalizers")
    return [member for each in inner for member in _flat(each)] if isinstance(inner, list) else [part]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
