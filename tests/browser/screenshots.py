"""Pictures of every tab at three widths in both themes, of a server that runs already.

    trivium serve --model smollm2-135m --model bert=runs/bert --runs runs
    python tests/browser/screenshots.py http://127.0.0.1:8000 pictures

Each tab is asked something first, by the question that stands in it.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Page, TimeoutError
from tests.browser.watched_page import CHROMIUM, Watched, browser

WIDTHS = {"phone": (390, 844), "tablet": (820, 1100), "laptop": (1280, 860)}
TABS = ("chat", "complete", "fill", "tasks", "tokens", "inside/attention", "inside/lens", "inside/words",
        "inside/surprise", "runs")  # fmt: skip
TEXT = "The animal didn't cross the street because it was too tired."
TEXTS = {  # where another text shows more
    "fill": "If the argument is not given, the ___ is returned.",
    "tasks": "Ada Lovelace wrote to Charles Babbage from London about his Analytical Engine.",
}


def ask(page: Page, tab: str) -> None:
    """What a visitor would do first."""
    if page.locator(".empty:visible").count():
        return
    for field in page.locator(".field.number", has_text="Maximum length").all():  # folded away on a phone
        field.locator("[type=number]").evaluate("(box) => { box.value = 60; box.dispatchEvent(new Event('input')); }")
    if tab == "chat":
        page.locator(".starts button").first.click()
        page.get_by_role("button", name="Another answer").wait_for(timeout=120_000)
    elif tab == "complete":
        page.get_by_role("button", name="Go on").click()
        page.locator(".bench .under span").first.wait_for(timeout=120_000)
    elif tab == "runs":
        for _ in range(3):
            if (others := page.locator(".pick input:not(:checked):not(:disabled)")).count():
                others.first.click(force=True)
    elif tab != "tokens":  # which answers by itself
        box = page.locator("form textarea").first
        if tab in TEXTS or not box.input_value():
            box.fill(TEXTS.get(tab, TEXT))
        page.locator("form button.main").click()
        page.locator(".result > *").first.wait_for()


def main() -> None:
    """Takes them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tabs", nargs="*", default=TABS)
    given = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no chromium on this machine: install it, as in apt-get install chromium")
    given.folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        for theme in ("light", "dark"):
            for width, (across, down) in WIDTHS.items():
                phone = {"has_touch": True, "is_mobile": True} if width == "phone" else {}
                size = {"width": across, "height": down}
                watched = Watched(chromium, given.url.rstrip("/"), viewport=size, color_scheme=theme,
                                  device_scale_factor=2 if phone else 1.5, **phone)  # fmt: skip
                for tab in given.tabs:
                    page = watched.open(tab)
                    name = f"{tab.replace('/', '-')}-{width}-{theme}.png"
                    try:
                        page.wait_for_timeout(700)
                        ask(page, tab)
                        page.wait_for_timeout(900)
                    except TimeoutError as problem:
                        print(f"{name}: {str(problem).splitlines()[0]}", file=sys.stderr)
                    page.evaluate("scrollTo(0, 0)")
                    page.screenshot(path=given.folder / name, full_page=tab != "chat")
                    print(name, *watched.complaints, sep="\n  ")
                    watched.complaints.clear()
                watched.close()


if __name__ == "__main__":
    main()
