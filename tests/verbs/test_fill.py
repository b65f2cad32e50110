"""Filling blanks: against ``transformers``' masked language model, and spans against its encoder-decoder."""

from pathlib import Path

import pytest
import torch

from trivium.errors import SettingsError
from trivium.generation.blanks import split
from trivium.tokenizers import STYLES, Tokenizer, train_bpe
from trivium.verbs.fill import fill
from trivium.verbs.generate import generate
from trivium.verbs.load import load

transformers = pytest.importorskip("transformers")

TEXT = ["the cat sat on the mat and the dog sat on the log"] * 30


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT, 310)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=32, initializer_range=0.3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bert")
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.with_layout("classify").save(folder)
    return folder


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    torch.manual_seed(1)
    config = transformers.T5Config(
        vocab_size=tokenizer.vocab_size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, n_positions=64,
        pad_token_id=0, eos_token_id=tokenizer.end, decoder_start_token_id=0, initializer_factor=2.0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("t5")
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.mark.parametrize("blank", ["___", "<mask>", "[MASK]", "________"])
def test_probabilities_equal_the_reference(bert: Path, tokenizer: Tokenizer, blank: str) -> None:
    theirs = transformers.BertForMaskedLM.from_pretrained(bert).eval()
    opened = transformers.AutoTokenizer.from_pretrained(bert)
    row = opened("the cat <mask> on the mat and <mask> dog", return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**row).logits[0].softmax(-1)[row["input_ids"][0] == tokenizer.mask]  # (2, V)
    filling = fill(bert, f"the cat {blank} on the mat and {blank} dog", top=tokenizer.vocab_size)
    assert len(filling.blanks) == len(expected) == 2
    for blanked, row in zip(filling.blanks, expected, strict=True):
        assert len(blanked.candidates) == tokenizer.vocab_size
        found = {candidate.tokens[0]: candidate.probability for candidate in blanked.candidates}
        torch.testing.assert_close(torch.tensor([found[i] for i in range(len(row))]), row, atol=1e-6, rtol=1e-4)
        assert sum(found.values()) == pytest.approx(1, abs=1e-12)
        assert blanked.other == pytest.approx(0, abs=1e-12)


def test_candidates_fall_and_sum_to_one_with_all_others(bert: Path) -> None:
    for blank in fill(bert, "___ cat sat on ___ mat ___", top=4).blanks:
        chances = [candidate.probability for candidate in blank.candidates]
        assert chances == sorted(chances, reverse=True) and len(chances) == 4
        assert sum(chances) + blank.other == pytest.approx(1, abs=1e-12) and blank.other > 0


def test_the_filled_text_has_the_first_candidates(bert: Path) -> None:
    filling = fill(bert, "the cat ___ on the ___.", top=1)
    first, second = (blank.candidates[0].text for blank in filling.blanks)
    assert filling.text == f"the cat{first} on the{second}."


def test_blanks_side_by_side_and_inside_words(bert: Path) -> None:
    filling = fill(bert, "___ ___ s___t")
    assert len(filling.blanks) == 3


def test_special_strings_other_than_blanks_are_text(bert: Path, tokenizer: Tokenizer) -> None:
    assert fill(bert, "a </s> b ___", top=1).text.startswith("a </s> b")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a ___ b", ["a", " b"]),
        ("___", ["", ""]),
        ("x__init__ ___", ["x__init__", ""]),
        ("a  <mask>\n<extra_id_0>.", ["a ", "\n", "."]),
    ],
)
def test_splitting_literally(text: str, parts: list[str]) -> None:
    assert split(text) == parts


def test_a_text_without_a_blank_is_told_how_to_write_one(bert: Path, t5: Path) -> None:
    for folder in (bert, t5):
        with pytest.raises(SettingsError, match="no blank to fill: write ___ or <mask>"):
            fill(folder, "the cat sat")


def test_a_text_too_long_is_refused_with_the_numbers(bert: Path) -> None:
    with pytest.raises(SettingsError, match="context is 32: shorten it by"):
        fill(bert, " ".join(TEXT[:9]) + " ___")


def test_an_encoder_does_not_generate_and_suggests_fill(bert: Path) -> None:
    with pytest.raises(SettingsError, match="use fill"):
        generate(bert, "the cat")


