"""SentencePiece's conventions: normal form, lossless decoding, bytes, spaces, scripts; against the package itself."""

import io
import json
import time
import unicodedata

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.tokenizers import ALGORITHMS, SpecialTokens, Tokenizer
from trivium.tokenizers.charsmap import Charsmap, nmt_nfkc, read_charsmap
from trivium.tokenizers.doublearray import has_ascii_pairs, read_array, write_array
from trivium.tokenizers.exact import exact_charsmap
from trivium.tokenizers.sentencepiece import BYTES, merges_of, normalised, sentencepieces_of
from trivium.tokenizers.sentencepiece import Piece as P
from trivium.tokenizers.sentencepiece_bpe import train_sentencepiece_bpe
from trivium.tokenizers.sentencepiece_file import model_bytes
from trivium.tokenizers.unigram import train_unigram
from trivium.tokenizers.units import count_units, word_parts

ANY = st.text(st.characters(exclude_categories=["Cs"]))
BOTH = ("unigram_tokenizer", "sentencepiece_bpe_tokenizer")
# Marks after characters that the map changes, spaces of many kinds, letters of Hangul: where normalisers differ.
HARD = st.text(
    st.sampled_from(
        "aª①ﬁ㍿Å\u0300\u0301\u0323\u0338 \t\r\n\u3000\u200b\u200d\u2581ᄀ가각\u1100\u1161\u11a8ﾡￂが\u3099<0x41>"
    )
)


@pytest.fixture(params=BOTH)
def tokenizer(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def peers(unigram_tokenizer, sentencepiece_bpe_tokenizer):
    """sentencepiece with our models, by algorithm."""
    return {
        each.algorithm: sentencepiece.SentencePieceProcessor(model_proto=model_bytes(sentencepieces_of(each)))
        for each in (unigram_tokenizer, sentencepiece_bpe_tokenizer)
    }


def pieces(tokenizer, text):
    return [tokenizer.piece(number) for number in tokenizer.encode(text).ids]


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (" hello   world ", "hello world"),
        ("a\tb\nc", "a b c"),
        ("ＡＢＣ①", "ABC1"),
        ("cat😀", "cat😀"),
        ("これは日本語です。", "これは日本語です。"),
        ("～ ~ ﾊﾟ ｶﾞ", "～ ~ パ ガ"),
        ("a\u0301e\u0323\u0302 \u1112\u1161\u11ab", "á\u1ec7 한"),
        ("x\x00\x01y\u200bz", "x\x00y z"),
        ("", ""),
        (" \n\u3000 ", ""),
    ],
)
def test_normal_forms(tokenizer, peers, text, decoded):
    """The first four are the facts' examples."""
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == normalised(tokenizer, text) == decoded
    if "\0" not in text:
        assert peers[tokenizer.algorithm].encode(text) == ids


def test_a_character_that_is_no_piece_is_its_bytes(tokenizer):
    assert pieces(tokenizer, "cat😀")[-4:] == ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
    assert tuple(tokenizer.piece(37 + byte) for byte in range(256)) == BYTES


@settings(max_examples=100)
@given(st.one_of(ANY, HARD))
@example("<0x41> <s></s><unk><pad><extra_id_0>▁<mask>")
@example("\u00aa\u0301 \ufb01\u0301 \r\n 2\u20e3 \u0f73\u0f80")
@example("\U0001f468\u200d\U0001f469\u200d\U0001f467 नमस्ते สวัสดี क़ 각")
def test_any_text_decodes_to_its_normal_form(unigram_tokenizer, sentencepiece_bpe_tokenizer, peers, text):
    for tokenizer in (unigram_tokenizer, sentencepiece_bpe_tokenizer):
        encoding = tokenizer.encode(text)
        assert tokenizer.decode(encoding.ids) == normalised(tokenizer, text)
        assert tokenizer.encode_batch([text]) == [encoding.ids]
        assert not set(encoding.ids) & tokenizer.controls
        assert all(0 <= start <= end <= len(text) for start, end in encoding.offsets)
        if "\0" not in text:  # sentencepiece's python takes it for the end
            assert peers[tokenizer.algorithm].encode(text) == encoding.ids
            assert peers[tokenizer.algorithm].normalize(text).replace("▁", " ")[1:] == normalised(tokenizer, text)


