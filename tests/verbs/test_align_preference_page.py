"""The page of a run that learns from preferences: its course, and where a figure may deceive."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.verbs.preferences import QUICK, asked

from trivium.verbs.align import Aligned, align, alignment
from trivium.verbs.align_preference_page import preference_page


class Parsed(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]


def read_page(folder: Path) -> str:
    text = (folder / "report.html").read_text("utf-8")
    page = Parsed()
    page.feed(text)
    assert not page.links and "script" not in page.tags  # one file that loads nothing and runs nothing
    return text


def test_runs_draw_their_course(tiny_models, files, judge: Aligned, tmp_path) -> None:
    page = read_page(judge.directory)
    for words in ("Loss by update", "Accuracy by update", "Margin by update", "0.722 to 1", "30 updates"):
        assert words in page, words
    assert "What it writes" not in page  # it writes nothing
    settings = asked("dpo", tiny_models["llama"], files, f"method.judge={judge.directory}", "training.evaluations=3")
    made = align(settings, tmp_path / "run", quiet=True)
    page = read_page(tmp_path / "run")
    for name in ("Distance from the reference", "Length of the replies", "Repetition in the replies", "Win rate",
                 "Reward of the replies", "Log-probability of both replies"):  # fmt: skip
        assert f"{name} by update" in page, name
    evaluations = [line for line in made.history if line["kind"] == "evaluation"]
    assert [line["step"] for line in evaluations] == [0, 2, 4, 6]
    for line in evaluations:  # what is compared is compared at each of them
        assert {"kl_low", "reply_tokens_difference", "win_rate", "reward_difference_high"} <= line.keys()
        assert f"{line['win_rate']:.4g}" in page
    assert evaluations[0]["reward_difference"] == 0  # the model is the reference
    alone = alignment("dpo", {"model": str(tiny_models["llama"]), "train": files[0], "template": "plain"}, QUICK)
    align(alone, tmp_path / "alone", quiet=True)
    page = read_page(tmp_path / "alone")
    assert "There was no dev file" in page and "What to look at" not in page and "rejected, in training" in page


def test_the_page_says_where_a_figure_may_deceive() -> None:
    first = {"kind": "evaluation", "step": 0, "loss": 0.7, "accuracy": 0.0, "accuracy_low": 0.0, "accuracy_high": 0.1,
             "margin": 0.0, "kl": 0.0, "log_probability_chosen": -9.0}  # fmt: skip
    last = {
        **first, "step": 5, "accuracy": 0.6, "accuracy_low": 0.4, "accuracy_high": 0.8, "repetition": 0.9,
        "reference_repetition": 0.1, "reply_tokens_difference_low": 3.0, "log_probability_chosen": -12.0,
    }  # fmt: skip
    page = preference_page("dpo", [first, last], "base")
    for words in ("cannot be told from that of guessing", "became less probable", "are longer", "repeat themselves"):
        assert words in page
    good = {**first, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "reply_tokens_difference_high": -1.0}
    page = preference_page("dpo", [first, good], "base")
    assert "are shorter than the reference" in page and "guessing" not in page
    fine = {**good, "reply_tokens_difference_high": 1.0}
    assert "Nothing here gives reason" in preference_page("reward", [first, fine], "")
