"""The page of a fine-tuning in a real browser: long labels and texts fit a phone, and hostile text runs nowhere."""

import html
import re
import subprocess
from pathlib import Path

import pytest
from tests.browser.test_report_in_browser import BROWSER, FLAGS

from trivium.metrics.intervals import Interval
from trivium.tasks import Outcome
from trivium.verbs.data_checks import DataChecks
from trivium.verbs.finetuning_report import finetuning_page
from trivium.verbs.finetuning_result import DataFile, FineTuned, Run, Spread, Trial
from trivium.verbs.judging import Change
from trivium.verbs.tuning import Evaluation

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
LONG = "a-label-that-has-no-place-to-be-broken-at-" * 3

WRAPPER = """<!DOCTYPE html><body>
<iframe id="phone" style="border:0;width:360px;height:900px" srcdoc="{page}"></iframe>
<iframe id="laptop" style="border:0;width:1280px;height:900px" srcdoc="{page}"></iframe>
<p id="result"></p>
<script>
addEventListener("load", () => {{
  document.getElementById("result").textContent = ["phone", "laptop"].map(id => {{
    const inside = document.getElementById(id).contentDocument;
    return id + " " + inside.documentElement.scrollWidth + " " + inside.title + " " + inside.images.length + " "
      + inside.querySelectorAll("section svg").length;
  }}).join("; ");
}});
</script>"""


def page() -> str:
    scores = {"accuracy": 0.75, "loss": 0.5}
    spread = {name: Spread.of([value, value + 0.01]) for name, value in scores.items()}
    trials = tuple(
        Trial(f"method=lora lora.rank={rank} lora.targets=query,key,value,{LONG}", 100, 1e-3,
              (Run(0, scores, 10, 10, 1.0), Run(1, scores, 10, 10, 1.0)), spread, 10_000 * rank, 10**6, 1e4,
              Change(1.0, 1.1))
        for rank in (1, 2, 4)
    )  # fmt: skip
    made = FineTuned(
        Path("out"), ("a", "b"), 100, 0, scores, (Evaluation(5, scores), Evaluation(10, scores)), 10, 10, 1e-3, 1.0,
        True, notes=DataChecks(1, 1, 0, ((f"{LONG}.jsonl:1", "train.jsonl:2"),)).notes, main="accuracy", base=LONG,
        planned_steps=10, intervals={"accuracy": Interval(0.75, 0.7, 0.8)}, signature="|".join(["task:x"] * 40),
        files=(DataFile("train", f"{LONG}.jsonl", 100, 100, 0, 0, "0" * 64),), vary="sweep", trials=trials,
        figure="bits_per_byte",
    )  # fmt: skip
    classes = [HOSTILE, LONG, *(f"class {n}" for n in range(8))]
    outcomes = [Outcome(f"{HOSTILE} {LONG}", classes[n % 10], classes[n % 7], 0.1 * n) for n in range(60)]
    losses = [1 / (n + 1) for n in range(40)]
    return finetuning_page(made, "sequence", losses, outcomes, {"task.labels": [HOSTILE, LONG], "learning_rate": 1e-3})


def test_it_fits_a_phone_and_runs_nothing(tmp_path: Path) -> None:
    if BROWSER is None:
        pytest.skip("no chromium on this machine")
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(WRAPPER.format(page=html.escape(page())), "utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", wrapper.as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("chromium does not answer on this machine")
    found = re.search(r'<p id="result">([^<]+)</p>', done.stdout)
    assert found, done.stderr[-2000:]
    told = re.findall(r"(phone|laptop) (\d+) Fine-tuned: sequence (\d+) (\d+)", found[1])
    assert [(name, int(width) <= {"phone": 360, "laptop": 1280}[name], images) for name, width, images, _ in told] == [
        ("phone", True, "0"), ("laptop", True, "0")]  # fmt: skip
    assert told[0][3] == "4"  # combinations, losses, accuracy, loss on dev
