"""Averages as published, stored tables, wins and ties."""

import pytest

from trivium.errors import SettingsError
from trivium.evaluation import GROUPS, PUBLISHED, SUITES, Result, Score, averages, best, duel, ranked


def result(suite: str, value: float, model: str = "m", tokenizer: str = "t", name: str = "accuracy") -> Result:
    return Result(suite, model, {name: Score(value, value - 0.03, value + 0.04)}, (name,), 1, 1, {},
                  {"tokenizer": tokenizer})  # fmt: skip


def test_every_suite_of_a_group_is_in_the_table() -> None:
    assert set(GROUPS) == {"glue", "superglue", "gpt2-zero-shot"}
    for group in GROUPS.values():
        assert set(group.suites) <= set(SUITES)
        names = {column.name for column in group.columns} | set(group.averages) & {"average"}
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


def test_perplexities_of_different_tokenizers_are_not_ranked() -> None:
    same = [result("text", 3.0, "a", name="perplexity"), result("text", 2.0, "b", name="perplexity")]
    assert [each.model for each in ranked(same, "perplexity")] == ["b", "a"]
    assert best(same) == {"perplexity": ("b",)}
    other = [same[0], result("text", 2.0, "b", "u", name="perplexity")]
    assert best(other) == {}
    with pytest.raises(SettingsError, match="cut text differently: rank them by word_perplexity"):
        ranked(other, "perplexity")
    assert best([result("sst2", 0.5, "a"), result("sst2", 0.5, "b")]) == {"accuracy": ("a", "b")}
