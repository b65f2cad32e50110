"""The tokenizer type: control tokens, layouts, saving, and the same ids as ``transformers``."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from trivium.errors import DataError, SettingsError
from trivium.tokenizers import STYLES, SpecialTokens, Tokenizer, train_bpe

CORPUS = [
    "The cat sat on the mat, and unaffable dogs chased the cats' tails; hugs and bugs.",
    "Ein Text mit Grüßen.",
] * 8


def bert_like():
    rust = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    rust.normalizer = normalizers.BertNormalizer(lowercase=True)
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=specials, show_progress=False)
    rust.train_from_iterator([*CORPUS, "[ MASK ] [ SEP ]"], trainer)
    rust.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return rust


def gpt2_like():
    rust = tokenizers.Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    rust.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    rust.train_from_iterator(CORPUS, trainer)
    rust.add_special_tokens(["<|endoftext|>"])  # outside the model's own vocabulary, after it
    return rust


def t5_like():
    """A Unigram whose own vocabulary holds its control tokens, reachable by text that spells them."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = sorted(set("".join(CORPUS).replace(" ", "")) | set("<>/_\u2581"))
    pieces += [(letter, -5.0) for letter in letters] + [("▁the", -2.0), ("▁cat", -2.0), ("cat", -3.0)]
    rust = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=2))
    rust.pre_tokenizer = pre_tokenizers.Metaspace()
    rust.decoder = decoders.Metaspace()
    rust.add_special_tokens(["<pad>", "</s>", "<unk>", *(f"<extra_id_{n}>" for n in range(99, -1, -1))])
    rust.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    return rust


FOREIGN = {"bert": bert_like, "gpt2": gpt2_like, "t5": t5_like}


@pytest.fixture(params=FOREIGN)
def foreign(request, tmp_path):
    """(name, Tokenizer, the Rust object, folder) of a tokenizer as the family's published files have it."""
    rust = FOREIGN[request.param]()
    rust.save(str(tmp_path / "tokenizer.json"))
    return request.param, Tokenizer.load(tmp_path), rust, tmp_path


def test_published_families_are_opened_with_their_roles(foreign):
    name, tokenizer, rust, _ = foreign
    assert tokenizer.specials == STYLES[name]
    assert tokenizer.vocab_size == rust.get_vocab_size()
    assert tokenizer.algorithm == {"bert": "WordPiece", "gpt2": "BPE", "t5": "Unigram"}[name]
    expected = {"bert": ((2,), (3,), (3,)), "gpt2": ((), (), ()), "t5": ((), (1,), (1,))}[name]
    layout = tokenizer.layout(pair=True)
    assert (layout.before, layout.between, layout.after) == expected
    if name == "t5":
        assert tokenizer.piece(tokenizer.sentinels[0]) == "<extra_id_0>"
        assert tokenizer.sentinels[0] == tokenizer.vocab_size - 1 == max(tokenizer.sentinels)


def test_published_families_encode_as_the_library_does(foreign):
    _, tokenizer, rust, _ = foreign
    for text in [*CORPUS, "the cat  unknown 你好 zzz", ""]:
        assert tokenizer.encode(text, specials=True).ids == rust.encode(text).ids
        assert tokenizer.encode_batch([text]) == [rust.encode(text, add_special_tokens=False).ids]
        pair = rust.encode(text, "mat")
        ours = tokenizer.encode(text, "mat", specials=True)
        assert (ours.ids, ours.segments, ours.offsets) == (pair.ids, pair.type_ids, pair.offsets)
        assert tokenizer.decode(ours.ids) == rust.decode(pair.ids)


def test_published_families_give_no_control_ids_for_text(foreign):
    name, tokenizer, _, _ = foreign
    check_that_text_stays_text(tokenizer, exact=name == "gpt2")


def check_that_text_stays_text(tokenizer, exact):
    strings = tokenizer.specials.strings()
    allowed = {tokenizer.unknown}  # what a WordPiece or Unigram says of characters it has never seen
    texts = [*strings, *(f"a {s}" for s in strings), *(f"{s}b" for s in strings), *(f"x{s}{s} {s}y" for s in strings)]
    for text in texts:
        for ids in (tokenizer.encode(text).ids, *tokenizer.encode_batch([text])):
            assert ids and not set(ids) & (tokenizer.controls - allowed), text
            if exact:
                assert tokenizer.decode(ids) == text
        pair = tokenizer.encode("left", text, specials=True)
        inside = [i for i, of in zip(pair.ids, pair.text_of_token, strict=True) if of >= 0]
        assert not set(inside) & (tokenizer.controls - allowed), text
        around = tuple(i for i, of in zip(pair.ids, pair.text_of_token, strict=True) if of < 0)
        layout = tokenizer.layout(pair=True)
        assert around == layout.before + layout.between + layout.after


@pytest.mark.parametrize("layout", ["plain", "classify", "end"])
def test_special_strings_in_text_stay_text(trained, layout):
    check_that_text_stays_text(trained.with_layout(layout), exact=True)


@given(st.lists(st.sampled_from(["<mask>", "<s>", "</s>", "<extra_id_3>", " ", "a", "<", ">", "pad>"]), max_size=8))
def test_mixtures_of_special_strings_and_text_stay_text(trained, parts):
    text = "".join(parts)
    ids = trained.encode(text).ids
    assert trained.decode(ids) == text and not set(ids) & trained.controls


def test_a_corpus_full_of_special_strings_teaches_none_of_them():
    tokenizer = train_bpe(["<mask> <s> </s> <extra_id_0> mask s extra_id_0"] * 50, 300)
    check_that_text_stays_text(tokenizer, exact=True)


