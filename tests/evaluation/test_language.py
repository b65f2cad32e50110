"""Suites for language models: perplexity against transformers' sliding window, pairs and cloze against brute force."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.evaluation import LANGUAGE, Scorer
from trivium.evaluation.cloze import questions, written
from trivium.evaluation.detokenising import INNER, Detokeniser
from trivium.evaluation.language_modelling import LanguageModelling, MaskedModelling, figures
from trivium.generation.score import Score
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.transformer import Inputs, Learned, Model, Tokens, TransformerConfig, initialise

TEXT = "Every model reads tokens and writes tokens.\nRaise an error when the file is missing.\n"


def build(encoder: int = 0, decoder: int = 0, vocab: int = 64) -> Model:
    config = TransformerConfig(
        vocab_size=vocab, width=16, heads=4, ffn_width=32, encoder_layers=encoder, decoder_layers=decoder, context=64,
        position=Learned(), init_std=0.3, start_token=0, kv_heads=2,
    )  # fmt: skip
    model = Model(config)
    initialise(model, 1)
    return model.eval()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe([TEXT, "A list is a sequence of items. the dog fox"] * 10, 330)


@pytest.fixture(scope="module")
def scorer(tokenizer: Tokenizer) -> Scorer:
    return Scorer(build(decoder=2, vocab=tokenizer.vocab_size), tokenizer)


def test_worked_figures() -> None:
    found = figures([Score((-2.0, -1.0, -0.5), False), Score((-1.5, -3.0), False)],
                    {"words": 3, "characters": 14, "bytes": 15})  # fmt: skip
    wanted = {"perplexity": 4.953032, "word_perplexity": 14.391916, "bits_per_character": 0.824397,
              "bits_per_byte": 0.769437}  # fmt: skip
    assert {name: found[name].value for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert all(score.low <= score.value <= score.high for score in found.values())  # type: ignore[operator]


@pytest.mark.parametrize("stride", [1, 3, 8])
def test_sliding_windows_are_those_of_transformers_documentation(
    scorer: Scorer, tokenizer: Tokenizer, stride: int, tmp_path: Path
) -> None:
    """Its loop: windows of 8, targets before the new ones masked; here by the model's own logits."""
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    ids = [tokenizer.end, *tokenizer.encode(TEXT).ids]
    nll, seen = 0.0, 0
    count = len(ids) - 1
    for begin in range(0, count, stride):
        end = min(begin + 8, count)
        with torch.no_grad():
            logits = scorer.model(Inputs(target=Tokens(torch.tensor([ids[begin:end]]))), at="all").logits
        logp = logits.float().log_softmax(-1).reshape(end - begin, -1)
        for place in range(seen, end):
            nll -= float(logp[place - begin, ids[place + 1]])
        seen = end
        if end == count:
            break
    run = LanguageModelling(context=8, stride=stride).run(scorer, path, None)
    assert run.measured.scores["loss"].value == pytest.approx(nll / count, abs=1e-5)
    assert run.measured.conventions["tokens"] == str(count) and run.read == run.scored == 2
    small = LanguageModelling(context=8, stride=stride).run(Scorer(scorer.model, tokenizer, 1), path, None)
    assert small.measured.scores["loss"].value == pytest.approx(nll / count, abs=1e-6)


