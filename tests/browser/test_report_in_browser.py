"""The report in a real browser: it fits a phone, its buttons work without a script, and hostile text runs nowhere."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.lab.demo_page import demo

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=4000 --window-size=1400,1000 --dump-dom"
).split()

# The wrapper page may run scripts, the report inside it may not: its own policy forbids it.
WRAPPER = """<!DOCTYPE html><body>
<iframe id="phone" style="border:0;width:360px;height:900px" srcdoc="{page}"></iframe>
<iframe id="laptop" style="border:0;width:1280px;height:900px" srcdoc="{page}"></iframe>
<p id="result"></p>
<script>
addEventListener("load", () => {{
  const told = [];
  for (const id of ["phone", "laptop"]) {{
    const inside = document.getElementById(id).contentDocument;
    told.push(id + " " + inside.documentElement.scrollWidth + " " + inside.title);
  }}
  const inside = document.getElementById("phone").contentDocument;
  const shown = () => [...inside.querySelectorAll(".heat > div")]
    .filter(e => inside.defaultView.getComputedStyle(e).display !== "none").map(e => e.className).join();
  told.push("before " + shown());
  inside.querySelector('label[for="attention-l2"]').click();
  inside.querySelector('label[for="attention-h3"]').click();
  told.push("after " + shown());
  document.getElementById("result").textContent = told.join("; ");
}});
</script>"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the wrapper found out."""
    if BROWSER is None:
        pytest.skip("no chromium on this machine")
    folder: Path = tmp_path_factory.mktemp("browser")
    hostile = demo().replace("alert(1)", "document.title='hacked'").replace("alert(2)", "document.title='hacked'")
    wrapper = folder / "wrapper.html"
    wrapper.write_text(WRAPPER.format(page=html.escape(hostile)), "utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", wrapper.as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("chromium does not answer on this machine")
    found = re.search(r'<p id="result">([^<]+)</p>', done.stdout)
    assert found, done.stderr[-2000:]
    return found[1]


def test_no_sideways_scroll(result: str) -> None:
    widths = dict(re.findall(r"(phone|laptop) (\d+)", result))
    assert int(widths["phone"]) <= 360
    assert int(widths["laptop"]) <= 1280


def test_hostile_text_runs_nothing(result: str) -> None:
    assert "hacked" not in result
    assert result.count("From raw text to language models") == 2


def test_buttons_choose_layer_and_head_without_a_script(result: str) -> None:
    assert "before l1h1;" in result
    assert result.endswith("after l2h3")