def test_the_caller_can_mean_special_strings(trained):
    ids = trained.encode_marked("The model <mask> the text.</s>")
    assert ids == [
        *trained.encode("The model").ids, trained.mask, *trained.encode(" the text.").ids, trained.end,
    ]  # fmt: skip


@pytest.mark.parametrize("family", [None, "bert", "gpt2", "t5"])
@pytest.mark.parametrize("layout", ["plain", "classify", "end"])
def test_transformers_opens_what_was_saved_with_the_same_ids(trained, tmp_path, layout, family):
    tokenizer = trained.with_layout(layout)
    tokenizer.save(tmp_path, context=128)
    if family:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*CORPUS, "", " a", "é🙂\n\n"]:
        assert theirs(text).input_ids == tokenizer.encode(text, specials=True).ids
        assert theirs(text, add_special_tokens=False).input_ids == tokenizer.encode_batch([text])[0]
        both, ours = theirs(text, "the mat"), tokenizer.encode(text, "the mat", specials=True)
        assert both.input_ids == ours.ids
        if "token_type_ids" in both:
            assert both.token_type_ids == ours.segments
        assert theirs.decode(ours.ids, skip_special_tokens=True) == tokenizer.decode(ours.ids)
        assert theirs.decode(ours.ids) == tokenizer.decode(ours.ids, skip_special=False)
    # Segments go to models that have them and to no others: a GPT-2 would take them for words.
    assert ("token_type_ids" in theirs("a")) == (layout == "classify")
    assert len(theirs) == tokenizer.vocab_size and theirs.model_max_length == 128
    roles = ["pad", "begin", "end", "unknown", "mask", "separator", "classify"]
    names = ["pad", "bos", "eos", "unk", "mask", "sep", "cls"]
    for role, name in zip(roles, names, strict=True):
        assert getattr(theirs, f"{name}_token_id") == getattr(tokenizer, role)
    assert theirs("x <extra_id_7>", add_special_tokens=False).input_ids[-1] == tokenizer.sentinels[7]
    assert theirs("The <mask>", add_special_tokens=False).input_ids == tokenizer.encode_marked("The <mask>")


def test_saving_and_loading_keeps_everything(trained, tmp_path):
    trained.save(tmp_path)
    for path in (tmp_path, str(tmp_path / "tokenizer.json")):
        loaded = Tokenizer.load(path)
        assert loaded.fingerprint == trained.fingerprint and loaded.specials == trained.specials
        assert loaded.layout(True) == trained.layout(True)
        assert loaded.encode(CORPUS[0], CORPUS[1], specials=True) == trained.encode(CORPUS[0], CORPUS[1], specials=True)
    loaded.save(tmp_path / "again")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_layout_is_not_in_the_fingerprint_and_the_merges_are(trained):
    assert trained.with_layout("end").fingerprint == trained.with_layout("plain").fingerprint == trained.fingerprint
    document = json.loads(trained.whole.to_str())
    document["model"]["merges"][0], document["model"]["merges"][1] = document["model"]["merges"][1::-1]
    assert Tokenizer(document, trained.specials).fingerprint != trained.fingerprint


def test_segments_words_and_offsets(trained):
    first, second = "The speaker's text", "reads it"
    encoding = trained.encode(first, second, specials=True)
    for name in ("segments", "offsets", "word_of_token", "text_of_token"):
        assert len(getattr(encoding, name)) == len(encoding.ids)
    for number, text in enumerate((first, second)):
        here = [place for place, of in enumerate(encoding.text_of_token) if of == number]
        assert "".join(text[slice(*encoding.offsets[place])] for place in here) == text
        assert {encoding.segments[place] for place in here} == {number}
        words = [encoding.word_of_token[place] for place in here]
        assert words == sorted(words) and words[0] == 0 and words[-1] == len(text.split()) - 1
    control = [place for place, of in enumerate(encoding.text_of_token) if of < 0]
    assert [encoding.ids[place] for place in control] == [trained.classify, trained.separator, trained.separator]
    assert all(encoding.offsets[place] == (0, 0) and encoding.word_of_token[place] == -1 for place in control)


def test_layouts_that_the_tokens_do_not_allow(trained):
    with pytest.raises(SettingsError, match="choose one of plain, classify, classify-last, end"):
        trained.with_layout("bert")
    gpt = train_bpe(CORPUS, 270, specials=STYLES["gpt2"])
    with pytest.raises(SettingsError, match="needs special tokens"):
        gpt.with_layout("classify")


def test_a_text_of_many_megabytes_is_encoded(trained):
    text = "the model reads the text " * 40_000
    [ids] = trained.encode_batch([text])
    first, later = trained.encode("the model reads the text").ids, trained.encode(" the model reads the text").ids
    assert ids == [*first, *later * 39_999, *trained.encode(" ").ids]


def test_half_a_surrogate_pair_is_an_error_of_the_data(trained):
    for encode in (trained.encode, lambda text: trained.encode_batch([text]), trained.encode_marked):
        with pytest.raises(DataError, match="cannot be encoded"):
            encode("a\ud800")


def test_ids_outside_the_vocabulary(trained):
    with pytest.raises(DataError, match="id 400 is not in the vocabulary of 400"):
        trained.piece(400)
    with pytest.raises(DataError, match="cannot be decoded"):
        trained.decode([-1])


def test_special_tokens_that_are_not_there():
    document = json.loads(gpt2_like().to_str())
    with pytest.raises(DataError, match="'<pad>' is not in the tokenizer's vocabulary"):
        Tokenizer(document, SpecialTokens())
