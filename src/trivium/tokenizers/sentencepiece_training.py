"""What both trainers of SentencePiece's conventions share: control tokens and bytes first, sizes checked, the tokenizer
made of learnt pieces.
"""

from trivium.errors import SettingsError
from trivium.tokenizers.charsmap import nmt_nfkc
from trivium.tokenizers.layouts import LayoutName, post_processor
from trivium.tokenizers.sentencepiece import (
    BYTES,
    SPACE,
    Kind,
    Piece,
    SentencePieces,
    swallowing_tokens,
    tokenizer_document,
)
from trivium.tokenizers.specials import SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.units import word_parts


def first_pieces(specials: SpecialTokens, byte_fallback: bool) -> list[Piece]:
    """The control tokens, and right after them the bytes."""
    if specials.unknown is None:
        raise SettingsError("SentencePiece's conventions need an unknown token among the special tokens")
    for content in specials.strings():
        if SPACE in content or " " in content or len(word_parts(content)) < 2:
            raise SettingsError(f"special token {content!r} could be a word of the text: write it like <{content}>")
    controls = [
        Piece(content, 0.0, Kind.UNKNOWN if content == specials.unknown else Kind.CONTROL)
        for content in specials.strings()
    ]
    return controls + ([Piece(content, 0.0, Kind.BYTE) for content in BYTES] if byte_fallback else [])


def check_coverage(coverage: float) -> float:
    """A share of the characters that an alphabet can cover."""
    if not 0 < coverage <= 1:
        raise SettingsError(f"coverage={coverage} is no share of the characters: above 0 and at most 1")
    return coverage


def check_size(vocab_size: int, first: list[Piece], alphabet: int) -> int:
    """How many pieces are to be learnt, the alphabet among them."""
    if vocab_size < len(first) + alphabet:
        bytes_ = sum(piece.kind == Kind.BYTE for piece in first)
        fewer = (
            "leave out the bytes (byte_fallback=false)"
            if vocab_size <= len(first)
            else "lower the coverage of characters"
        )
        raise SettingsError(
            f"vocabulary size {vocab_size} is too small: {len(first) - bytes_} special tokens, {bytes_} bytes and "
            f"{alphabet} characters need {len(first) + alphabet}; or {fewer}"
        )
    return vocab_size - len(first)


def finished(
    pieces: tuple[Piece, ...], algorithm: str, specials: SpecialTokens, layout: LayoutName, byte_fallback: bool
) -> Tokenizer:
    """The tokenizer of learnt pieces."""
    model = SentencePieces(
        pieces, "unigram" if algorithm == "unigram" else "bpe", nmt_nfkc().compiled, byte_fallback=byte_fallback
    )
    document = tokenizer_document(model, swallowing_tokens(specials))
    tokenizer = Tokenizer(document, specials)
    if layout == "plain":
        return tokenizer
    document["post_processor"] = post_processor(layout, specials, tokenizer.whole)
    return Tokenizer(document, specials)
