import json

import pytest

from trivium.errors import DataError
from trivium.text.examples import Answer, Question
from trivium.text.question_fields import check_answers, question_of

ROW = {"id": "q7", "question": "Who sat?", "context": "The cat sat; the cat slept."}
CAT = {"text": "cat", "answer_start": 4}


@pytest.mark.parametrize("answers", [
    [CAT], CAT, {"text": ["cat"], "answer_start": [4]}, [{**CAT, "answer_id": 3}],
])  # fmt: skip
def test_answers_in_every_layout(answers):
    expected = Question("Who sat?", "The cat sat; the cat slept.", (Answer("cat", 4),), "q7")
    assert question_of("f:1", {**ROW, "answers": answers}, {}, gold=True) == expected


@pytest.mark.parametrize("row", [
    {"answers": []}, {"answers": None}, {"answers": {"text": [], "answer_start": []}},
    {"answers": [], "is_impossible": True}, {"is_impossible": True, "plausible_answers": [CAT]},
    {"is_impossible": True, "answers": [CAT]},
])  # fmt: skip
def test_a_question_without_an_answer(row):
    assert question_of("f:1", {**ROW, **row}, {}, gold=True).answers == ()


def test_columns_of_the_users_own_and_rows_to_predict_for():
    row = {"q": "Who?", "text": "She.", "a": [{"text": "She", "answer_start": 0}], "key": 3}
    columns = {"question": "q", "context": "text", "answers": "a", "id": "key"}
    assert question_of("f:1", row, columns, gold=True) == Question("Who?", "She.", (Answer("She", 0),), "3")
    assert question_of("f:1", {**ROW, "answers": "unread"}, {}, gold=False).answers == ()


@pytest.mark.parametrize(("change", "message"), [
    ({"answers": [{"text": "dog", "answer_start": 4}]},
     "f:1: question 'q7': the answer 'dog' in 'answers' is not in its passage: give it word for word"),
    ({"answers": [{"text": "cat", "answer_start": 12}]},
     "does not begin at character 12 of its passage, but nearest to that at 17: correct 'answer_start'"),
    ({"answers": [{"text": "cat", "answer_start": -1}]}, "nearest to that at 4"),
    ({"answers": [{"text": "cat", "answer_start": 10**9}]}, "nearest to that at 17"),
    ({"answers": [{"text": " ", "answer_start": 3}]}, "an answer in 'answers' is empty: where there is none, leave"),
    ({"answers": "cat"}, r"'answers' is str, not a list such as \[\{\"text\": ..., \"answer_start\": 17\}\]"),
    ({"answers": ["cat"]}, "'answers' holds 'cat', not an object"),
    ({"answers": [{"text": "cat"}]}, "not an object"),
    ({"answers": [{"text": "cat", "answer_start": "4"}]}, "is '4', not a whole number"),
    ({"answers": [{"text": "cat", "answer_start": True}]}, "is True, not a whole number"),
    ({"answers": [{"text": None, "answer_start": 4}]}, "is None, not a string"),
    ({"answers": {"text": ["cat", "cat"], "answer_start": [4]}}, "2 texts but 1 of 'answer_start'"),
    ({"answers": [], "is_impossible": False}, "there is nothing in 'answers', but 'is_impossible' is false"),
    ({"answers": [], "is_impossible": "no"}, "'is_impossible' is 'no': it must be true or false"),
    ({"anwsers": [CAT]}, "no column 'answers' among .*; did you mean 'anwsers'?"),
    ({"answers": [CAT], "context": ""}, "question 'q7': the text in 'context' is empty"),
    ({"answers": [CAT], "question": None}, "question 'q7': the text in 'question' is null, not a string"),
])  # fmt: skip
def test_what_cannot_be_learnt_from_is_refused(change, message):
    with pytest.raises(DataError, match=message) as caught:
        question_of("f:1", {**ROW, **change}, {}, gold=True)
    assert str(caught.value).startswith("f:1: question 'q7': ") and "\n" not in str(caught.value)


def test_an_answer_that_overlaps_itself_is_found_where_it_is():
    check_answers("f:1", Question("?", "aaaa", (Answer("aa", 1),)))
    with pytest.raises(DataError, match="nearest to that at 2"):
        check_answers("f:1", Question("?", "aaaa", (Answer("aa", 3),)))


def test_rows_are_lines_of_json():
    row = json.loads(json.dumps({**ROW, "answers": [CAT]}))
    assert question_of("f:1", row, {}, gold=True).answers[0].end == 7
