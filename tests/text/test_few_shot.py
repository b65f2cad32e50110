"""Layouts of few-shot prompts, written out letter by letter, and words for labels."""

import pytest

from trivium.errors import SettingsError
from trivium.text.examples import Choices, Labelled, Pair, Rewrite
from trivium.text.few_shot import Case, Layout, case_of, label_words, suggested, with_changes

WORDS = {"0": "negative", "1": "positive"}
GOOD = case_of("a:1", Labelled("Great.", "1"), WORDS)
BAD = case_of("a:2", Labelled(" Awful. ", "0"), WORDS)


def test_a_prompt_literally() -> None:
    layout = Layout("Say what it is.", "Review: {text}\nSentiment: {answer}", "\n\n")
    assert layout.prompt([BAD], GOOD.fields) == (
        "Say what it is.\n\nReview: Awful.\nSentiment: negative\n\nReview: Great.\nSentiment:"
    )
    assert layout.lead == " " and layout.answer_context == "Sentiment:" and GOOD.gold == 1
    slashes = Layout("", "{text} // {answer}", "\n")
    assert slashes.prompt([BAD], GOOD.fields) == "Awful. // negative\nGreat. //"
    assert slashes.answer_context == "//" and slashes.lead == " "
    quoted = Layout("", "{text}\n<{answer}>", "\n")
    assert quoted.prompt([BAD], GOOD.fields) == "Awful.\n<negative>\nGreat.\n<" and quoted.after == ">"


def test_lines_without_content_go_and_braces_of_users_stay() -> None:
    layout = suggested("choices")
    case = case_of("a:1", Choices("", "What is {text}?", ("a", "b"), 1), {})
    assert layout.prompt([], case.fields) == "Question: What is {text}?\nAnswer:"
    assert Layout("", "{text}\n{answer}").prompt([], {"text": ""}) == ""


@pytest.mark.parametrize(
    ("labels", "pair", "wanted"),
    [
        (("positive", "negative"), False, "Sentiment:"),
        (("World", "Sports", "Business", "Sci/Tech"), False, "Topic:"),
        (("entailment", "not_entailment"), True, "does it follow that"),
        (("ABBR", "HUM"), False, "Each text is answered with one of: ABBR or HUM."),
    ],
)
def test_layouts_are_suggested_by_labels(labels: tuple[str, ...], pair: bool, wanted: str) -> None:
    layout = suggested("sequence", labels, pair)
    assert wanted in f"{layout.description}\n{layout.example}"


def test_words_for_labels() -> None:
    assert label_words(("0", "1"), True, {}) == {"0": "False", "1": "True"}
    assert label_words(("entailment", "neutral", "contradiction"), True, {}) == {
        "entailment": "yes", "neutral": "maybe", "contradiction": "no"
    }  # fmt: skip
    assert label_words(("SciTech", "new_world"), False, {}) == {"SciTech": "Sci Tech", "new_world": "new world"}
    assert label_words(("0", "1"), False, {"0": "bad", "1": "good"}) == {"0": "bad", "1": "good"}
    with pytest.raises(SettingsError, match="stands for several labels"):
        label_words(("0", "1"), False, {"0": "yes", "1": "yes"})
    with pytest.raises(SettingsError, match="names the label 'x', and the labels are 0, 1"):
        label_words(("0", "1"), False, {"x": "yes"})


def test_what_is_wrong_with_a_layout_is_said() -> None:
    with pytest.raises(SettingsError, match=r"must hold \{answer\}, once"):
        Layout("", "{text}")
    with pytest.raises(SettingsError, match="the separator is empty"):
        Layout(separator="")
    with pytest.raises(SettingsError, match=r"names \{txt\}, and what there is to name is \{text\}, \{answer\}"):
        Layout("", "{txt} {answer}").check(("text",))
    assert with_changes(Layout(), "a\\nb", None, None).description == "a\nb"


def test_cases_of_each_kind() -> None:
    pair = case_of("a:1", Pair("one", "two", "1"), WORDS)
    assert pair.fields == {"text": "one", "text2": "two"} and pair.options == ("negative", "positive")
    assert case_of("a:1", Rewrite("x", "y", ("z",)), {}) == Case("a:1", {"source": "x"}, (), ("y", "z"))
