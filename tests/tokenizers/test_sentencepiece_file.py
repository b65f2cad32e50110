"""``.model`` files: sentencepiece's own read with identical ids, ours read there, and damaged ones of every kind."""

import base64
import gzip
import io
import json
import os
import random
import struct
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as schema

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.text.python_docs import documents
from trivium.tokenizers import Tokenizer, protobuf, train_bpe
from trivium.tokenizers.charsmap import Charsmap
from trivium.tokenizers.doublearray import write_array
from trivium.tokenizers.sentencepiece import (
    BYTES,
    Kind,
    Piece,
    SentencePieces,
    sentencepieces_of,
    tokenizer_document,
    tokenizer_of,
)
from trivium.tokenizers.sentencepiece_file import model_bytes, parse_model, read_model, write_model
from trivium.tokenizers.unigram import train_unigram

ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
RAW = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True}
KINDS = {
    "unigram": {},
    "unigram, bytes, digits": {"byte_fallback": True, "split_digits": True, "character_coverage": 0.99},
    "unigram, symbols": {"user_defined_symbols": ["<sep>", "the"], "control_symbols": ["<ctl>"], "pad_id": 3},
    "unigram, folded case": {"normalization_rule_name": "nmt_nfkc_cf", "add_dummy_prefix": False},
    "unigram, raw": RAW | {"byte_fallback": True},
    "bpe": {"model_type": "bpe"},
    "bpe, bytes": {"model_type": "bpe", "byte_fallback": True, "character_coverage": 0.99},
    "bpe, symbols": {"model_type": "bpe", "user_defined_symbols": ["<sep>", "the"], "control_symbols": ["<ctl>"]},
    "bpe, as Llama": RAW | {"model_type": "bpe", "byte_fallback": True, "split_digits": True},
    "bpe, without prefix": RAW | {"model_type": "bpe", "add_dummy_prefix": False},
}


@pytest.fixture(scope="module")
def lines():
    """10,000 lines of the embedded corpus, whatever they hold."""
    found = [line for document in documents() for line in document.text.split("\n")]
    return random.Random(4).sample(found, 12_000)


def train(lines, **options):
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=file,
        **{"vocab_size": 700, "minloglevel": 2, "num_threads": 1, "hard_vocab_limit": False} | options,
    )
    return file.getvalue()