def test_the_map_is_sentencepieces_on_all_of_unicode():
    """Every character that Python's Unicode knows, alone and decomposed, against the package's own nmt_nfkc."""
    theirs = read_charsmap(own_charsmap(), "sentencepiece")
    ours = nmt_nfkc()
    known = [chr(number) for number in range(0x110000) if unicodedata.category(chr(number)) not in ("Cn", "Cs")]
    assert len(known) > 140_000
    assert [each for each in known if ours.rules.get(each) != theirs.rules.get(each)] == []
    changed = [each for each in known if unicodedata.normalize("NFKD", each) != each]
    sequences = [unicodedata.normalize(form, each) for form in ("NFD", "NFKD") for each in changed]
    package = sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    for one in sequences:
        assert ours.apply(one) == theirs.apply(one), ascii(one)
    assert [ours.apply(one) for one in sequences[::7]] == [package.normalize(one) for one in sequences[::7]]
    sample = "".join(f"{each}\u0301 x" for each in known[:60_000:3])
    assert theirs.apply(sample) == package.normalize(sample)


def own_charsmap():
    from sentencepiece import sentencepiece_model_pb2

    file, proto = io.BytesIO(), sentencepiece_model_pb2.ModelProto()
    text = ["some words to learn from, and some more words"] * 5
    options = {"vocab_size": 40, "hard_vocab_limit": False, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=file, **options)
    proto.ParseFromString(file.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


@settings(max_examples=60)
@given(
    st.dictionaries(st.text("abé漢\u0301", min_size=1, max_size=5), st.text("xy é", max_size=3), min_size=1),
    st.text("abé漢\u0301 "),
)
def test_a_map_survives_its_file_and_takes_the_longest_key(rules, text):
    charsmap = Charsmap(rules)
    assert read_charsmap(charsmap.compiled, "x").rules == rules
    parts, at = [], 0
    while at < len(text):
        size = next((n for n in range(5, 0, -1) if text[at : at + n] in rules and at + n <= len(text)), 0)
        parts.append(rules[text[at : at + size]] if size else text[at])
        at += size or 1
    assert charsmap.apply(text) == "".join(parts)


@settings(max_examples=60)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=6).filter(lambda key: 0 not in key), st.integers(0, 99), min_size=1)
)
def test_a_double_array_gives_back_what_was_put_in(values):
    units = write_array(values)
    assert len(units) % 256 == 0
    assert {key: value for keys, found in read_array(units) for key, value in zip(keys, found, strict=True)} == values
    assert has_ascii_pairs(units) == any(len(key) > 1 and max(key[:2]) < 128 for key in values)


def test_the_library_alone_loses_accents(unigram_tokenizer):
    """Why ``exact.py`` exists: a cluster that begins with a key loses what follows it."""
    text = "\u2460\u0301"
    assert unigram_tokenizer.whole.normalizer.normalize_str(text) == "1"
    assert exact_charsmap(unigram_tokenizer.plain).wanted(text)
    assert normalised(unigram_tokenizer, text) == "1\u0301"
    assert not exact_charsmap(unigram_tokenizer.plain).wanted("plain text, “quoted” — café")


def test_offsets_point_at_the_original(tokenizer):
    text = "ﬁ  ①\u0301 nai\u0308ve\t가"
    encoding = tokenizer.encode(text)
    covered = [text[start:end] for start, end in encoding.offsets]
    assert "".join(covered).replace(" ", "").replace("\t", "") != ""
    place = [tokenizer.piece(number) for number in encoding.ids].index("<0xCC>")  # of the accent
    assert covered[place] == "\u0301"
    both = tokenizer.encode(text, text)
    assert both.offsets[: len(encoding.ids)] == encoding.offsets == both.offsets[len(encoding.ids) :]


def test_pieces_cross_no_space_script_or_digit(tokenizer):
    for number in range(37 + 256, tokenizer.vocab_size):
        piece = tokenizer.piece(number)
        assert "▁" not in piece[1:] and " " not in piece
        assert len(word_parts(piece.removeprefix("▁"))) <= 1
    assert word_parts("abc123,日本ごカナx") == ["abc", "123", ",", "日本ごカナ", "x"]
    assert word_parts("a12é3", split_digits=True) == ["a", "1", "2", "é", "3"]


