"""Strict JSON: what is refused, and that all else is read as Python's own reader reads it."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.serving.bodies import strict
from trivium.serving.refusals import Refusal
from trivium.serving.settings import Caps

CAPS = Caps()

BAD = {
    "nothing": b"", "spaces": b" \n ", "half an object": b'{"a": 1', "half a string": b'{"a": "',
    "a comma": b'{"a": 1,}', "two objects": b"{}{}",
    "single quotes": b"{'a': 1}", "a comment": b"{} // x", "a word": b"hello", "a list": b"[]",
    "a number": b"1", "a string": b'"a"', "null": b"null", "true": b"true", "NaN": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}', "minus infinity": b'{"a": -Infinity}', "1e999": b'{"a": 1e999}',
    "-1e999": b'{"a": [-1e999]}', "doubled": b'{"a": 1, "a": 1}', "doubled by escape": b'{"a": 1, "\\u0061": 2}',
    "doubled within": b'{"b": [{"a": 1, "a": 2}]}', "lone high": b'{"a": "\\ud800"}', "lone low": b'{"a": "\\uDC00x"}',
    "a lone key": b'{"\\ud800": 1}', "reversed pair": b'{"a": "\\udc00\\ud800"}', "bytes": b'{"a": "\xff"}',
    "a surrogate as bytes": b'{"a": "\xed\xa0\x80"}', "overlong": b'{"a": "\xc0\xaf"}', "a mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"), "UTF-16 without mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"), "a control": b'{"a": "\x01"}', "a line in a string": b'{"a": "\n"}',
    "NUL": b'{"a": 1}\x00', "hexadecimal": b'{"a": 0x10}', "plus": b'{"a": +1}', "leading zero": b'{"a": 01}',
    "many digits": b'{"a": ' + b"9" * 100_000 + b"}", "beyond 63 bits": b'{"a": 9223372036854775808}',
    "below": b'{"a": -9223372036854775808}', "no key": b"{1: 2}", "deep": b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
    "very deep": b"[" * 100_000, "very deep objects": b'{"a":' * 100_000, "closed too often": b"{}]",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_could_be_read_in_two_ways_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        strict(BAD[name], CAPS)
    assert refused.value.status == 400 and refused.value.code == "invalid_json"
    assert len(refused.value.message) < 200
    json.dumps(refused.value.body(), ensure_ascii=False).encode("utf-8")


def test_what_is_plain_is_read() -> None:
    text = '{"a": [1, -2.5, true, null, "\\ud83d\\ude00 \\" [{\\\\"], "é": {"b": {}}, "n": 9223372036854775807}'
    assert strict(text.encode(), CAPS) == json.loads(text)
    assert strict(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", CAPS)
    assert strict(b'{"a": "' + b"[{,\\\\\\\"" * 10_000 + b'"}', CAPS)  # of a string nothing counts


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=6,
)


@given(st.dictionaries(_TEXT, _VALUES, max_size=5), st.booleans())
@settings(max_examples=60)
def test_everything_else_is_read_as_python_reads_it(value: dict, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8")
    assert strict(body, CAPS) == value


@given(st.binary(max_size=60))
@settings(max_examples=150)
def test_any_bytes_are_an_object_or_a_refusal(body: bytes) -> None:
    try:
        assert isinstance(strict(body, CAPS), dict)
    except Refusal as problem:
        assert problem.status == 400


def test_values_are_counted_before_they_are_built() -> None:
    caps = Caps(values=100)
    assert strict(json.dumps({"a": list(range(99))}).encode(), caps)
    for many in ({"a": list(range(101))}, {str(i): [] for i in range(101)}, {"a": [""] * 101}, {"a": [[]] * 101}):
        with pytest.raises(Refusal) as refused:
            strict(json.dumps(many).encode(), caps)
        assert refused.value.status == 413
    assert strict(json.dumps({"a": {str(i): 1 for i in range(2048)}}).encode(), CAPS)
    with pytest.raises(Refusal, match="2,049 fields: at most 2,048"):
        strict(json.dumps({"a": {str(i): 1 for i in range(2049)}}).encode(), CAPS)
    few = Caps(containers=10)
    assert strict(b'{"a": [' + b"[]," * 7 + b"{}]}", few)
    with pytest.raises(Refusal, match="more than 10 lists and objects"):
        strict(b'{"a": [' + b"[]," * 8 + b"{}]}", few)
    for shape in (b"]", b"[],", b'"",', b"1,", b"[", b'"', b"{}", b"\\", b'\\"', b"{},"):
        begun = time.thread_time()
        with pytest.raises(Refusal):
            strict(b'{"a":[' + shape * ((8 << 20) // len(shape)), CAPS)
        assert time.thread_time() - begun < 2.0, shape