@pytest.fixture(scope="module")
def models(lines, tmp_path_factory):
    """By kind: the file that sentencepiece trained, sentencepiece with it, and our tokenizer of it."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for number, (kind, options) in enumerate(KINDS.items()):
        path = folder / f"{number}.model"
        path.write_bytes(train(lines[10_000:10_400], **options))
        found[kind] = path, sentencepiece.SentencePieceProcessor(model_file=str(path)), read_model(path)
    return found


def same_but_ties(tokenizer, peer, rows):
    """Equal ids; but a Unigram model of theirs has scores of 32 bits, whose sums sentencepiece rounds at every piece:
    of segmentations that score alike ("----" as "---" "-" or "-" "---") it takes one, 64 bits another."""
    mine, theirs = tokenizer.encode_batch(rows), peer.encode(rows)
    ties = [(one, other) for one, other in zip(mine, theirs, strict=True) if one != other]
    assert len(ties) <= (len(rows) // 100 if tokenizer.algorithm == "Unigram" else 0)
    for one, other in ties:
        scores = [sum(map(peer.get_score, ids)) for ids in (one, other)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5), peer.decode(one)


@pytest.mark.parametrize("kind", KINDS)
def test_their_models_give_the_same_ids_here(models, lines, kind):
    path, peer, tokenizer = models[kind]
    rows = lines[: 10_000 if kind in ("unigram", "bpe, bytes") else 1_000]
    same_but_ties(tokenizer, peer, rows)
    assert tokenizer.vocab_size == peer.get_piece_size()
    assert [tokenizer.piece(number) for number in range(20)] == [peer.id_to_piece(number) for number in range(20)]
    known = [row for row in rows[:500] if peer.unk_id() not in peer.encode(row)]
    assert [tokenizer.decode(ids) for ids in peer.encode(known)] == [peer.decode(ids) for ids in peer.encode(known)]
    assert (tokenizer.begin, tokenizer.end, tokenizer.unknown) == (peer.bos_id(), peer.eos_id(), peer.unk_id())
    assert Tokenizer.load(path).fingerprint == tokenizer.fingerprint


@settings(max_examples=40)
@given(ANY)
@example("ª\u0301 ﬁ\u0301 <0x41> </s> <s>")
@example("aaaaaaaaaaaa ------------- ============ ")
@example("\u200d\u0f77\u0fb2 각 \r\n")
def test_their_models_give_the_same_ids_on_any_text(models, text):
    for kind, (_, peer, tokenizer) in models.items():
        if kind == "bpe, symbols" and text.strip() in ("<sep>", "the"):
            continue
        assert tokenizer.encode(text).ids == peer.encode(text), kind


def test_user_defined_pieces_are_always_whole(models):
    _, peer, tokenizer = models["unigram, symbols"]
    for text in ("a <sep>b", "they breathe  <sep>", "<sep>", "<ctl> is text"):
        assert tokenizer.encode(text).ids == peer.encode(text)
    _, peer, tokenizer = models["bpe, symbols"]
    for text in ("a <sep>b", "they breathe  <sep>", "<sep> then", "<ctl> is text", " \t<sep><sep>  foo", "then<sep>"):
        assert tokenizer.encode(text).ids == peer.encode(text) == tokenizer.encode_batch([text])[0]
    # The one exception: a text that is nothing but a symbol gets no space in front.
    assert [tokenizer.piece(number) for number in tokenizer.encode("<sep>").ids] == ["<sep>"]


@pytest.mark.parametrize("kind", KINDS)
def test_their_models_written_again_say_the_same(models, lines, kind, tmp_path):
    _, peer, tokenizer = models[kind]
    write_model(tokenizer, tmp_path / "again.model")
    again = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "again.model"))
    rows = lines[:200]
    assert again.encode(rows) == peer.encode(rows)
    assert read_model(tmp_path / "again.model").encode_batch(rows) == peer.encode(rows)


def test_our_models_give_the_same_ids_there(unigram_tokenizer, sentencepiece_bpe_tokenizer, lines, tmp_path):
    for tokenizer in (unigram_tokenizer, sentencepiece_bpe_tokenizer):
        path = tmp_path / f"{tokenizer.algorithm}.model"
        write_model(tokenizer, path)
        peer = sentencepiece.SentencePieceProcessor(model_file=str(path))
        assert peer.encode(lines[:10_000]) == tokenizer.encode_batch(lines[:10_000])
        assert (peer.pad_id(), peer.bos_id(), peer.eos_id(), peer.unk_id()) == (0, 1, 2, 3)
        again = read_model(path)
        assert again.fingerprint == tokenizer.fingerprint and again.specials == tokenizer.specials
        proto = schema.ModelProto()
        proto.ParseFromString(path.read_bytes())
        assert len(proto.pieces) == proto.trainer_spec.vocab_size == tokenizer.vocab_size
        assert proto.pieces[37].piece == "<0x00>" and proto.pieces[37].type == Kind.BYTE


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_hundred_thousand_lines_of_novels(algorithm):
    path = Path(os.environ.get("TRIVIUM_DATA", "../shared/data")) / "novels" / "train.txt.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there: set TRIVIUM_DATA")
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        rows = [line.rstrip("\n") for _, line in zip(range(110_000), file, strict=False)]
    data = train(rows[:10_000], model_type=algorithm, vocab_size=4000, byte_fallback=True)
    peer = sentencepiece.SentencePieceProcessor(model_proto=data)
    tokenizer = tokenizer_of(parse_model(data, "x"), "x")
    same_but_ties(tokenizer, peer, rows[10_000:])
    ours = train_unigram(rows[:20_000], 6000)
    there = sentencepiece.SentencePieceProcessor(model_proto=model_bytes(sentencepieces_of(ours)))
    assert there.encode(rows[10_000:]) == ours.encode_batch(rows[10_000:])


def test_what_follows_other_conventions_is_not_written(tmp_path):
    with pytest.raises(SettingsError, match="does not follow SentencePiece's conventions"):
        write_model(train_bpe(["text"], 293), tmp_path / "a.model")
    assert not list(tmp_path.iterdir())


# Damaged files.

MAP = Charsmap({"ﬁ": "fi", "①": "1", "e\u0301": "é"})


def small_model(**changes):
    pieces = (
        Piece("<unk>", 0.0, Kind.UNKNOWN),
        Piece("<s>", 0.0, Kind.CONTROL),
        Piece("▁", -2.0),
        Piece("a", -1.5),
        Piece("▁a", -1.0),
        Piece("<sep>", 0.0, Kind.USER_DEFINED),
    )
    roles = (("unknown", "<unk>"), ("begin", "<s>"))
    settings = {
        "pieces": pieces,
        "algorithm": "unigram",
        "charsmap": MAP.compiled,
        "charsmap_name": "s",
        "roles": roles,
    }
    return SentencePieces(**{**settings, **changes})


def file_of(pieces=b"", trainer=b"", normalizer=b""):
    found = pieces
    found += protobuf.content(2, trainer) if trainer else b""
    return found + (protobuf.content(3, normalizer) if normalizer else b"")


def piece(text="a", score=-1.0, kind=1):
    return protobuf.content(1, protobuf.content(1, text) + protobuf.real(2, score) + protobuf.integer(3, kind))


UNK, A = piece("<unk>", 0.0, 2), piece("a")


def charsmap_file(blob):
    return file_of(UNK + A, normalizer=protobuf.content(2, blob))


def units_file(*units, targets=b"x\0"):
    blob = struct.pack(f"<I{len(units)}I", 4 * len(units), *units)
    return charsmap_file(blob + targets)


def with_key(key, value=0, targets=b"x\0"):
    units = write_array({key: value}).astype("<u4").tobytes()
    return charsmap_file(struct.pack("<I", len(units)) + units + targets)


LOOP = [1 << 10, *([0] * 255)]  # the root's children are at 1 ^ label
LOOP[1 ^ 97] = (96 ^ 1) << 10 | 97  # "a" leads to the root's children again
CRAFTED = {
    "nothing": b"",
    "zeros": bytes(64),
    "text": b"this is no protocol buffer at all",
    "json": b'{"version": "1.0"}',
    "only a key": b"\x0a",
    "a length without bytes": b"\x0a\x05",
    "a length of 2**63": b"\x0a" + b"\xff" * 8 + b"\x7f",
    "a length of 2**70": b"\x0a" + b"\xff" * 9 + b"\x7f",
    "an endless number": b"\x08" + b"\xff" * 40,
    "an endless key": b"\xff" * 40,
    "a group": b"\x0b\x0c",
    "a closed group": b"\x0c",
    "wire type 6": b"\x0e\x00",
    "wire type 7": b"\x0f\x00",
    "field 0": b"\x02\x00",
    "field 2**29": protobuf._written((1 << 29) << 3) + b"\x01",
    "pieces as numbers": protobuf.integer(1, 5),
    "pieces as floats": protobuf.real(1, 5.0),
    "trainer as a number": UNK + A + protobuf.integer(2, 1),
    "normaliser as a float": UNK + A + protobuf.real(3, 1.0),
    "no pieces": file_of(trainer=protobuf.integer(3, 1)),
    "no unknown piece": A,
    "two unknown pieces": UNK + piece("<u2>", 0.0, 2),
    "an empty piece": UNK + piece(""),
    "a piece without a text": UNK + protobuf.content(1, protobuf.real(2, -1.0)),
    "a doubled piece": UNK + A + A,
    "a doubled control": UNK + piece("<s>", 0.0, 3) + piece("<s>", 0.0, 3),
    "not a number": UNK + piece(score=float("nan")),
    "infinity": UNK + piece(score=float("inf")),
    "minus infinity": UNK + piece(score=float("-inf")),
    "an unknown kind": UNK + piece(kind=7),
    "kind 0": UNK + piece(kind=0),
    "kind 2**40": UNK + piece(kind=1 << 40),
    "kind -1": UNK + piece(kind=-1),
    "a piece that is no text": UNK + protobuf.content(1, protobuf.content(1, b"\xff\xfe")),
    "a piece that is a number": UNK + protobuf.content(1, protobuf.integer(1, 3)),
    "a score of eight bytes": UNK + protobuf.content(1, protobuf.content(1, "a") + b"\x11" + bytes(8)),
    "a score that is a text": UNK + protobuf.content(1, protobuf.content(1, "a") + protobuf.content(2, "1.0")),
    "half a surrogate pair": UNK + protobuf.content(1, protobuf.content(1, b"\xed\xa0\x80")),
    "words": file_of(UNK + A, protobuf.integer(3, 3)),
    "characters": file_of(UNK + A, protobuf.integer(3, 4)),
    "type 99": file_of(UNK + A, protobuf.integer(3, 99)),
    "a type that is a text": file_of(UNK + A, protobuf.content(3, "bpe")),
    "spaces after words": file_of(UNK + A, protobuf.integer(24, 1)),
    "bytes on, no bytes": file_of(UNK + A, protobuf.integer(35, 1)),
    "bytes off, a byte": UNK + piece("<0x41>", 0.0, 6),
    "bytes on, 255 bytes": file_of(UNK + b"".join(piece(each, 0.0, 6) for each in BYTES[1:]), protobuf.integer(35, 1)),
    "bytes on, a wrong byte": file_of(
        UNK + b"".join(piece(each, 0.0, 6) for each in (*BYTES[1:], "<0xQQ>")), protobuf.integer(35, 1)
    ),
    "a name that is no text": file_of(UNK + A, protobuf.content(45, b"\xff")),
    "spaces left as they are": file_of(UNK + A, normalizer=protobuf.integer(5, 0)),
    "a denormaliser": UNK + A + protobuf.content(5, protobuf.content(2, MAP.compiled)),
    "unused in bpe": file_of(UNK + A + piece("b", -1.0, 5), protobuf.integer(3, 2)),
    "a map of 3 bytes": charsmap_file(b"\1\2\3"),
    "a map of 5 bytes": charsmap_file(b"\0\0\0\0\0"),
    "a map that is a number": file_of(UNK + A, normalizer=protobuf.integer(2, 7)),
    "a trie longer than the map": charsmap_file(struct.pack("<I", 1 << 20) + bytes(64)),
    "a trie of 2**32 - 1 bytes": charsmap_file(struct.pack("<I", (1 << 32) - 1) + bytes(64)),
    "a trie of 6 bytes": charsmap_file(struct.pack("<I", 6) + bytes(64)),
    "an empty trie": charsmap_file(struct.pack("<I", 0) + bytes(64)),
    "a trie that points outside": units_file(0x7FFFFC00, *([0] * 255)),
    "a trie of one unit": units_file(1 << 10),
    "a trie without an end": units_file(*LOOP),
    "a value outside": with_key(b"a", 1 << 20),
    "a value at the end": with_key(b"a", 2),
    "a value without an end": with_key(b"a", 0, b"xyz"),
    "a value within a character": with_key(b"a", 1, "漢\0".encode()),
    "a value that is no text": with_key(b"a", 0, b"\xff\xfe\0"),
    "a key that is no text": with_key(b"\xff\xfe"),
    "a key of half a character": with_key("漢".encode()[:2]),
    "a key of 80 bytes": with_key(b"a" * 80),
}


def refused(data, tmp_path):
    """The DataError of a file, or None where it opens and works."""
    path = tmp_path / "damaged.model"
    path.write_bytes(data)
    try:
        tokenizer = read_model(path)
        for text in ("a b ﬁ\u0301 ①<0x41> \ue000", "<s> <unk> <sep>"):
            tokenizer.decode(tokenizer.encode(text).ids)
            tokenizer.encode_batch([text])
    except TriviumError as error:
        assert isinstance(error, DataError)
        assert "\n" not in str(error) and len(str(error)) < 400
        return str(error)
    return None


def test_there_are_enough_of_them():
    assert len(CRAFTED) >= 60


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_an_error_with_a_sentence(name, tmp_path):
    found = refused(CRAFTED[name], tmp_path)
    assert found is not None and str(tmp_path) in found


@pytest.mark.parametrize(
    "name", [name for name, data in CRAFTED.items() if "map" in name or "trie" in name or "value" in name]
)
def test_a_tokenizer_json_with_a_damaged_map(name, tmp_path):
    """The same maps in the other file format, where the Rust library would look outside of them."""
    try:
        blob = protobuf.Message(protobuf.Message(CRAFTED[name], "x").data(3), "x").data(2)
    except DataError:
        blob = b"\1"
    document = tokenizer_document(small_model())
    assert document["normalizer"]["normalizers"][0]["type"] == "Precompiled"
    document["normalizer"]["normalizers"][0]["precompiled_charsmap"] = base64.b64encode(blob).decode()
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    try:
        tokenizer = Tokenizer.load(tmp_path)
        for text in ("aaa 漢 ﬁ\u0301 b", "a\xff\u0301"):
            tokenizer.encode(text)
            tokenizer.encode_batch([text])
    except DataError as error:
        assert "character map" in str(error)
    else:
        assert name in ("a trie without an end", "a value without an end")


def test_a_file_cut_short_anywhere(tmp_path):
    data = model_bytes(small_model())
    assert parse_model(data, "x") == small_model()
    starts = 0
    for size in range(len(data)):
        short = refused(data[:size], tmp_path) if size % 40 == 0 else None
        try:
            parse_model(data[:size], "x")
            starts += 1
        except DataError as error:
            assert str(error).startswith("x is no SentencePiece model")
            continue
        assert short is None
    assert starts <= 10  # cut between two fields it is a shorter file


def mutated(data, choose):
    changed = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        at = choose.randrange(len(changed))
        way = choose.randrange(5)
        if way == 0:
            changed[at] = choose.randrange(256)
        elif way == 1:
            changed[at] ^= 1 << choose.randrange(8)
        elif way == 2:
            del changed[at : at + choose.randint(1, 9)]
        elif way == 3:
            changed[at:at] = choose.randbytes(choose.randint(1, 9))
        else:
            other = choose.randrange(len(changed))
            changed[at : at + 8] = changed[other : other + 8]
        if not changed:
            return b""
    return bytes(changed)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_files_never_crash(count, tmp_path):
    choose = random.Random(count)
    whole = small_model(
        pieces=(*small_model().pieces, *(Piece(text, 0.0, Kind.BYTE) for text in BYTES)), byte_fallback=True
    )
    merged = small_model(algorithm="bpe", charsmap=b"")
    sources = [model_bytes(each) for each in (small_model(), whole, merged)]
    outcomes = [refused(mutated(choose.choice(sources), choose), tmp_path) for _ in range(count)]
    assert 0 < sum(outcome is None for outcome in outcomes) < count


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        parse_model(data, "x")
    except DataError as error:
        assert str(error).startswith("x is no SentencePiece model")


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_model(tmp_path / "none.model")
    with pytest.raises(DataError, match="cannot be read"):
        read_model(tmp_path)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(-(1 << 63), (1 << 63) - 1))))
def test_numbers_are_written_as_the_reference_reads_them(pairs):
    data = b"".join(protobuf.integer(number, value) for number, value in pairs)
    found = protobuf.Message(data, "x")
    for number, value in dict(pairs).items():
        assert found.integer(number, 0) == value
    spec = schema.TrainerSpec()
    spec.ParseFromString(protobuf.integer(40, -1) + protobuf.content(45, "é") + protobuf.real(10, 0.25))
    assert (spec.unk_id, spec.unk_piece, spec.character_coverage) == (-1, "é", 0.25)
