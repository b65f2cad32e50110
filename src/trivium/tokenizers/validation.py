"""Tokenizer files from outside, checked before the Rust code sees them: some damaged files make that code panic, fill
the memory or never end. What can be told from the outside is told here; a panic that remains becomes a DataError.
"""

import base64
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trivium.errors import DataError, TriviumError

LARGEST_FILE = 64 << 20
LARGEST_VOCABULARY = 1_000_000
MOST_MERGES = 2_000_000
MOST_ADDED = 100_000
LONGEST_TOKEN = 4096  # bytes
LONGEST_PATTERN = 20_000
MODELS = ("BPE", "WordPiece", "Unigram", "WordLevel")


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turns the Rust library's errors, panics included, into a DataError that begins with ``what``."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, TriviumError):
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise DataError(f"{what}: {_first_line(error)}") from error
        raise


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
    _check_added(document.get("added_tokens") or [], refuse)
    _check_patterns(document, refuse)


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
    if not isinstance(merges, list) or len(merges) > LARGEST_VOCABULARY:
        refuse("its merges are not a list")
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
    if not isinstance(added, list) or len(added) > LARGEST_VOCABULARY:
        refuse("its added tokens are not a list")
        return
    for token in added:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or not token["content"]:
            refuse("an added token has no content")
            return
        if type(token.get("id")) is not int or not 0 <= token["id"] < 2 * LARGEST_VOCABULARY:
            refuse(f"the added token {token['content'][:40]!r} has the id {token.get('id')!r}")


def _check_patterns(part: Any, refuse: Any) -> None:
    """Regular expressions and prefixes of the normaliser, pre-tokeniser and decoder."""
    waiting = [part.get(name) for name in ("normalizer", "pre_tokenizer", "decoder", "post_processor")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            pattern = value.get("Regex")
            if isinstance(pattern, str) and len(pattern) > LONGEST_PATTERN:
                refuse(f"it holds a regular expression of {len(pattern)} characters")
            if value.get("type") == "Precompiled":
                _check_charsmap(value.get("precompiled_charsmap"), refuse)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_charsmap(encoded: Any, refuse: Any) -> None:
    """SentencePiece's map of characters."""
    from trivium.tokenizers.charsmap import check_charsmap

    try:
        check_charsmap(base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError):
        refuse("its character map is not in base64")
    except DataError as error:
        refuse(str(error))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
