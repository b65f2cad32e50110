"""SentencePiece's ``.model`` files, read and written: a protocol buffer with the pieces and the normaliser's settings.

What is read is checked first, so that no file, however damaged, is more than an error with a sentence. What is written
opens in the ``sentencepiece`` package and gives the same ids there.
"""

import os
from pathlib import Path

from trivium.durable import replace_file
from trivium.errors import DataError, SettingsError
from trivium.tokenizers import protobuf
from trivium.tokenizers.charsmap import read_charsmap
from trivium.tokenizers.protobuf import Message
from trivium.tokenizers.sentencepiece import Kind, Piece, SentencePieces, check_pieces, sentencepieces_of, tokenizer_of
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import LARGEST_FILE, LARGEST_VOCABULARY

_PIECES, _TRAINER, _NORMALIZER, _DENORMALIZER = 1, 2, 3, 5
_TEXT, _SCORE, _KIND = 1, 2, 3
_MODEL_TYPE, _VOCAB_SIZE, _SUFFIX, _BYTE_FALLBACK = 3, 4, 24, 35
_ROLES = (("unknown", 40, 45, "<unk>"), ("begin", 41, 46, "<s>"), ("end", 42, 47, "</s>"), ("pad", 43, 48, "<pad>"))
_NAME, _CHARSMAP, _PREFIX, _COLLAPSE, _ESCAPE = 1, 2, 3, 4, 5
_ALGORITHMS = {1: "unigram", 2: "bpe"}


def read_model(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a ``.model`` file."""
    model = parse_model(_bytes(Path(path)), str(path))
    return tokenizer_of(model, str(path))


def write_model(tokenizer: Tokenizer, path: str | os.PathLike[str]) -> None:
    """A ``.model`` file of a tokenizer that follows SentencePiece's conventions; a SettingsError for any other."""
    replace_file(Path(path), model_bytes(sentencepieces_of(tokenizer)))


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has {path.stat().st_size} bytes: a tokenizer file has at most {LARGEST_FILE}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: name a SentencePiece .model file") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def parse_model(data: bytes, where: str) -> SentencePieces:
    """What the bytes of a file say, or a DataError that begins with ``where``."""
    where = f"{where} is no SentencePiece model"
    pieces: list[Piece] = []
    whole: dict[int, bytes] = {}
    for number, wire, value in protobuf.fields(data, where):
        if number not in (_PIECES, _TRAINER, _NORMALIZER, _DENORMALIZER):
            continue
        if wire != protobuf.BYTES or not isinstance(value, bytes):
            raise DataError(f"{where}: field {number} is of type {wire} and not {protobuf.BYTES}")
        if number != _PIECES:
            whole[number] = value
            continue
        if len(pieces) >= LARGEST_VOCABULARY:
            raise DataError(f"{where}: it has more than {LARGEST_VOCABULARY} pieces")
        pieces.append(_piece(value, f"{where}: piece {len(pieces)}"))
    if not pieces:
        raise DataError(f"{where}: it holds no pieces")
    trainer = Message(whole.get(_TRAINER, b""), f"{where}: its trainer's settings")
    normalizer = Message(whole.get(_NORMALIZER, b""), f"{where}: its normaliser's settings")
    kind = trainer.integer(_MODEL_TYPE, 1)
    if kind not in _ALGORITHMS:
        raise DataError(f"{where} that can be used here: its type is {kind}, known are 1 (Unigram) and 2 (BPE)")
    _refuse_unknown_ways(trainer, normalizer, Message(whole.get(_DENORMALIZER, b""), where), where)
    charsmap = normalizer.data(_CHARSMAP)
    if charsmap:
        read_charsmap(charsmap, where)
    present = {piece.text: piece.kind for piece in pieces}
    roles = []
    for role, _, number, usual in _ROLES:
        string = trainer.text(number, usual)
        if present.get(string) in (Kind.CONTROL, Kind.UNKNOWN):
            roles.append((role, string))
    model = SentencePieces(
        tuple(pieces),
        "unigram" if kind == 1 else "bpe",
        charsmap,
        normalizer.text(_NAME, ""),
        normalizer.flag(_PREFIX, True),
        normalizer.flag(_COLLAPSE, True),
        trainer.flag(_BYTE_FALLBACK, False),
        tuple(roles),
    )
    check_pieces(model, where)
    return model


def _piece(data: bytes, where: str) -> Piece:
    message = Message(data, where)
    kind = message.integer(_KIND, 1)
    if kind not in list(Kind):
        raise DataError(f"{where} is of kind {kind}, known are 1 to 6")
    return Piece(message.text(_TEXT, ""), message.real(_SCORE, 0.0), Kind(kind))


def _refuse_unknown_ways(trainer: Message, normalizer: Message, denormalizer: Message, where: str) -> None:
    """Settings that would silently give other ids or texts here."""
    if trainer.flag(_SUFFIX, False):
        raise DataError(f"{where} that can be used here: it puts spaces after words (treat_whitespace_as_suffix)")
    if not normalizer.flag(_ESCAPE, True):
        raise DataError(f"{where} that can be used here: it leaves spaces as they are (escape_whitespaces is false)")
    if denormalizer.data(_CHARSMAP):
        raise DataError(f"{where} that can be used here: it changes the text when it decodes (a denormaliser)")


def model_bytes(model: SentencePieces) -> bytes:
    """The model as a file holds it; what ``parse_model`` reads back."""
    check_pieces(model, "this tokenizer")
    parts = []
    for piece in model.pieces:
        message = protobuf.content(_TEXT, piece.text) + protobuf.real(_SCORE, piece.score)
        message += protobuf.integer(_KIND, piece.kind) if piece.kind != Kind.NORMAL else b""
        parts.append(protobuf.content(_PIECES, message))
    trainer = protobuf.integer(_MODEL_TYPE, 1 if model.algorithm == "unigram" else 2)
    trainer += protobuf.integer(_VOCAB_SIZE, len(model.pieces))
    trainer += protobuf.integer(_BYTE_FALLBACK, model.byte_fallback)
    numbers = {piece.text: number for number, piece in enumerate(model.pieces)}
    roles = dict(model.roles)
    for role, number, name, _ in _ROLES:
        if role in roles:
            if roles[role] not in numbers:
                raise SettingsError(f"the token {roles[role]!r} for {role} is not in the vocabulary")
            trainer += protobuf.integer(number, numbers[roles[role]]) + protobuf.content(name, roles[role])
        else:
            trainer += protobuf.integer(number, -1)
    normalizer = protobuf.content(_NAME, model.charsmap_name) + protobuf.content(_CHARSMAP, model.charsmap)
    for field, flag in ((_PREFIX, model.prefix), (_COLLAPSE, model.collapse), (_ESCAPE, True)):
        normalizer += protobuf.integer(field, flag)
    parts += [protobuf.content(_TRAINER, trainer), protobuf.content(_NORMALIZER, normalizer)]
    return b"".join(parts)