def test_a_decoder_does_not_fill_and_suggests_generate(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = transformers.GPT2Config(vocab_size=tokenizer.vocab_size, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    with pytest.raises(SettingsError, match="use generate"):
        fill(tmp_path, "the ___ cat")


def test_a_tokenizer_without_a_mask_is_said(bert: Path, tmp_path: Path) -> None:
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    train_bpe(TEXT, 270, specials=STYLES["gpt2"]).save(tmp_path)
    with pytest.raises(SettingsError, match="no mask token"):
        fill(tmp_path, "the ___ cat")


def test_top_must_be_positive(bert: Path, t5: Path) -> None:
    for folder in (bert, t5):
        with pytest.raises(SettingsError, match="top is 0"):
            fill(folder, "the ___ cat", top=0)


def test_a_classifier_predicts_no_words(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    with pytest.raises(SettingsError, match="use predict"):
        fill(tmp_path, "the ___ cat")


def test_spans_are_what_the_reference_writes_after_each_sentinel(t5: Path, tokenizer: Tokenizer) -> None:
    """Candidates one by one: the reference's probability of the span and of a sentinel or end right after it."""
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(t5).eval()
    first, second = tokenizer.sentinels[:2]
    encode = tokenizer.encode
    source = [*encode("the cat").ids, first, *encode(" on the mat and").ids, second, *encode(" dog").ids, tokenizer.end]
    filling = load(t5).fill("the cat ___ on the mat and <mask> dog", top=6)
    assert len(filling.blanks) == 2
    ends = {tokenizer.end, *tokenizer.sentinels}
    written = [0]
    for sentinel, blank in zip((first, second), filling.blanks, strict=True):
        written.append(sentinel)
        assert len({candidate.tokens[0] for candidate in blank.candidates}) == 6
        for candidate in blank.candidates:
            row = [*written, *candidate.tokens]
            with torch.no_grad():
                logits = theirs(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([row])).logits[0]
            after = logits.log_softmax(-1)
            start = len(written) - 1
            chance = sum(float(after[start + i, token]) for i, token in enumerate(candidate.tokens))
            best = after[start + 1 :].argmax(-1).tolist()
            assert best[: len(candidate.tokens) - 1] == list(candidate.tokens[1:])  # greedy after the first token
            if len(candidate.tokens) < 21:
                assert best[-1] in ends
                chance += float(after[-1].max())
            assert candidate.probability == pytest.approx(float(torch.tensor(chance).exp()), rel=1e-3)
            assert not set(candidate.tokens) & ends
        chances = [candidate.probability for candidate in blank.candidates]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) + blank.other == pytest.approx(1, abs=1e-9)
        written += blank.candidates[0].tokens
    spans = [blank.candidates[0].text for blank in filling.blanks]
    assert filling.text == f"the cat{spans[0]} on the mat and{spans[1]} dog"


def test_more_blanks_than_sentinels_are_refused(t5: Path) -> None:
    with pytest.raises(SettingsError, match="33 blanks.*32 sentinels"):
        fill(t5, "___ " * 33)


def test_a_blank_of_a_chosen_size_is_what_the_reference_thinks_best_of_it(t5: Path, tokenizer: Tokenizer) -> None:
    """I love peanut ___ sandwiches: after each first token the most probable ones, sentinels and ends left out."""
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(t5).eval()
    first, ends = tokenizer.sentinels[0], [tokenizer.end, *tokenizer.sentinels]
    source = [*tokenizer.encode("the cat").ids, first, *tokenizer.encode(" log").ids, tokenizer.end]
    for size in (1, 2, 5, 9):
        (blank,) = load(t5).fill("the cat ___ log", top=4, size=size).blanks
        assert [len(candidate.tokens) for candidate in blank.candidates] == [size] * 4
        for candidate in blank.candidates:
            row, chance = [0, first], 0.0
            for place, token in enumerate(candidate.tokens):
                with torch.no_grad():
                    logits = theirs(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([row])).logits
                after = logits[0, -1].log_softmax(-1)
                chance += float(after[token])
                after[ends] = -torch.inf
                assert place == 0 or token == int(after.argmax())
                row.append(token)
            assert candidate.probability == pytest.approx(float(torch.tensor(chance).exp()), rel=1e-3)
    sizes = [len(blank.candidates[0].tokens) for blank in fill(t5, "the ___ sat ___ mat", size=[3, 1]).blanks]
    assert sizes == [3, 1]
    assert [len(blank.candidates[0].tokens) for blank in fill(t5, "a ___ b ___", size=2).blanks] == [2, 2]


def test_a_size_that_cannot_be_is_refused(bert: Path, t5: Path) -> None:
    with pytest.raises(SettingsError, match="size is 0: a blank has at least 1 token"):
        fill(t5, "the ___ cat", size=0)
    with pytest.raises(SettingsError, match="1 blanks and 2 sizes are given: give one, or one for each"):
        fill(t5, "the ___ cat", size=[1, 2])
    with pytest.raises(SettingsError, match="fills a blank with one token: write ___ ___ for two"):
        fill(bert, "the ___ cat", size=2)
