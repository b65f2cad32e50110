"""A page that tells what it should not do: scripts that run, dialogs, requests elsewhere, errors, strange elements."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 90_000  # milliseconds: a machine may be slow, and busy
SEEDED = """for (const tab of ["chat", "complete"]) {
  try { localStorage.setItem(`trivium.${tab}.sampling`, JSON.stringify({ seed: 3 })); } catch {} // of an empty page
}"""  # what models write is the same each time

# What our own pages are made of has none of these, so that one of them is text that became markup.
STRANGERS = """() => {
  const found = [...document.querySelectorAll("img,image,iframe,object,embed,base,video,audio,source,track,marquee,"
    + "template,portal,frame,frameset,applet,style,foreignObject,math,dialog,xmp,plaintext,slot,animate,set,use")];
  for (const each of document.querySelectorAll("script,link")) {
    const from = each.getAttribute("src") ?? each.getAttribute("href") ?? "";
    if (!from.startsWith("playground/")) found.push(each);
  }
  for (const each of document.querySelectorAll("*")) {
    const names = each.getAttributeNames();
    if (names.some((name) => /^on/i.test(name) || ["srcdoc", "formaction", "ping"].includes(name))) found.push(each);
    if (/canary/.test(each.getAttribute("style") ?? "")) found.push(each);
    const to = each.getAttribute("href");
    if (to !== null && each.localName === "a" && !/^(#|blob:)/.test(to)) found.push(each);
  }
  if (/canary/.test(document.title)) found.push(document.querySelector("title"));
  return found.map((each) => each.outerHTML.slice(0, 200));
}"""
# Every part that takes the focus says what it is, in a way that assistive technology finds.
NAMELESS = """() => [...document.querySelectorAll("a,button,input,select,textarea,summary,[tabindex='0']")]
  .filter((each) => each.checkVisibility() && !(each.getAttribute("aria-label") || each.getAttribute("aria-labelledby")
    || each.labels?.length || each.textContent.trim() || each.title))
  .map((each) => each.outerHTML.slice(0, 200))"""


class Watched:
    """``page`` is the browser's; ``complaints``: what went wrong so far, in order."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.url, self.complaints, self.pages = url, list[str](), 0
        self.context = browser.new_context(**context)
        self.context.set_default_timeout(WAIT)
        self.context.add_init_script(SEEDED)
        self.context.expose_function("canary", lambda: self.complaints.append("a payload ran"))
        self.context.on("request", lambda request: self._asked(request.url))
        self.context.on("page", self._opened)
        self.page: Page = self.context.new_page()

    def _opened(self, page: Page) -> None:
        if len(self.context.pages) > 1:
            self.complaints.append(f"a window was opened: {page.url}")
        page.on("dialog", lambda dialog: (self.complaints.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda problem: self.complaints.append(f"an error: {problem}"))
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        page.on("framenavigated", lambda frame: self._asked(frame.url))

    def _asked(self, address: str) -> None:
        if not address.startswith((self.url, "blob:" + self.url, "about:blank")):
            self.complaints.append(f"a request to {address}")

    def open(self, tab: str) -> Page:
        """A tab, when it has been built."""
        self.pages += 1
        self.page.goto(f"{self.url}/?{self.pages}#{tab}")  # another hash alone is the same document
        self.page.locator('[role="tab"][aria-selected="true"]').wait_for()
        return self.page

    def check(self) -> None:
        """Fails with all that went wrong."""
        self.page.wait_for_timeout(50)  # what a payload starts would have run by now
        assert not self.complaints, self.complaints
        assert not (found := self.page.evaluate(STRANGERS)), found

    def close(self) -> None:
        self.context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        # Containers have no user namespaces for its sandbox, and little shared memory.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=120_000)
        try:
            yield chromium
        finally:
            chromium.close()