def test_units_hold_all_covered_characters():
    text = ["ab1 ab1 漢字かな ab", "ﬁ ab\tab"]
    units = count_units(text, nmt_nfkc(), 1.0, False)
    assert dict(zip(units.units, units.counts.tolist(), strict=True)) == {"▁ab": 5, "1": 2, "▁漢字かな": 1, "▁fi": 1}
    assert units.alphabet[0] == "▁" and units.character_counts[0] == 7
    fewer = count_units(text, nmt_nfkc(), 0.6, False)
    assert fewer.alphabet == ["▁", "a", "b"]
    assert dict(zip(fewer.units, fewer.counts.tolist(), strict=True)) == {"▁ab": 5, "▁": 2}


@pytest.mark.parametrize("algorithm", ["unigram", "sentencepiece-bpe"])
def test_japanese_needs_no_spaces(algorithm):
    module, _, name = ALGORITHMS[algorithm].partition(":")
    train = getattr(__import__(module, fromlist=[name]), name)
    text = [
        "吾輩は猫である。名前はまだ無い。",
        "どこで生れたかとんと見当がつかぬ。",
        "吾輩は猫である。猫は人間である。",
    ] * 9
    tokenizer = train(text, 37 + 256 + 33, coverage=1.0)
    assert tokenizer.decode(tokenizer.encode("吾輩は人間である。").ids) == "吾輩は人間である。"
    assert max(len(tokenizer.piece(number)) for number in range(293, tokenizer.vocab_size)) > 2
    assert not any(piece.startswith("<0x") for piece in pieces(tokenizer, "猫である"))


def test_byte_pieces_in_the_text_are_text(tokenizer, source_lines):
    for text in ("<0x41>", "x<0x0A>y", "<0xFF><0xFF>"):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids) == text
        assert len(ids) > 1
    few = train_unigram(["abab ab"] * 9, 37 + 256 + 4)  # of <0x41> it has no character
    assert few.decode(few.encode("a<0x41>b").ids) == "a<0x41>b"
    peer = sentencepiece.SentencePieceProcessor(model_proto=model_bytes(sentencepieces_of(few)))
    assert few.encode("a<0x41>b <0xZZ>").ids == peer.encode("a<0x41>b <0xZZ>")


def test_without_bytes_there_are_unknown_characters(source_lines):
    for train in (train_unigram, train_sentencepiece_bpe):
        tokenizer = train(source_lines, 500, byte_fallback=False)
        assert pieces(tokenizer, "漢字é")[-1] == "<unk>"
        peer = sentencepiece.SentencePieceProcessor(model_proto=model_bytes(sentencepieces_of(tokenizer)))
        for text in ("漢字é", "a漢b字c", "漢 字"):
            assert peer.encode(text) == tokenizer.encode(text).ids


def test_digits_can_be_pieces_of_their_own(source_lines):
    text = ["in 1234 and 1234 or 1999"] * 30
    assert pieces(train_unigram(text, 312, coverage=1.0), "1234") == ["▁1234"]
    assert pieces(train_unigram(text, 308, coverage=1.0, split_digits=True), "1234")[-3:] == ["2", "3", "4"]
    assert pieces(train_sentencepiece_bpe(text, 312, coverage=1.0, split_digits=True), "1234")[-3:] == ["2", "3", "4"]


def test_merges_are_all_pairs_that_make_a_piece():
    learnt = [P("a", -9.0), P("b", -10.0), P("ab", 0.0), P("aba", -1.0), P("ba", -2.0), P("abab", -3.0)]
    assert merges_of(learnt) == [
        ["a", "b"],
        ["ab", "a"],
        ["a", "ba"],
        ["b", "a"],
        ["aba", "b"],
        ["ab", "ab"],
    ]


def test_the_bpe_vocabulary_is_controls_bytes_characters_and_merges(source_lines, sentencepiece_bpe_tokenizer):
    units = count_units(source_lines, nmt_nfkc(), 0.9995, False)
    size = len(units.alphabet)
    start = 37 + 256
    assert [sentencepiece_bpe_tokenizer.piece(start + n) for n in range(size)] == units.alphabet
    totals = {}
    for unit, count in zip(units.units, units.counts.tolist(), strict=True):
        for pair in zip(unit, unit[1:], strict=False):
            totals[pair] = totals.get(pair, 0) + count
    first = sentencepiece_bpe_tokenizer.piece(start + size)
    assert totals[tuple(first)] == max(totals.values())
    again = train_sentencepiece_bpe(iter(source_lines), sentencepiece_bpe_tokenizer.vocab_size)
    assert again.fingerprint == sentencepiece_bpe_tokenizer.fingerprint


