"""150 payloads as what a user types, a model writes, a label, a token, a run's name or an error says: shown, never run.

The models of the server know no other words, so that every answer is hostile; that payloads are seen on the page shows
that the tests look where they would act.
"""

import json
from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'trivium[test]'")
from playwright.sync_api import Page, Route
from tests.browser.hostile import PAYLOADS
from tests.browser.hostile_server import WORDS
from tests.browser.watched_page import Watched

Make = Callable[..., Watched]


def seen(page: Page) -> set[str]:
    """The payloads that the page shows, in text or in a field."""
    text = page.evaluate("document.body.textContent")
    return {word for word in {*WORDS, *PAYLOADS} if word in text}


def some(at: int, count: int = 12) -> str:
    """A few words for a model with a short memory."""
    return " ".join(word for word in WORDS[at : at + count] if len(word) < 100)


def each(page: Page, label: str) -> list[str]:
    """The choices of a field."""
    return page.get_by_label(label, exact=True).locator("option").evaluate_all("all => all.map((each) => each.value)")


def test_there_are_150_different_payloads() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) == 150


def test_what_is_watched_for_is_seen(watched: Make) -> None:
    """The watch itself: each thing that payloads try is complained about."""
    open_page = watched()
    page = open_page.open("tokens")
    page.evaluate("canary(); document.body.append(document.createElement('img'))")
    page.evaluate("new Image().src = 'http://canary.invalid/x.png'")
    page.evaluate("setTimeout(() => alert(1))")
    wanted = {"a payload ran", "a dialog", "violates"}
    while wanted := {each for each in wanted if each not in " ".join(open_page.complaints)}:
        page.wait_for_timeout(20)  # or the test's own time is over
    with pytest.raises(AssertionError):
        open_page.check()


def test_chat(watched: Make) -> None:
    open_page = watched()
    page = open_page.open("chat")
    page.get_by_role("spinbutton", name="Maximum length, in tokens").fill("20")
    answer = page.locator(".turn.assistant .written").first
    again = page.get_by_role("button", name="Another answer")
    for at, prompt in enumerate((some(0, 8), " ".join(PAYLOADS[140:150:3]))):
        page.get_by_label("Message", exact=True).fill(prompt)
        page.keyboard.press("Enter")
        again.nth(at).wait_for()
    answer.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert seen(page) >= set(some(0, 8).split())
    assert {word for word in WORDS if word in answer.text_content()}
    page.locator(".card .piece").nth(4).wait_for()
    open_page.check()


def test_complete(watched: Make) -> None:
    open_page = watched()
    page = open_page.open("complete")
    page.get_by_label("Text to go on with").fill(some(40))
    page.get_by_role("spinbutton", name="Texts").fill("2")
    page.get_by_role("spinbutton", name="Maximum length, in tokens").fill("20")
    page.get_by_role("button", name="Go on").click()
    page.locator(".bench .under span").nth(1).wait_for()
    page.locator(".bench .written .token").nth(1).hover()
    page.locator(".card .piece").nth(4).wait_for()
    assert len(seen(page)) >= 15
    page.get_by_text("Token by token").click()
    page.get_by_role("button", name="Watch it write").click()
    page.get_by_role("slider", name="Step", exact=True).wait_for()
    open_page.check()


def test_fill(watched: Make) -> None:
    open_page = watched()
    page = open_page.open("fill")
    for model in each(page, "Model"):
        page.get_by_label("Model", exact=True).select_option(model)
        page.get_by_label("A text with blanks").fill(f"{some(80, 6)} ___ {some(90, 3)}")
        page.get_by_role("spinbutton", name="Candidates").fill("20")
        page.get_by_label("A text with blanks").press("Control+Enter")
        page.locator(".result .filled").wait_for()
        assert len(seen(page)) >= 15
    open_page.check()


def test_tasks(watched: Make) -> None:
    open_page = watched()
    page = open_page.open("tasks")
    models = each(page, "Model")
    assert models == ["sequence", "tagging", "answers", "rewriting"]
    for at, model in enumerate(models):
        page.get_by_label("Model", exact=True).select_option(model)
        for box in page.locator(".inputs textarea, .inputs input").all():
            box.fill(some(20 * at, 6))
        page.get_by_role("button", name="Ask the model").click()
        page.locator(".result > *").first.wait_for()
        assert not page.locator(".problem").count(), page.locator(".problem").all_text_contents()
        assert len(seen(page)) >= (20 if model == "sequence" else 3)
        open_page.check()


