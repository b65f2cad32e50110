"""``/runs`` over a socket: what is listed, lines as they grow, nothing outside the folder, the CLI's comparison."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving.folder_of_runs import add_lines, ask, course, serving, write_run

from trivium.cli.output import plain
from trivium.errors import SettingsError
from trivium.serving.house import House
from trivium.serving.runs import Comparisons, routes
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings
from trivium.verbs.compare_runs import compare_runs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Served all the while; a test adds its own folder."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with serving(ServeSettings(runs=str(root))) as address:
        yield address


def row(url: str, name: str) -> dict:
    status, found = ask(f"{url}/runs")
    assert status == 200
    return next(each for each in found["runs"] if each["name"] == name)


def test_a_run_is_listed_and_told_line_by_line(root: Path, url: str) -> None:
    lines = course(100)
    run = write_run(root / "novels" / "first", lines[:4])
    listed = row(url, "novels/first")
    assert (listed["model"], listed["objective"], listed["state"]) == ("gpt2 mini", "causal", "stopped")
    assert (listed["step"], listed["steps"], listed["tokens_per_second"]) == (40, 100, 5040.0)
    status, told = ask(f"{url}/runs/{listed['id']}")
    assert status == 200 and told["lines"] == lines[:4] and told["samples"] == []
    assert told["recipe"]["training"] == {"steps": 100}
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # half a line is not told yet
    assert ask(f"{url}/runs/{listed['id']}?after={told['next']}")[1]["lines"] == []
    os.truncate(run / "metrics.jsonl", told["next"])
    add_lines(run, lines[4:])
    _, more = ask(f"{url}/runs/{listed['id']}?after={told['next']}")
    assert more["lines"] == lines[4:-1] and not more["restarted"]
    assert more["samples"] == [{"step": 100, "text": "Every model reads tokens."}]
    after = row(url, "novels/first")
    assert (after["state"], after["loss"], after["id"]) == ("done", 3.1, listed["id"])


def test_a_run_that_was_cut_back_is_told_again(root: Path, url: str) -> None:
    run = write_run(root / "resumed", course(100))
    name = row(url, "resumed")["id"]
    end = ask(f"{url}/runs/{name}")[1]["next"]
    (run / "metrics.jsonl").write_text("")
    add_lines(run, course(100)[:3])
    _, told = ask(f"{url}/runs/{name}?after={end}")
    assert told["restarted"] and [line["step"] for line in told["lines"]] == [10, 20, 30]


def test_a_long_course_comes_in_parts_without_a_gap(root: Path, url: str) -> None:
    write_run(root / "long", [{"kind": "train", "step": step, "loss": 1.0, "pad": "x" * 200} for step in range(9000)])
    name = row(url, "long")["id"]
    steps, after, answers = [], 0, 0
    while True:
        _, told = ask(f"{url}/runs/{name}?after={after}")
        steps += [line["step"] for line in told["lines"]]
        after, answers = told["next"], answers + 1
        if not told["more"]:
            break
    assert steps == list(range(9000)) and answers > 1
    assert row(url, "long")["step"] == 8999


def test_what_json_has_not_does_not_break_the_answer(root: Path, url: str) -> None:
    run = write_run(root / "odd", [{"kind": "train", "step": 1, "loss": math.nan}])
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "train", "step": 2, "loss": 1e999}\n[1]\n\xff\xfe\n' + b"[" * 100_000 + b"\n")
        file.write(b'{"kind": "sample", "step": 2, "text": "\\ud800 <script>"}\n')
        file.write(b'{"kind": "train", "step": 3, "loss": 1' + b"0" * 400 + b"}\n")
        file.write(b'{"kind": "train", "step": 4, "loss": 1' + b"0" * 5000 + b"}\n")
    with (run / "trivium.toml").open("a") as file:
        file.write("begun = 2026-01-01\nfloor = nan\n")
    listed = row(url, "odd")
    assert listed["loss"] is None and listed["step"] == 3
    status, told = ask(f"{url}/runs/{listed['id']}")
    assert status == 200 and [line["loss"] for line in told["lines"][:2]] == [None, None]
    assert told["samples"] == [{"step": 2, "text": "? <script>"}]
    assert told["recipe"]["training"] == {"steps": 100, "begun": "2026-01-01", "floor": None}
    odd = write_run(root / "caf\udce9", [])  # a name that is no UTF-8
    assert row(url, "caf?")["step"] == 0 and odd.is_dir()


def test_nothing_outside_the_folder_is_told(root: Path, url: str, tmp_path: Path) -> None:
    secret = write_run(tmp_path / "secret", [{"kind": "train", "step": 77, "loss": 0.5}])
    (root / "out").symlink_to(secret)
    (root / "deep").mkdir()
    (root / "deep" / "out").symlink_to(tmp_path)
    linked = write_run(root / "linked", [])
    (linked / "metrics.jsonl").unlink()
    (linked / "metrics.jsonl").symlink_to(secret / "metrics.jsonl")
    half = root / "half"
    half.mkdir()
    (half / "trivium.toml").symlink_to(secret / "trivium.toml")
    piped = write_run(root / "piped", [])
    (piped / "metrics.jsonl").unlink()
    os.mkfifo(piped / "metrics.jsonl")  # would wait for ever for a writer
    os.mkfifo(piped / ".lock")
    names = {each["name"] for each in ask(f"{url}/runs")[1]["runs"]}
    assert {"linked", "piped"} <= names and not {"out", "deep/out", "deep/out/secret", "half"} & names
    for name in ("linked", "piped"):
        assert ask(f"{url}/runs/{row(url, name)['id']}")[1]["lines"] == []
    forms = ["..", "%2e%2e", "..%2f..%2fsecret", "%2e%2e%2fsecret", "linked", "%00", "a%00b", "C:%5Cruns",
             "%5C%5Chost%5Cshare", "~", "%c0%ae%c0%ae", str(secret).replace("/", "%2f")]  # fmt: skip
    for form in forms:
        status, said = ask(f"{url}/runs/{form}")
        assert status == 404 and "77" not in json.dumps(said), form
        status, said = ask(f"{url}/runs/compare", {"ids": [form[:64], "x"]})
        assert status == 404 and said["error"]["code"] == "run_not_found", form


def test_without_a_folder_there_are_no_runs() -> None:
    with serving(ServeSettings()) as address:
        assert ask(f"{address}/runs") == (200, {"folder": None, "runs": []})
        status, said = ask(f"{address}/runs/0123456789abcdef")
        assert status == 404 and "--runs DIR" in said["error"]["message"]


def test_a_folder_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--runs .*nowhere is not a folder"):
        routes(House({}, Scheduler(), ServeSettings(runs=str(tmp_path / "nowhere"))))


def test_bad_requests_are_named(url: str) -> None:
    assert ask(f"{url}/runs/0123456789abcdef?after=-1")[0] == 400
    for body in ({"ids": ["a"]}, {"ids": ["a", "a"]}, {"ids": "ab"}, {"ids": ["a", "b"], "data": "x"},
                 {"ids": [str(i) for i in range(9)]}, {"ids": ["a", "b" * 65]}):  # fmt: skip
        status, said = ask(f"{url}/runs/compare", body)
        assert status == 400 and ("ids" in said["error"]["param"] or said["error"]["param"] == "data"), body


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from trivium.verbs.pretrain import pretrain
    from trivium.verbs.recipe import load_recipe

    text, made = tmp_path_factory.mktemp("text") / "notes.jsonl", []
    things = "a list of names", "the old mill", "every open window", "no door at all"
    notes = [f"Note {i} is about {things[i % 4]}, and {things[i * 3 % 4]} beside it." for i in range(100)]
    text.write_text("".join(json.dumps({"text": note}) + "\n" for note in notes))
    for name, steps in (("short", 2), ("longer", 30)):
        recipe = load_recipe("gpt2-mini", data=[text], sets=[
            "model.size=tiny", "model.context=32", "training.batch_tokens=256", "tokenizer.vocab_size=300",
            f"training.steps={steps}", "training.precision=float32", "data.heldout=0.2",
        ])  # fmt: skip
        pretrain(recipe.recipe, root / "trained" / name)
        made.append(root / "trained" / name)
    return made


def test_a_comparison_is_the_one_of_the_command(
    url: str, trained: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [row(url, f"trained/{path.name}")["id"] for path in trained]
    other = row(url, "resumed")["id"]  # has no weights
    status, told = ask(f"{url}/runs/compare", {"ids": [*ids, other]})
    assert status == 200
    pair, broken = told["pairs"]
    said = plain(compare_runs(*trained))
    for name in ("measure", "items", "values", "difference", "p"):
        assert pair[name] == said[name], name
    assert pair["better"] == "longer" and pair["p_holm"] == pair["p"]
    assert (pair["first_id"], pair["second_id"]) == tuple(ids)
    assert "resumed" in broken["error"] and str(trained[0].parent.parent) not in broken["error"]
    monkeypatch.setattr(Comparisons, "_ask", lambda *_: 1 / 0)
    assert ask(f"{url}/runs/compare", {"ids": ids})[1]["pairs"][0] == pair
