"""Reading a task's examples: a column that the file calls otherwise is named with the option that says so."""

from pathlib import Path

import pytest

from trivium.errors import DataError
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled
from trivium.verbs.examples import read_examples


@pytest.mark.parametrize(
    ("header", "columns", "told"),
    [
        ("review\tstars", {}, "no column 'text' among 'review', 'stars': name yours by --column text=..."),
        ("txt\tlabel", {}, "no column 'text' among 'txt', 'label'; did you mean 'txt'? (--column text=txt)"),
        (
            "body\tlabel", {"text": "review"},
            "no column 'review' among 'body', 'label': correct --column text=review",
        ),
        (
            "text\tlabel", {"text": "review"},
            "no column 'review' among 'text', 'label': correct --column text=review, or leave it out",
        ),
        (
            "text\tlabel", {"text": "txt"},
            "no column 'txt' among 'text', 'label'; did you mean 'text'? (leave out --column text=txt)",
        ),
        (
            "review\tlabel", {"text": "reviw"},
            "no column 'reviw' among 'review', 'label'; did you mean 'review'? (--column text=review)",
        ),
    ],
)
def test_a_missing_column_is_told_with_its_option(tmp_path: Path, header: str, columns: dict, told: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{header}\na walk\tgood\n")
    with pytest.raises(DataError) as caught:
        read_examples(SequenceClassification(), path, columns, "train")
    assert str(caught.value) == f"{path}:2: {told}"


def test_a_column_text_that_another_takes_the_place_of_is_no_second_text_nearly_spelt(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\treview\tlabel\nold\tnew\tgood\n")
    (found,) = read_examples(SequenceClassification(), path, {"text": "review"}, "train")
    assert found.example == Labelled("new", "good")
