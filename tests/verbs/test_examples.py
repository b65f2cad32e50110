"""Reading a task's examples: a column that the file calls otherwise is named with the option that says so."""

from pathlib import Path

import pytest

from trivium.errors import DataError
from trivium.tasks import SequenceClassification
from trivium.verbs.examples import read_examples


@pytest.mark.parametrize(
    ("header", "columns", "told"),
    [
        ("review\tstars", {}, "no column 'text' among 'review', 'stars': name yours by --column text=..."),
        ("txt\tlabel", {}, "no column 'text' among 'txt', 'label'; did you mean 'txt'? (--column text=txt)"),
        ("body\tlabel", {"text": "review"}, "no column 'review' among 'body', 'label'"),
    ],
)
def test_a_missing_column_is_told_with_its_option(tmp_path: Path, header: str, columns: dict, told: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{header}\na walk\tgood\n")
    with pytest.raises(DataError) as caught:
        read_examples(SequenceClassification(), path, columns, "train")
    assert str(caught.value) == f"{path}:2: {told}"