def test_tokens(watched: Make) -> None:
    open_page = watched()
    page = open_page.open("tokens")
    for text in (" ".join(WORDS), "\n".join(PAYLOADS)):
        with page.expect_response("**/tokenize"):
            page.get_by_label("Text", exact=True).fill(text)
        page.locator(".result .panel").first.wait_for()
    page.get_by_label("Text", exact=True).fill(" ".join(WORDS))
    page.wait_for_function("""(words) => {
      const text = document.querySelector(".result").textContent;
      return words.filter((word) => text.includes(word)).length >= 120;
    }""", arg=WORDS)
    open_page.check()


@pytest.mark.parametrize("view", ["attention", "lens", "words", "surprise"])
def test_inside(watched: Make, view: str) -> None:
    open_page = watched()
    page = open_page.open(f"inside/{view}")
    if view == "words":
        page.get_by_label("Word", exact=True).fill(WORDS[3])
        page.locator("textarea").first.fill("\n".join(f"{WORDS[3]} {some(at, 4)}" for at in (10, 20, 30)))
    else:
        page.locator("textarea").first.fill(some(50))
    page.locator("form button.main").click()
    shown = WORDS[3 if view == "words" else 52][:10]  # where there is little room, words are cut
    page.wait_for_function("(text) => document.querySelector('.result').textContent.includes(text)", arg=shown)
    assert not page.locator(".problem").count(), page.locator(".problem").all_text_contents()
    open_page.check()


def test_runs(watched: Make) -> None:
    open_page = watched()
    page = open_page.open("runs")
    page.locator(".pick").nth(140).wait_for()
    for _ in range(5):
        with page.expect_response("**/runs/*"):
            page.locator(".pick input:not(:checked)").first.click()
    page.get_by_text("What sets them apart").click()
    names = each(page, "Measure")
    for name in names[:: max(1, len(names) // 6)]:
        page.get_by_label("Measure").select_option(name)
        slider = page.get_by_role("slider", name="Read the curves")
        slider.press("End")
        slider.hover()
    page.get_by_role("button", name="Compare them").click()
    page.locator("section .problem").nth(4).wait_for()
    assert len(seen(page)) >= 120
    open_page.check()


@pytest.mark.parametrize("tab", ["chat", "complete", "fill", "tasks", "tokens", "inside", "runs"])
def test_errors(watched: Make, tab: str) -> None:
    """Every question is answered by an error that says all payloads."""
    open_page = watched()
    message = " ".join(PAYLOADS)
    error = {"error": {"message": message, "type": PAYLOADS[0], "param": PAYLOADS[1], "code": PAYLOADS[2]}}

    def refuse(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=json.dumps(error))

    page = open_page.page
    page.add_init_script("""
      const asked = fetch;
      window.fetch = async (path, options) => {
        if (/models/.test(path)) return asked(path, options);
        const answer = await asked("refused", { method: "GET" });
        return new Response(answer.body, { status: 400, headers: { "Content-Type": "application/json" } });
      };""")
    page.route("**/refused", refuse)
    page = open_page.open(tab)
    if tab == "chat":
        page.get_by_label("Message", exact=True).fill(message)
        page.keyboard.press("Enter")
    elif tab == "complete":
        page.get_by_role("button", name="Go on").click()
    elif tab in ("fill", "tasks", "inside"):
        page.locator("form button.main").click()
    page.locator(".problem").first.wait_for()
    text = page.locator(".problem").first.text_content()
    assert sum(payload in text for payload in PAYLOADS) >= 145
    open_page.check()


def test_addresses(watched: Make) -> None:
    """What follows the # is anyone's as well: a link may say anything."""
    open_page = watched()
    page = open_page.open("#%E0%A4%A")  # no text at all
    page.evaluate("""async (payloads) => {
      for (const [at, payload] of payloads.entries()) {
        location.hash = ["", "runs/", "complete/"][at % 3] + payload;
        await new Promise(requestAnimationFrame);
      }
    }""", PAYLOADS)
    page.locator('[role="tab"][aria-selected="true"]').wait_for()
    open_page.check()
