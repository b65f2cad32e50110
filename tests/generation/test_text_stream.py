"""Streaming text: whole characters, stop strings across tokens; tokens here are single bytes or given texts."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.generation.text_stream import TextStream, never_written
from trivium.tokenizers import train_bpe
from trivium.tokenizers.wordpiece import train_wordpiece_bpe


def from_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def from_bytes_of_runs(ids: Sequence[int]) -> str:
    """As SentencePiece's bytes are decoded: all of them become U+FFFD while one character is not whole."""
    try:
        return bytes(ids).decode("utf-8")
    except UnicodeDecodeError:
        return "\ufffd" * len(ids)


def run(stream: TextStream, ids: Sequence[int]) -> list[str]:
    pieces = []
    for token in ids:
        pieces.append(stream.push(token))
        if stream.stopped:
            break
    return [*pieces, stream.flush()]


def test_a_character_of_four_bytes_comes_whole() -> None:
    assert run(TextStream(from_bytes), "a🌍é".encode()) == ["a", "", "", "", "🌍", "", "é", ""]


@pytest.mark.parametrize("decode", [from_bytes, from_bytes_of_runs])
@given(text=st.text(max_size=120))
def test_pieces_join_to_the_text_and_are_never_half_a_character(
    decode: Callable[[Sequence[int]], str], text: str
) -> None:
    pieces = run(TextStream(decode), text.encode("utf-8"))
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@given(st.binary(max_size=120))
def test_bytes_that_are_no_text_come_as_the_decoder_writes_them(data: bytes) -> None:
    stream = TextStream(from_bytes)
    run(stream, data)
    # windows may split a run of invalid bytes differently, valid characters may not be lost
    assert stream.text.replace("\ufffd", "") == from_bytes(data).replace("\ufffd", "")


def test_an_unfinished_character_at_the_end_is_marked() -> None:
    assert run(TextStream(from_bytes), "é".encode()[:1]) == ["", "\ufffd"]


@given(st.text(alphabet="ab\n", max_size=40), st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=3))
def test_text_ends_before_the_first_stop_string_complete(text: str, stops: list[str]) -> None:
    stream = TextStream(from_bytes, stops)
    run(stream, text.encode())
    expected, found = text, False
    for end in range(len(text) + 1):  # the first moment at which some stop string is complete
        starts = [text[:end].find(stop) for stop in stops if stop in text[:end]]
        if starts:
            expected, found = text[: min(starts)], True
            break
    assert (stream.text, stream.stopped) == (expected, found)


def test_a_stop_string_across_tokens_is_never_shown() -> None:
    words = ["one ", "EN", "D", " two"]
    stream = TextStream(lambda ids: "".join(words[i] for i in ids), ["END"])
    assert [stream.push(i) for i in range(3)] == ["one ", "", ""]
    assert stream.stopped and stream.flush() == "" and stream.text == "one "


def test_what_only_looked_like_a_stop_string_is_released() -> None:
    words = ["one ", "EN", "TER"]
    stream = TextStream(lambda ids: "".join(words[i] for i in ids), ["END"])
    assert [stream.push(i) for i in range(3)] == ["one ", "", "ENTER"]


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100])
def test_the_window_slides_without_losing_spaces(length: int) -> None:
    # a decoder that drops the first word's space, as those of SentencePiece do
    def decode(ids: Sequence[int]) -> str:
        return "".join(f" {i}" for i in ids).removeprefix(" ")

    stream = TextStream(decode, context=[7, 8])
    run(stream, range(length))
    assert stream.text == "".join(f" {i}" for i in range(length))


def test_whole_words_have_no_line_breaks() -> None:
    texts = ["The model reads tokens.", "A list: one\ntwo, three."] * 4
    assert never_written(train_bpe(texts, 300), ("\n", ".", "\n\n", " model")) == ()
    words = train_wordpiece_bpe(texts, 50)
    assert never_written(words, ("\n", ".", "\n\n", " model", "list", "model\n")) == ("\n", "\n\n", "model\n")
