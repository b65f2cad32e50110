"""The system's Chromium and a server whose models write nothing but hostile text; both once for all tests here."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.browser.watched_page import Watched


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """Headless; where there is none, the tests are skipped."""
    pytest.importorskip("playwright", reason="playwright is not installed: pip install 'trivium[test]'")
    from tests.browser.watched_page import CHROMIUM, browser

    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install it, as in apt-get install chromium")
    with browser() as found:
        yield found


@pytest.fixture(scope="session")
def hostile(chromium: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``hostile_server.py``'s server."""
    from tests.browser.hostile_server import hostile_server

    with hostile_server(tmp_path_factory.mktemp("hostile")) as url:
        yield url


@pytest.fixture
def watched(chromium: "Browser", hostile: str) -> "Iterator[Callable[..., Watched]]":
    """Makes a page that is watched; it is checked at the end of the test."""
    from tests.browser.watched_page import Watched

    made: list[Watched] = []

    def make(**context: Any) -> Watched:
        made.append(Watched(chromium, hostile, **context))
        return made[-1]

    yield make
    for each in made:
        each.close()
