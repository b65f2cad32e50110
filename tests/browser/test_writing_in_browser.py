"""Chat and Complete in a real browser: what they ask the server, what they show, by pointer and by keyboard."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
from tests.browser.scripted_server import WORDS, Script, listed, serving  # noqa: E402 (it needs what was skipped for)
from tests.browser.watched_page import WAIT  # noqa: E402

TEXT = "".join(WORDS)


@dataclass
class Opened:
    """A page, the script behind it, and what the browser complained of."""

    page: "Page"
    script: Script
    trouble: list[str]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.script.asked if asked == path]


@pytest.fixture
def opened(chromium: "Browser") -> Iterator[Callable[..., Opened]]:
    """Opens the playground on a server that follows a script."""
    with_ends: list[Any] = []

    def open_(tab: str, script: Script | None = None, **context: Any) -> Opened:
        script = script or Script()
        server = serving(script)
        address = server.__enter__()
        with_ends.append(server)
        window = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **context})
        page = window.new_page()
        page.set_default_timeout(WAIT)
        trouble: list[str] = []
        page.on("pageerror", lambda problem: trouble.append(str(problem)))
        page.on("dialog", lambda dialog: (trouble.append("a dialog"), dialog.dismiss()))
        page.on("console", lambda line: line.type == "error" and "40" not in line.text and trouble.append(line.text))
        page.goto(f"{address}/#{tab}")
        page.get_by_role("tabpanel").wait_for()
        return Opened(page, script, trouble)

    yield open_
    for context in chromium.contexts:
        context.close()
    for server in reversed(with_ends):
        server.__exit__(None, None, None)


def ask(page: "Page", text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def test_a_conversation_is_sent_whole_and_answered_token_by_token(opened: Callable[..., Opened]) -> None:
    found = opened("chat")
    page = found.page
    page.get_by_label("System message").fill("Be brief.")
    ask(page, "What is <b>Paris</b>?")
    expect(page.locator(".assistant .written")).to_have_text(TEXT)
    expect(page.locator(".assistant .token")).to_have_count(len(WORDS))
    expect(page.locator(".user .said")).to_have_text("What is <b>Paris</b>?")
    page.get_by_role("button", name="Another answer").wait_for()
    ask(page, "And Lyon?")
    expect(page.locator(".assistant .written")).to_have_count(2)
    page.get_by_role("button", name="Another answer").nth(1).wait_for()
    first, second = found.bodies("/v1/chat/completions")
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is <b>Paris</b>?"},
    ]  # fmt: skip
    assert second["messages"][2:] == [{"role": "assistant", "content": TEXT}, {"role": "user", "content": "And Lyon?"}]
    assert {"model": "large", "stream": True, "logprobs": True, "temperature": 0.7}.items() <= first.items()
    assert not found.trouble


def test_an_alternative_in_an_answer_is_gone_on_from(opened: Callable[..., Opened]) -> None:
    found = opened("chat")
    page = found.page
    ask(page, "What is Paris?")
    page.get_by_role("button", name="Another answer").wait_for()
    page.locator(".token").nth(3).click()
    page.get_by_role("dialog").get_by_role("button", name="␣small").click()
    expect(page.locator(".assistant .written")).to_have_text("Paris is a small" + TEXT)
    body = found.bodies("/v1/chat/completions")[1]
    assert body["messages"][-1] == {"role": "assistant", "content": "Paris is a small"}
    assert body["continue_final_message"] is True
    assert not found.trouble


def test_stop_ends_the_writing_on_the_server_and_keeps_what_there_is(opened: Callable[..., Opened]) -> None:
    found = opened("chat", Script(tokens=WORDS * 200, pause=0.1))
    page = found.page
    ask(page, "What is Paris?")
    page.locator(".token").nth(5).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped").wait_for()
    written = page.locator(".token").count()
    assert 5 < written < 600
    assert page.get_by_role("alert").count() == 0
    until = time.monotonic() + 60
    while not found.script.left and time.monotonic() < until:
        time.sleep(0.02)
    assert found.script.left == 1
    assert page.locator(".token").count() == written


def test_a_message_is_edited_and_an_answer_asked_for_again(opened: Callable[..., Opened]) -> None:
    found = opened("chat")
    page = found.page
    ask(page, "One")
    page.get_by_role("button", name="Another answer").click()
    page.get_by_role("button", name="Another answer").wait_for()
    expect(page.locator(".assistant")).to_have_count(1)
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("One")
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "Two")
    page.get_by_role("button", name="Another answer").wait_for()
    asked = [[each["content"] for each in body["messages"]] for body in found.bodies("/v1/chat/completions")]
    assert asked == [["One"], ["One"], ["Two"]]


def test_texts_of_two_models_stand_beside_each_other_with_one_seed(opened: Callable[..., Opened]) -> None:
    found = opened("complete")
    page = found.page
    page.get_by_label("Text to go on with").fill("The capital of France:")
    page.get_by_label("Beside it").select_option("small")
    page.get_by_role("spinbutton", name="Texts").fill("6")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".sample .under").filter(has_text="seed")).to_have_count(12)
    expect(page.locator(".bench > section h3").filter(has_text="large")).to_have_count(1)
    large, small = found.bodies("/v1/completions")
    assert (large.pop("model"), small.pop("model")) == ("large", "small")
    assert large == small
    assert {"prompt": "The capital of France:", "n": 6, "top_k": 40, "logprobs": 6}.items() <= large.items()
    expect(page.locator(".written")).to_have_text([TEXT] * 12)
    assert not found.trouble


def test_an_alternative_in_a_text_is_gone_on_from_and_undone(opened: Callable[..., Opened]) -> None:
    found = opened("complete")
    page = found.page
    page.get_by_label("Text to go on with").fill("So:")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Write more").wait_for()  # which is seen when nothing is written any more
    page.locator(".token").nth(1).hover()
    page.get_by_role("dialog").get_by_role("button", name="␣was").click()
    expect(page.locator(".written")).to_have_text("Paris was" + TEXT)
    assert found.bodies("/v1/completions")[1]["prompt"] == "So:Paris was"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".written")).to_have_text(TEXT)
    page.get_by_role("button", name="Write more").click()
    expect(page.locator(".written")).to_have_text(TEXT * 2)
    assert found.bodies("/v1/completions")[2]["prompt"] == "So:" + TEXT
    assert not found.trouble


@pytest.mark.parametrize("tab", ["chat", "complete"])
@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ({"refuse": "temperature is 9: it must be from 0 to 2"}, "Temperature is 9: it must be from 0 to 2."),
        ({"fail": "the deadline is over"}, "The deadline is over."),
        ({"cut": 2}, "The server closed the connection before the answer was complete."),
    ],
    ids=["refused", "fails", "cut"],
)
def test_a_problem_is_one_sentence_and_the_page_goes_on(
    opened: Callable[..., Opened], tab: str, what: dict[str, Any], sentence: str
) -> None:
    found = opened(tab, script := Script(**what))
    page = found.page
    ask(page, "x") if tab == "chat" else page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_have_text(sentence)
    script.refuse = script.fail = script.cut = None
    again = "Another answer" if tab == "chat" else "Go on"
    page.get_by_role("button", name=again).first.click()
    expect(page.locator(".written").first).to_have_text(TEXT)
    assert not found.trouble


def test_everything_works_without_a_pointer(opened: Callable[..., Opened]) -> None:
    found = opened("chat")
    page = found.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Chat")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Complete")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")  # the theme
    page.keyboard.press("Tab")
    expect(page.get_by_label("Text to go on with")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("So:")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Write more").wait_for()
    page.keyboard.press("Tab")  # how
    page.keyboard.press("Tab")
    expect(page.locator(".written")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#status")).to_have_text("␣large, 75 %; others: ␣small 13 %")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="␣small")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".written")).to_be_focused()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".written")).to_have_text("Paris was" + TEXT)
    assert not found.trouble


def test_writing_is_walked_through_token_by_token(opened: Callable[..., Opened]) -> None:
    found = opened("complete")
    page = found.page
    page.clock.install()
    page.clock.pause_at(time.time() + 3600)  # the film goes on when the test says so
    page.get_by_text("Token by token").click()
    page.get_by_label("Text to go on with").fill("So it is")
    page.get_by_role("button", name="Watch it write").click()
    expect(page.locator(".next")).to_have_text("Paris")
    page.clock.run_for(1000)
    expect(page.locator(".next")).to_have_text(" is")
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(1000)
    asked = {"model": "large", "prompt": "So it is", "max_tokens": 24, "top": 6, "layer": None}
    assert found.bodies("/views/steps") == [asked]
    page.get_by_role("slider", name="Step", exact=True).fill("0")
    expect(page.locator(".next")).to_have_text("Paris")
    page.get_by_role("button", name="One step on").click()
    page.get_by_role("button", name="One step on").click()
    expect(page.locator(".next")).to_have_text(" a")
    expect(page.locator(".seen")).to_have_text(["So", "it", "is", "Paris", " is"])
    expect(page.get_by_role("row", name="␣a 75 %")).to_have_class("chosen")
    page.get_by_role("button", name="One step back").click()
    expect(page.locator(".next")).to_have_text(" is")
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(1000)
    expect(page.locator(".next")).to_have_text(" a")
    assert not found.trouble


HOSTILE = (
    "<img src=x onerror=alert(1)>", "</span><script>alert(1)</script>", "javascript:alert(1)", "\u202egnp.exe",
    "{{7*7}}", "<svg/onload=alert(1)>", "&lt;b&gt;", "\x00\x1b[31m", "\u2028", "<!--", "'\"`", "\U0001f600",
)  # fmt: skip


def test_what_a_model_writes_is_text(opened: Callable[..., Opened]) -> None:
    found = opened("chat", Script(tokens=HOSTILE, models=[listed(HOSTILE[1], "chat", "complete")]))
    page = found.page
    ask(page, HOSTILE[0])
    page.get_by_role("button", name="Another answer").wait_for()
    written = page.evaluate("document.querySelector('.assistant .written').textContent")
    assert written == "".join(HOSTILE)
    assert page.evaluate("document.querySelectorAll('main img, main script, main svg, main b').length") == 0
    for at in range(len(HOSTILE)):
        page.evaluate("at => document.querySelectorAll('.token')[at].click()", at)
        expect(page.get_by_role("dialog")).to_be_visible()
    assert page.locator(".card img, .card script, .card svg").count() == 0
    assert page.evaluate("document.querySelector('.who:last-of-type').textContent") is not None
    assert not found.trouble


def test_a_tab_without_a_model_says_what_to_start(opened: Callable[..., Opened]) -> None:
    found = opened("chat", Script(models=[listed("small", "complete")]))
    expect(found.page.get_by_role("tabpanel")).to_contain_text("No model of this server was taught to talk.")
    expect(found.page.get_by_role("tabpanel")).to_contain_text("trivium serve --model")


def test_a_phone_shows_it_without_scrolling_sideways_and_fingers_hit(opened: Callable[..., Opened]) -> None:
    found = opened("chat", viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = found.page
    for tab in ("chat", "complete"):
        page.evaluate("tab => { location.hash = tab }", tab)
        page.locator(f".tab-{tab} summary").first.tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.evaluate(
            """() => [...document.querySelectorAll('main button, main select, main textarea, [role=tab], .top button')]
            .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 43.5)
            .map((each) => each.textContent || each.getAttribute('aria-label'))"""
        )
        assert small == []


def test_every_input_has_a_name(opened: Callable[..., Opened]) -> None:
    found = opened("chat")
    for tab in ("chat", "complete"):
        found.page.evaluate("tab => { location.hash = tab }", tab)
        found.page.locator(f".tab-{tab}").wait_for()
        nameless = found.page.evaluate(
            """() => [...document.querySelectorAll('input, select, textarea, button')].filter((each) =>
            !each.labels?.length && !each.getAttribute('aria-label') && !each.textContent.trim()).length"""
        )
        assert nameless == 0


def test_the_theme_is_the_systems_until_it_is_chosen(opened: Callable[..., Opened]) -> None:
    found = opened("chat", color_scheme="dark")
    page = found.page
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(20, 23, 27)"
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate(paper) == "rgb(252, 252, 250)"
    page.reload()
    assert page.evaluate(paper) == "rgb(252, 252, 250)"
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(paper) == "rgb(20, 23, 27)"