def test_sizes_and_special_tokens_that_cannot_be(source_lines):
    for train in (train_unigram, train_sentencepiece_bpe):
        with pytest.raises(SettingsError, match="37 special tokens, 256 bytes and"):
            train(source_lines, 200)
        with pytest.raises(SettingsError, match="'PAD' could be a word"):
            train(source_lines, 900, SpecialTokens(pad="PAD"))
        with pytest.raises(SettingsError, match="need an unknown token"):
            train(source_lines, 900, SpecialTokens(unknown=None))
        with pytest.raises(DataError, match=r"only (\d+) tokens") as error:
            train(["few words, few words"] * 3, 9000)
        supported = int(str(error.value).split("only ")[1].split()[0])
        assert train(["few words, few words"] * 3, supported).vocab_size == supported
        with pytest.raises(DataError, match="cannot be learnt|surrogate"):
            train(["ab\ud800"], 400)


@pytest.mark.parametrize("train", [train_unigram, train_sentencepiece_bpe])
def test_the_memory_is_kept_or_the_size_needed_is_told(train, source_lines):
    with pytest.raises(RefusedError, match=r"need [\d,]+ bytes and may have [\d,]+: raise --memory, or .*--sample"):
        train(source_lines, 700, memory=150_000)
    assert train(source_lines, 700, memory=8 << 20).fingerprint == train(source_lines, 700).fingerprint


def test_saved_and_opened_by_transformers(tokenizer, tmp_path, source_lines):
    from transformers import AutoTokenizer

    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint and again.specials == tokenizer.specials
    foreign = AutoTokenizer.from_pretrained(tmp_path)
    rows = source_lines[:300]
    assert foreign(rows, add_special_tokens=False)["input_ids"] == tokenizer.encode_batch(rows)


def test_layouts_add_control_tokens(source_lines):
    tokenizer = train_unigram(source_lines, 700, layout="end")
    assert tokenizer.encode("text", specials=True).ids[-1] == tokenizer.end
    assert tokenizer.with_layout("classify").encode("text", specials=True).ids[0] == tokenizer.classify
    marked = tokenizer.encode_marked("a <mask> b <extra_id_3>")
    assert tokenizer.mask in marked and tokenizer.sentinels[3] in marked
    assert json.loads(tokenizer.whole.to_str())["model"]["unk_id"] == tokenizer.unknown


@pytest.mark.parametrize("unit", ["a", " ", "😀", "漢", "\u0301", "ab ", "\r\n"])
def test_time_grows_linearly_on_runs(tokenizer, unit):
    def seconds(size):
        text = unit * (size // len(unit))
        start = time.perf_counter()
        ids = tokenizer.encode_batch([text])[0]
        spent = time.perf_counter() - start
        assert tokenizer.decode(ids) == normalised(tokenizer, text)
        return spent

    seconds(1000)
    small, large = min(seconds(10_000) for _ in range(3)), seconds(100_000)
    assert large < 10 * 5 * small + 0.3


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["a", " ", "😀", "漢", "\u0301", "-", "ᄀ"])
def test_time_grows_linearly_up_to_a_million(tokenizer, unit):
    spent = []
    for size in (10_000, 100_000, 1_000_000):
        start = time.perf_counter()
        tokenizer.encode_batch([unit * size])
        tokenizer.encode(unit * size)
        spent.append(time.perf_counter() - start)
    assert spent[2] < 10 * 3 * spent[1] + 0.5


def test_long_texts_are_cut_without_a_trace(tokenizer, peers):
    words = "The quick brown fox, 12 ﬁne naïve ｆｏｘｅｓ\tand\n\n more. "
    text = words * 7_000
    assert len(text) > 1.5 * 200_000
    ids = tokenizer.encode_batch([text, "short"])
    assert ids[0] == peers[tokenizer.algorithm].encode(text)
    assert ids[1] == tokenizer.encode("short").ids
    assert tokenizer.decode(ids[0]) == normalised(tokenizer, text)
