"""Averages as published, stored tables, wins and ties."""

import pytest

from trivium.errors import SettingsError
from trivium.evaluation import (
    GROUPS,
    LABELLED,
    PUBLISHED,
    SUITES,
    Item,
    Result,
    Score,
    averages,
    best,
    duel,
    ranked,
)


def result(suite: str, value: float, model: str = "m", tokenizer: str = "t", name: str = "accuracy") -> Result:
    return Result(suite, model, {name: Score(value, value - 0.03, value + 0.04)}, (name,), 1, 1, {},
                  {"tokenizer": tokenizer})  # fmt: skip


def test_every_suite_of_a_group_is_in_the_table() -> None:
    assert set(GROUPS) == {"glue", "superglue", "t5", "gpt2-zero-shot"}
    for group in GROUPS.values():
        assert set(group.suites) <= set(SUITES)
        names = {column.name for column in group.columns} | set(group.averages) - {"average_without_wnli"}
        assert names == set(PUBLISHED[group.published].columns)
        table = PUBLISHED[group.published]
        assert all(len(row) == len(table.columns) for row in table.rows.values())


@pytest.mark.parametrize("name", ["glue", "superglue"])
def test_published_averages_follow_from_published_columns(name: str) -> None:
    group, table = GROUPS[name], PUBLISHED[GROUPS[name].published]
    for model in table.rows:
        if name == "glue" and model == "previous best":
            continue  # the best of each column, of several systems
        row = table.row(model)
        by_suite: dict[str, list[float]] = {}
        for column in group.columns:
            by_suite.setdefault(column.suite, []).append(row[column.name] or 0.0)
        results = [result(suite, sum(values) / len(values)) for suite, values in by_suite.items()]
        found, _ = averages(group, results)
        assert found["average"].value == pytest.approx(row["average"], abs=0.06), model


def test_an_average_needs_every_task_and_says_so() -> None:
    found, notes = averages(GROUPS["glue"], [result(name, 0.5) for name in GROUPS["glue"].suites if name != "wnli"])
    assert list(found) == ["average_without_wnli"] and notes == ("no average: it needs wnli too",)
    assert found["average_without_wnli"].value == 0.5
    assert found["average_without_wnli"].low == pytest.approx(0.5 - 0.03 * (7 + 0.5) ** 0.5 / 8)


def test_wins_are_counted_by_column_with_ties() -> None:
    table = PUBLISHED["t5-glue"]
    rows = {name: table.row(name) for name in table.rows}
    found = duel("T5-11B (v1)", "previous best", rows)
    assert found.ties == ("SST-2",)
    assert set(found.wins) == {"average", "CoLA", "MNLI-m", "MNLI-mm", "RTE", "WNLI"}
    assert len(found.wins) + len(found.ties) + len(found.losses) == 14
    zero = PUBLISHED["gpt2-zero-shot"]
    found = duel("GPT-2 1542M", "state of the art then", {name: zero.row(name) for name in zero.rows}, zero.lower)
    assert len(found.wins) == 9 and found.losses == ("1BW PPL",)
    assert "won" in found.sentence()


def test_t5s_whole_table_keeps_its_versions_apart() -> None:
    table = PUBLISHED["t5"]
    rows = {name: table.row(name) for name in table.rows}
    assert len(table.columns) == 14 + 12 + 2 + 6 and "T5-11B" not in rows
    found = duel("T5-11B (v1)", "previous best", rows)
    assert (len(found.wins), found.ties, len(found.losses)) == (23, ("GLUE SST-2",), 10)
    assert rows["T5-11B (v1)"]["SQuAD EM"] == 90.06 and rows["T5-11B (v3)"]["SQuAD EM"] is None
    assert rows["T5-11B (v3)"]["SuperGLUE average"] is None  # not stored; the other version's is not put in its place
    assert rows["T5-11B (v1)"]["CNN/DM ROUGE-L"] == rows["T5-11B (v3)"]["CNN/DM ROUGE-L"] == 40.69


def test_t5s_texts_are_scored_as_in_its_paper() -> None:
    items = [Item("x", {"source": "a"}, ["the cats sat on the mats"])] * 2
    said = ["the cat sat on the mat"] * 2
    stemmed, plain = (LABELLED[name].score(items, said).scores for name in ("summarisation", "cnn-dailymail"))
    assert stemmed["rouge1"].value == 1 and plain["rouge1"].value == pytest.approx(4 / 6)
    for name in ("wmt-ende", "wmt-enfr", "wmt-enro"):
        assert "tok:intl" in LABELLED[name].score(items, said).conventions["bleu"]


def test_perplexities_of_different_tokenizers_are_not_ranked() -> None:
    same = [result("text", 3.0, "a", name="perplexity"), result("text", 2.0, "b", name="perplexity")]
    assert [each.model for each in ranked(same, "perplexity")] == ["b", "a"]
    assert best(same) == {"perplexity": ("b",)}
    other = [same[0], result("text", 2.0, "b", "u", name="perplexity")]
    assert best(other) == {}
    with pytest.raises(SettingsError, match="cut text differently: rank them by word_perplexity"):
        ranked(other, "perplexity")
    assert best([result("sst2", 0.5, "a"), result("sst2", 0.5, "b")]) == {"accuracy": ("a", "b")}