def test_settings_of_windows(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    with pytest.raises(SettingsError, match="context is 99: it must be between 1 and what this model reads, 64"):
        LanguageModelling(context=99).run(scorer, path, None)
    with pytest.raises(SettingsError, match="stride is 9"):
        LanguageModelling(context=8, stride=9).run(scorer, path, None)
    path.write_text("\n\n")
    with pytest.raises(DataError, match="has no text"):
        LANGUAGE["text"].run(scorer, path, None)


def test_an_encoder_has_a_pseudo_perplexity_and_masked_ones_by_rate(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    encoder = Scorer(build(encoder=2, vocab=tokenizer.vocab_size), tokenizer)
    run = LANGUAGE["text"].run(encoder, path, None)
    assert run.measured.conventions["score"] == "pseudo-log-likelihood"
    masked = MaskedModelling(rate=0.4).run(encoder, path, None)
    score = masked.measured.scores["masked_perplexity_at_40"]
    assert score.value == pytest.approx(math.exp(masked.measured.scores["loss"].value))
    share = int(masked.measured.conventions["tokens"]) / len(tokenizer.encode(TEXT).ids)
    assert 0.1 < share < 0.7
    with pytest.raises(SettingsError, match="rate = 2"):
        MaskedModelling(rate=2)
    decoder = Scorer(build(decoder=1, vocab=tokenizer.vocab_size), tokenizer)
    with pytest.raises(SettingsError, match="are for encoders"):
        LANGUAGE["masked"].run(decoder, path, None)
    both = Scorer(build(1, 1, vocab=tokenizer.vocab_size), tokenizer)
    with pytest.raises(SettingsError, match="no probability to a text alone"):
        LANGUAGE["text"].run(both, path, None)


def test_detokenising_literally() -> None:
    joined = Detokeniser(INNER).text(' the blue @-@ green " cat " ( 1 @,@ 000 ) did n\'t , Mr. X . \n')
    assert joined == 'the blue-green "cat" (1,000) didn\'t, Mr. X.\n'
    assert Detokeniser({}).text(" it 's N % of $ N <unk> \n") == "it's N% of $N <unk>\n"


CORPUS = st.lists(
    st.lists(st.sampled_from(["a", "Mr.", ".", ",", "@-@", "@,@", "a-b", "it's", "'s", '"', "(", ")", "$", "1", "''"])),
    max_size=5,
)


@given(CORPUS, st.sampled_from([INNER, {}]))
def test_detokenising_can_be_undone(corpus: list[list[str]], inner: dict[str, str]) -> None:
    detokeniser = Detokeniser(inner)
    vocabulary = {word for line in corpus for word in line}
    text = detokeniser.text("\n".join(" ".join(line) for line in corpus))
    assert detokeniser.words(text, vocabulary) == (corpus or [[]])


@pytest.mark.parametrize("name", ["wikitext2", "wikitext103", "ptb", "1bw", "enwik8", "text8"])
def test_corpora_have_their_published_figure(name: str, scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(" the file is missing , an error . \n every model reads \n")
    suite = LANGUAGE[name]
    run = suite.run(scorer, path, None)
    assert suite.main[0] in run.measured.scores
    if suite.main == ("word_perplexity",):
        scores = run.measured.scores
        nats = scores["loss"].value * int(run.measured.conventions["tokens"])
        assert scores["word_perplexity"].value == pytest.approx(math.exp(nats / 13))  # 11 words and two line ends


def test_minimal_pairs_by_brute_force(scorer: Scorer, tmp_path: Path) -> None:
    pairs = [("A list is a sequence.", "A list are a sequence."), ("The dog.", "Dog the."), ("same", "same")]
    rows = [{"sentence_good": g, "sentence_bad": b, "UID": f"p{i % 2}"} for i, (g, b) in enumerate(pairs)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = LANGUAGE["blimp"].run(scorer, tmp_path, None)
    sums = [[scorer.continuations([("", each)])[0][0].log_probability for each in pair] for pair in pairs]
    hits = [good > bad for good, bad in sums]
    assert hits[2] is False  # equal ones are wrong
    scores = run.measured.scores
    assert scores["accuracy"].value == pytest.approx(sum(hits) / 3) and scores["accuracy"].method == "wilson"
    assert scores["accuracy p1"].value == float(hits[1])
    assert LANGUAGE["blimp"].run(scorer, tmp_path / "p.jsonl", 1).read == 1


def test_the_last_word(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text("the file is missing\nalone\nread the tokens\n")
    run = LANGUAGE["lambada"].run(scorer, path, None)
    assert (run.read, run.scored, run.skipped) == (3, 2, {"one word": 1})
    found, _ = scorer.continuations([("the file is", " missing"), ("read the", " tokens")])
    cost = -sum(each.log_probability for each in found) / 2
    assert run.measured.scores["word_perplexity"].value == pytest.approx(math.exp(cost))
    assert run.measured.scores["accuracy"].value == sum(each.greedy for each in found) / 2


def story(answer: str = "dog") -> str:
    context = [f"{i} The model reads the file ." for i in range(1, 21)]
    names = ["dog", "fox", "item", "list", "file", "error", "model", "number", "token", "container"]
    return "\n".join([*context, f"21 The XXXXX is missing .\t{answer}\t\t{'|'.join(names)}", "", ""])


@pytest.mark.parametrize("name", ["cbt-cn", "cbt-ne"])
def test_blanks_are_filled_by_the_most_probable_sentence(name: str, scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text(story() + story("list"))
    held = list(questions(path))
    assert [each.answer for each in held] == ["dog", "list"] and len(held[0].candidates) == 10
    run = LANGUAGE[name].run(scorer, path, None)
    before = written(held[0].before)
    values = [scorer.continuations([(before, f" {each} is missing.")])[0][0].log_probability
              for each in held[0].candidates]  # fmt: skip
    best = held[0].candidates[values.index(max(values))]
    assert run.measured.scores["accuracy"].value == ((best == "dog") + (best == "list")) / 2
    path.write_text(story(best))
    assert LANGUAGE[name].run(scorer, path, None).measured.scores["accuracy"].value == 1
    assert run.measured.conventions["cut"] == "20"  # a context of 64 tokens holds no story
    path.write_text(story("cat"))
    with pytest.raises(DataError, match=":21: the answer 'cat' is none of the candidates"):
        LANGUAGE[name].run(scorer, path, None)
    path.write_text("1 a\n2 b\n")
    with pytest.raises(DataError, match="has 2 of 21 lines"):
        LANGUAGE[name].run(scorer, path, None)


def test_what_is_asked_twice_is_computed_once(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    from trivium.evaluation import scorer as module

    asked: list[int] = []
    real = module.answers
    monkeypatch.setattr(module, "answers", lambda model, qs, tokens: asked.append(len(qs)) or real(model, qs, tokens))
    found, _ = scorer.continuations([("", "the dog"), ("", "a fox"), ("", "the dog")])
    assert asked == [2] and found[0] == found[2]
