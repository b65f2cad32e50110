"""The system's Chromium, and a server whose models write nothing but hostile text."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.browser.watched_page import Watched


@pytest.fixture(scope="module")  # Playwright has one driver at a time in a thread: none outlives its file
def chromium() -> "Iterator[Browser]":
    """Headless; where there is none, the tests are skipped."""
    from tests.browser.watched_page import CHROMIUM, browser

    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install it, as in apt-get install chromium")
    with browser() as found:
        yield found


@pytest.fixture(scope="session")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``hostile_server.py``'s server; asked for after ``chromium``, which may skip."""
    from tests.browser.hostile_server import hostile_server

    with hostile_server(tmp_path_factory.mktemp("hostile")) as url:
        yield url


@pytest.fixture
def watched(chromium: "Browser", hostile_url: str) -> "Iterator[Callable[..., Watched]]":
    """Makes a page that is watched; it is checked at the end of the test."""
    from tests.browser.watched_page import Watched

    made: list[Watched] = []

    def make(**context: Any) -> Watched:
        made.append(Watched(chromium, hostile_url, **context))
        return made[-1]

    yield make
    for each in made:
        each.close()
