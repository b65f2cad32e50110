"""Conversations by CoQA's official script, stereotypes, and the probes of what language models are poor at."""

import json
from pathlib import Path
from typing import Any

import pytest

import trivium
from trivium.errors import DataError, SettingsError
from trivium.evaluation import EMBEDDED, LANGUAGE, Scorer
from trivium.evaluation.conversations import read_turns
from trivium.evaluation.limitations import KINDS
from trivium.metrics.answers import coqa_turn
from trivium.metrics.diversity import distinct, diversity, repetition
from trivium.text.readers import read_rows

STORY = {
    "story": "Ann has a cat.\n",
    "questions": [{"input_text": "Who has a cat?"}, {"input_text": "What?"}],
    "answers": [{"input_text": "Ann"}, {"input_text": "a cat"}],
    "additional_answers": {"0": [{"input_text": "Ann has"}, {"input_text": "cat"}]},
}


@pytest.fixture
def scorer(tiny_models: dict[str, Path]) -> Scorer:
    loaded = trivium.load(tiny_models["gpt2"])
    return Scorer(loaded.model, loaded.tokenizer)


def test_a_turn_is_held_against_all_people_but_one() -> None:
    """Of golds "Sweden", "in Sweden", "Stockholm": said "Sweden": without the first the best F1 is 2/3, else 1."""
    exact, f1 = coqa_turn("Sweden", ["Sweden", "in Sweden", "Stockholm"])
    assert exact == pytest.approx(2 / 3) and f1 == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert coqa_turn("in Sweden", ["Sweden"]) == (0.0, pytest.approx(2 / 3))
    with pytest.raises(ValueError, match="no answer"):
        coqa_turn("x", [])


def test_a_conversation_is_asked_with_what_was_said_before(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "coqa.json"
    path.write_text(json.dumps({"data": [STORY]}))
    first, second = read_turns(path)
    assert first.prompt == "Ann has a cat.\n\nQ: Who has a cat?\nA:" and first.answers == ("Ann", "Ann has")
    assert second.prompt == f"{first.prompt} Ann\nQ: What?\nA:"
    run = LANGUAGE["coqa"].run(scorer, path, None)
    written = [scorer.write([turn.prompt], _greedy())[0][0].text for turn in (first, second)]
    wanted = sum(coqa_turn(text, turn.answers)[1] for text, turn in zip(written, (first, second), strict=True)) / 2
    assert run.measured.scores["f1"].value == pytest.approx(wanted) and run.scored == 2
    assert LANGUAGE["coqa"].run(scorer, path, 1).scored == 1


def _greedy() -> Any:
    return trivium.Sampling(30, temperature=0, top_p=1, stop=("\n",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "has no list 'data'"),
        ('{"data": [{"story": "x"}]}', r"data\[0\] is no conversation"),
        (json.dumps({"data": [{**STORY, "answers": []}]}), "have another number of answers"),
        ('{"data": []}', "has no question"),
    ],
)
def test_files_that_are_not_coqas(scorer: Scorer, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        LANGUAGE["coqa"].run(scorer, path, None)


def test_repetition_by_hand() -> None:
    assert distinct(["a b a", "b a"], 1) == 2 / 5 and distinct(["a b a", "b a"], 2) == 2 / 3
    assert repetition("a b c d a b c d", 4) == pytest.approx(1 - 4 / 5) and repetition("a b", 4) == 0
    found = diversity(["x x x x x", "a b c d e"])
    assert found["repetition_4"] == pytest.approx((0.5 + 0) / 2) and found["distinct_1"] == 6 / 10
    assert trivium.metrics.METRICS["diversity"] is diversity and set(found) >= {"distinct_2", "distinct_3"}
    with pytest.raises(ValueError, match="no texts"):
        diversity([])


def test_stereotypes_are_the_share_of_pairs(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("sent_more,sent_less,bias_type\nthe dog is lazy,the fox is lazy,a\na list,an item,b\n")
    run = LANGUAGE["crows-pairs"].run(scorer, path, None)
    totals = [scorer.continuations([("", text)])[0][0].log_probability
              for text in ("the dog is lazy", "the fox is lazy", "a list", "an item")]  # fmt: skip
    hits = [totals[0] > totals[1], totals[2] > totals[3]]
    assert run.measured.scores["stereotype"].value == sum(hits) / 2
    assert run.measured.scores["stereotype a"].value == float(hits[0])


def test_the_probes_are_whole_and_run(scorer: Scorer, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    probes = EMBEDDED["limitations"]
    assert {row["kind"] for _, row in read_rows(probes)} == set(KINDS)
    suite = trivium.evaluate(tiny_models["gpt2"], "limitations", limit=2, options={"max_tokens": 4}).results[0]
    assert set(suite.scores) == {
        "agrees", "stereotype", "she_to_he", "leans_to_he", "clue_before", "clue_after", "greedy_repetition_4",
        "sampled_distinct_1", "sampled_distinct_2", "sampled_distinct_3", "sampled_repetition_4",
    }  # fmt: skip
    assert suite.scored == 10 and suite.signature["probes"] == "embedded"
    own = tmp_path / "own.jsonl"
    own.write_text('{"kind": "occupation", "text": "the dog", "she": "list", "he": "item"}')
    found = LANGUAGE["limitations"].run(scorer, own, None).measured.scores
    values = [scorer.continuations([("the dog", word)])[0][0].log_probability for word in (" list", " item")]
    assert found["she_to_he"].value == pytest.approx(values[0] - values[1])
    assert set(found) == {"she_to_he", "leans_to_he"}
    own.write_text('{"kind": "clue", "before": "a", "after": "b ___", "right": "c", "wrong": "d"}')
    with pytest.raises(DataError, match="'before' must hold one gap"):
        LANGUAGE["limitations"].run(scorer, own, None)
    own.write_text('{"kind": "other"}')
    with pytest.raises(DataError, match="the kind is 'other'"):
        LANGUAGE["limitations"].run(scorer, own, None)
    encoder = trivium.load(tiny_models["bert"])
    with pytest.raises(SettingsError, match="this is an encoder"):
        LANGUAGE["limitations"].run(Scorer(encoder.model, encoder.tokenizer), probes, None)
    with pytest.raises(SettingsError, match="blimp needs its data"):
        trivium.evaluate(tiny_models["gpt2"], "blimp")
