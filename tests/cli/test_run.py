"""Exit codes and messages of the command line, in processes as a shell starts them."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trivium.cli.output import plain, table
from trivium.cli.run import _spread
from trivium.errors import DataError, RefusedError, SettingsError, StoppedError, TriviumError


def test_version_and_help(trivium_command) -> None:
    import trivium

    assert trivium_command("--version").out == f"trivium {trivium.__version__}\n"
    shown = trivium_command("--help")
    assert shown.code == 0 and "doctor" in shown.out and not shown.err
    assert "  FILES <path>  " in trivium_command("clean", "--help").out
    assert "  WORD <str>   " in trivium_command("vectors", "similar", "--help").out


@pytest.mark.parametrize("group", [[], ["tokenizer"], ["vectors"], ["inspect"], ["config"]], ids=" ".join)
def test_a_group_alone_shows_its_help_and_no_command_is_told_in_half_a_sentence(trivium_command, group) -> None:
    bare, asked = trivium_command(*group), trivium_command(*group, "--help")
    assert (bare.code, bare.out, bare.err) == (2, "", asked.out)
    listed = asked.out.partition("Commands:\n")[2].splitlines()
    assert listed and all(line[2] != " " and line.endswith(".") and not line.endswith("..") for line in listed)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["doctr"], "No such command 'doctr'. Did you mean 'doctor'?; see `trivium --help`"),
        (["config", "shw"], "Did you mean 'show'?; see `trivium config --help`"),
        (["runs", "--jsn"], "No such option: --jsn (Possible options: --json); see `trivium runs --help`"),
        (["config", "show"], "Missing argument 'RECIPE'; see `trivium config show --help`"),
        (["pretrain", "gpt2-mini", "a.txt"], "(a.txt): text is given by --data; see `trivium pretrain --help`"),
        (["config", "show", "gpt2-mni"], "there is no recipe 'gpt2-mni': did you mean gpt2-mini?"),
        (["config", "show", "gpt2-mini", "--set", "model.heds=3"], "did you mean model.heads?"),
        (["config", "show", "gpt2-mini", "--set", "training.steps=x"], "training.steps = 'x'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(trivium_command, arguments: list[str], sentence: str) -> None:
    outcome = trivium_command(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert sentence in outcome.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TriviumError("a"), 1),
        (SettingsError("b"), 2),
        (DataError("c"), 3),
        (RefusedError("d"), 4),
        (StoppedError("e"), 75),
        (KeyboardInterrupt(), 130),
        (MemoryError(), 1),
        (ZeroDivisionError("f\ng"), 1),
        (OSError(errno.ENOSPC, "No space left on device", "h"), 1),
    ],
)
def test_each_error_has_its_exit_code(trivium_command, monkeypatch, error: BaseException, code: int) -> None:
    import trivium.verbs.runs

    def fail(folder: object) -> None:
        raise error

    monkeypatch.setattr(trivium.verbs.runs, "runs", fail)
    outcome = trivium_command("runs")
    assert outcome.code == code
    assert "Traceback" not in outcome.err and outcome.out == ""
    if isinstance(error, ZeroDivisionError):
        assert outcome.err == "error: ZeroDivisionError: f g (unexpected; `trivium --debug ...` shows where)\n"
    if isinstance(error, OSError):
        assert outcome.err == "error: h: No space left on device: make room, or write to another disk\n"
    if code == 130:
        assert outcome.err == "error: interrupted\n"
    else:
        assert "Traceback" in trivium_command("--debug", "runs").err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m trivium config schema | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{" and done.stderr == ""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["x", "--data", "a", "b", "--out", "o"], ["x", "--data", "a", "--data", "b", "--out", "o"]),
        (["--set", "a=1", "b=2", "--json"], ["--set", "a=1", "--set", "b=2", "--json"]),
        (["--data", "a", "--", "b"], ["--data", "a", "--", "b"]),
        (["--data=a", "b"], ["--data=a", "b"]),
        (["--data", "-"], ["--data", "-"]),
    ],
)
def test_an_option_of_files_takes_several(given: list[str], meant: list[str]) -> None:
    assert list(_spread(given)) == meant


def test_json_has_no_numbers_that_json_lacks() -> None:
    assert plain({"a": float("nan"), "b": (1, Path("x")), 3: True}) == {"a": None, "b": [1, "x"], "3": True}
    with pytest.raises(TypeError):
        plain(object())


def test_tables_are_aligned() -> None:
    rows = [("a", 1, 0.5), ("bcd", 1200, None)]
    assert table(rows, ("name", "n", "loss")) == "name      n  loss\na         1   0.5\nbcd   1,200     -"
    assert table([]) == ""
    assert json.dumps(plain(rows))
