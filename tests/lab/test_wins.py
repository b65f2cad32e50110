import pytest

from trivium.errors import DataError
from trivium.lab.wins import read_table, wins


def test_seventeen_of_24_with_ties_said():
    ours = {f"task{n}": [90.0 if n < 15 else 80.0] for n in range(24)}
    theirs = {f"task{n}": [85.0 if n != 20 else 80.0] for n in range(24)}
    other = {f"task{n}": [85.0] if n in (16, 17) else [10.0] for n in range(23)}
    ours["task15"] = [85.0]
    made = {each.system: each for each in wins({"ours": ours, "theirs": theirs, "other": other})}
    assert len(made["ours"].alone) == 15 and made["ours"].shared == ("task15", "task20")
    assert made["ours"].sentence == "ours: best in 17 of 24 columns, 2 of them shared"
    assert made["theirs"].sentence == "theirs: best in 9 of 24 columns, 4 of them shared"
    assert made["other"].shared == ("task16", "task17") and made["other"].sure is None
    assert [each.system for each in wins({"theirs": theirs, "ours": ours})] == ["ours", "theirs"]


def test_ties_are_those_of_what_is_printed_and_lower_is_better_where_it_is():
    table = {"a": {"acc": [90.04], "perplexity": [10.0]}, "b": {"acc": [90.01], "perplexity": [12.0]}}
    a, b = wins(table)
    assert (a.alone, b.alone) == (("acc", "perplexity"), ())
    a, b = wins(table, digits=1)
    assert (a.alone, a.shared, b.shared) == (("perplexity",), ("acc",), ("acc",))


def test_more_than_chance_takes_runs_and_a_clear_lead_over_every_other():
    table = {
        "a": {"clear": [90, 91, 92, 90.5], "close": [90, 91, 92, 90.5], "one": [5]},
        "b": {"clear": [80, 81.5, 82, 80], "close": [90, 90.8, 92.5, 90], "one": [4]},
        "c": {"clear": [70, 71, 72, 70], "close": [70, 71.5, 72, 70], "one": [3]},
    }
    a, b, _ = wins(table)
    assert a.alone == ("clear", "close", "one") and a.sure == ("clear",)
    assert a.sentence == "a: best in 3 of 3 columns; by more than chance in 1"
    assert b.sure == ()


def test_columns_of_one_system_do_not_count():
    a, b = wins({"a": {"x": [1], "only": [1]}, "b": {"x": [2], "only": []}})
    assert (a.system, a.columns, a.alone, b.alone) == ("b", 1, ("x",), ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no table of systems"),
        ("system,x\na,1\n", "one system"),
        ("system,x\na,1\nb,much\n", "row 3, column 'x': 'much' is not a number"),
        ("system,x\na,1\nb,nan\n", "'nan' is not a number"),
        ("system,x\na,1\nb,1,2\n", "row 3 has 3 cells, and the header 2"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        read_table(path)
    with pytest.raises(DataError, match="not a file"):
        read_table(tmp_path / "none.csv")
