"""Every tab by keyboard alone: it is reached, named, seen to have the focus, and works. And every tab on a phone."""

from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'trivium[test]'")
from playwright.sync_api import Page
from tests.browser.hostile_server import WORDS
from tests.browser.watched_page import NAMELESS, Watched

Make = Callable[..., Watched]
TABS = ("chat", "complete", "fill", "tasks", "tokens", "inside", "runs")
FULL = {  # of a tab that has been filled
    "chat": ".hello", "complete": ".scale", "fill": "form", "tasks": "form", "tokens": ".result > *",
    "inside": ".result > *", "runs": "[role=slider]",
}  # fmt: skip
WORD = WORDS[60]


def reach(page: Page, selector: str, most: int = 60) -> None:
    """Presses Tab until that has the focus; on the way, whatever has it shows it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        found = page.evaluate("""(selector) => {
          const here = document.activeElement;
          const label = here.matches("input") ? here.nextElementSibling : null; // stands for a hidden radio button
          const shown = [here, label, here.closest(".box")].some((each) => each
            && (getComputedStyle(each).outlineStyle !== "none" || getComputedStyle(each).boxShadow !== "none"));
          const what = here.outerHTML.slice(0, 120);
          return { there: here.matches(selector), shown: shown || here === document.body, what };
        }""", selector)
        assert found["shown"], f"the focus is not seen on {found['what']}"
        if found["there"]:
            return
    raise AssertionError(f"{selector} was not reached by {most} presses of Tab")


def to_tab(page: Page, name: str) -> None:
    """By arrow keys in the list of tabs."""
    reach(page, "[role=tab]")
    page.keyboard.press("Home")
    for _ in range(TABS.index(name)):
        page.keyboard.press("ArrowRight")
    page.locator(f"#tab-{name}[aria-selected=true]").wait_for()
    assert page.evaluate("document.activeElement.id") == f"tab-{name}"


def type_into(page: Page, selector: str, text: str) -> None:
    """In the place of what is there."""
    reach(page, selector)
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


@pytest.mark.parametrize("name", TABS)
def test_by_keyboard(watched: Make, name: str) -> None:
    open_page = watched(viewport={"width": 1280, "height": 800})
    page = open_page.open("tokens" if name != "tokens" else "fill")
    to_tab(page, name)
    if name == "chat":
        page.get_by_role("spinbutton", name="Maximum length, in tokens").fill("12")
        to_tab(page, name)
        type_into(page, ".composer textarea", WORD)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Another answer").wait_for()
        reach(page, "button")
        page.locator(".turn.assistant .written").wait_for()
    elif name == "complete":
        type_into(page, ".prompt textarea", WORD)
        page.keyboard.press("Control+Enter")
        page.locator(".bench .under span").first.wait_for()
        reach(page, ".written")
        page.keyboard.press("ArrowRight")
        page.locator(".card").wait_for()
        page.keyboard.press("Escape")
        page.locator(".card").wait_for(state="hidden")
    elif name == "fill":
        type_into(page, "textarea", f"{WORD} ___")
        page.keyboard.press("Control+Enter")
        page.locator(".result .filled").wait_for()
    elif name == "tasks":
        type_into(page, "textarea", WORD)
        page.keyboard.press("Control+Enter")
        page.locator(".result > *").first.wait_for()
    elif name == "tokens":
        type_into(page, "textarea", WORD)
        page.wait_for_function("(word) => document.querySelector('.result').textContent.includes(word)", arg=WORD)
    elif name == "inside":
        reach(page, "input[type=radio]")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        page.locator("input[type=radio][value=surprise]:checked").wait_for(state="attached")
        type_into(page, "textarea", f"{WORD} {WORDS[61]}")
        page.keyboard.press("Control+Enter")
        page.wait_for_function("(word) => document.querySelector('.result').textContent.includes(word)", arg=WORD[:10])
    else:
        page.locator("[role=slider]").first.wait_for()  # it is shown when there are curves to read
        reach(page, "[role=slider]")
        page.keyboard.press("Home")
        text = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.getAttribute('aria-valuetext')") != text
        reach(page, ".pick input:not(:checked)")
        page.keyboard.press("Space")
        page.get_by_role("button", name="Compare them").wait_for()
    assert not page.locator(".problem").count(), page.locator(".problem").all_text_contents()
    assert not (found := page.evaluate(NAMELESS)), found
    open_page.check()


def test_on_a_phone_nothing_is_wider_than_the_screen(watched: Make) -> None:
    open_page = watched(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme="dark")
    for name in TABS:
        page = open_page.open(name)
        page.locator(FULL[name]).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        small = page.evaluate("""() => [...document.querySelectorAll(
          "button,select,textarea,input[type=text],input[type=number],a")]
          .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 43.5)
          .map((each) => each.outerHTML.slice(0, 120))""")
        assert not small, (name, small)
    open_page.check()
