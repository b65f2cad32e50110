"""Fill, Tokens and Inside in a real browser on a real server: what they show is what Python computes."""

from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trivium

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, Page, expect  # noqa: E402
from tests.browser.watched_page import WAIT  # noqa: E402
from tests.serving.live_server import live  # noqa: E402

KINDS = ("bert", "gpt2", "t5")
Opened = Callable[..., Page]
TEXT = "The animal didn't cross the street because it was too tired."


@pytest.fixture(scope="module")
def models(tiny_models: dict[str, Path]) -> dict[str, Any]:
    return {name: trivium.load(tiny_models[name]) for name in KINDS}


@pytest.fixture(scope="module")
def address(models: dict[str, Any]) -> Iterator[str]:
    from trivium.serving.abilities import abilities_of
    from trivium.serving.app import application
    from trivium.serving.house import House, Served
    from trivium.serving.scheduler import Scheduler
    from trivium.serving.settings import Caps, ServeSettings

    settings = ServeSettings(caps=Caps(text_characters=5_000))
    served = {name: Served(name, each, 0, abilities=abilities_of(each, None, False)) for name, each in models.items()}
    with live(application(House(served, Scheduler(settings), settings))) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def opened(chromium: Browser, address: str) -> Iterator[Opened]:
    """Opens a tab; at the end the browser must have complained of nothing but refusals."""
    trouble: list[str] = []
    contexts: list[BrowserContext] = []

    def open_(tab: str, **context: Any) -> Page:
        contexts.append(chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **context}))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda problem: trouble.append(str(problem)))
        page.on("console", lambda line: line.type == "error" and "400" not in line.text and trouble.append(line.text))
        page.goto(f"{address}/#{tab}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not trouble


def shown(page: Page) -> None:
    """Waits for an answer."""
    expect(page.locator(".result:not([aria-busy]) > *").first).to_be_visible()


def choose(page: Page, name: str) -> None:
    page.get_by_label("Model", exact=True).select_option(name)


def percents(weight: float) -> str:
    """As words.js writes what comes with four digits; JavaScript rounds halves up."""
    share = 100 * round(float(weight), 4)
    if 0 < share < 0.05:
        return "< 0.1 %"
    return f"{Decimal(share).quantize(Decimal('0.1') if share < 10 else Decimal(1), ROUND_HALF_UP)} %"


def test_the_matrix_says_the_weights_of_each_layer_and_head(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("inside/attention")
    choose(page, "gpt2")
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Show attention").click()
    shown(page)
    view = trivium.inspect_text(models["gpt2"], TEXT).attention
    layers, heads = view.weights.shape[:2]
    expect(page.locator(".thumb")).to_have_count(layers * heads)
    page.get_by_role("button", name=f"Layer {layers}, head {heads}").first.click()
    expect(page.get_by_role("heading", name=f"Layer {layers}, head {heads}")).to_be_visible()
    page.locator(".matrix-cells").focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    said = f"(5) gives {percents(view.weights[-1, -1, 4, 1])} of its attention to"
    expect(page.locator(".matrix .readout")).to_contain_text(said)
    best = np.argsort(-view.weights[:, :, 4, 1].round(4).ravel(), kind="stable")[0]
    first = page.locator(".attention-one .found button").first
    expect(first).to_have_text(f"{best // heads + 1}·{best % heads + 1}")


def test_lines_lead_from_the_decoder_to_the_encoder(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("inside/attention")
    choose(page, "t5")
    page.get_by_label("What the model answers").fill("It slept.")
    page.get_by_label("Which attention").select_option("cross")
    page.get_by_text("Lines", exact=True).click()
    page.get_by_role("button", name="Show attention").click()
    shown(page)
    view = trivium.inspect_text(models["t5"], TEXT, "It slept.", stack="cross").attention
    expect(page.locator(".arc-from button")).to_have_count(len(view.queries))
    page.locator(".arc-from button").nth(1).focus()
    page.keyboard.press("Enter")
    row = view.weights[0, 0, 1].round(4)
    expect(page.locator(".arc-lines path")).to_have_count(int((row >= 0.004).sum()))
    expect(page.locator(".arcs .readout")).to_contain_text(percents(row.max()))
    page.keyboard.press("Escape")
    expect(page.locator(".arcs .readout")).to_contain_text("Choose a token")


def test_rollout_is_one_matrix(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("inside/attention")
    choose(page, "bert")
    page.get_by_label("Show", exact=True).select_option("rollout")
    expect(page.get_by_role("heading", name="Rollout over all layers")).to_be_visible()
    view = trivium.inspect_text(models["bert"], TEXT, summary="rollout").attention
    page.locator(".matrix-cells").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".matrix .readout")).to_contain_text(f"gives {percents(view.weights[0, 0, 1, 0])}")


def test_a_long_text_is_shown_a_layer_at_a_time(opened: Opened) -> None:
    page = opened("inside/attention")
    choose(page, "gpt2")
    # As if much less were fetched at once: the part of the code that asks for one layer is the same.
    page.route("**/tokenize", lambda route: route.fulfill(json={"count": 500}))
    page.get_by_role("button", name="Show attention").click()
    expect(page.get_by_text("one layer at a time is computed")).to_be_visible()
    with page.expect_request("**/views/attention") as asked:
        page.get_by_label("Layer", exact=True).select_option("2")
    assert asked.value.post_data_json["layers"] == [2]
    expect(page.get_by_role("heading", name="Layer 2, head 1")).to_be_visible()


def test_the_lens_shows_each_layer_and_frames_the_answer(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("inside/lens")
    choose(page, "gpt2")
    page.get_by_role("button", name="Show every layer").click()
    shown(page)
    view = trivium.inspect_lens(models["gpt2"], TEXT, top=5)
    cells = page.locator(".lens-cell")
    expect(cells).to_have_count(len(view.layers) * len(view.tokens))
    final = [each.token for each in view.final]
    framed = sum(place[0].token == last for layer in view.top for place, last in zip(layer, final, strict=True))
    expect(page.locator(".lens-cell.agrees")).to_have_count(framed)
    cells.first.focus()  # of the last layer
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".lens-said")).to_contain_text(f"Layer {view.layers[-2]} at")
    expect(page.locator(".lens-said")).to_contain_text(percents(np.exp(view.top[-2][1][0].log_probability)))


def test_a_words_places_are_marked_and_its_cosines_told(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("inside/words")
    choose(page, "bert")
    texts = ["🙂 The bank of the river.", "A bank lends money, and another bank takes it."]
    page.get_by_label("Sentences that have it").fill("\n".join(texts))
    page.get_by_role("button", name="Compare").click()
    shown(page)
    expect(page.locator(".spots li")).to_have_count(3)
    expect(page.locator(".spots mark")).to_have_text(["bank"] * 3)
    view = trivium.inspect_word(models["bert"], "bank", texts)
    told = [float(each) for each in page.locator(".cosines td.num").all_inner_texts()]
    np.testing.assert_allclose(np.array(told).reshape(3, 3), view.cosines, atol=0.0051)
    expect(page.locator(".dot")).to_have_count(3)
    page.locator(".dot").nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".spots li").nth(1)).to_have_class("at")
    page.get_by_label("Layer", exact=True).first.fill("0")
    expect(page.locator("figcaption")).to_contain_text("the embeddings")


def test_surprise_adds_up_and_tells_each_token(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("inside/surprise")
    choose(page, "gpt2")
    page.get_by_role("button", name="Show surprise").click()
    shown(page)
    view = trivium.inspect_surprise(models["gpt2"], TEXT)
    expect(page.locator(".figures")).to_contain_text(f"{view.bits:.1f}")
    page.locator(".heat-token").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".result .panel")).to_contain_text(f"cost {view.tokens[1].bits:.2f} bits")


def test_blanks_are_filled_and_a_choice_is_kept_for_the_rest(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("fill")
    text = "The ___ was in the ___."
    page.get_by_label("A text with blanks").fill(text)
    page.keyboard.press("Control+Enter")
    shown(page)
    filling = models["bert"].fill(text, 5)
    lists = page.get_by_role("list", name="Candidates for blank")
    expect(lists).to_have_count(2)
    first = lists.first.get_by_role("button")
    expect(first).to_have_count(5)
    shares = [each.probability for each in filling.blanks[0].candidates]
    assert [text.split()[-2] for text in first.all_inner_texts()] == [percents(each).split()[0] for each in shares]
    assert lists.first.inner_text().split("all others")[1].strip() == percents(filling.blanks[0].other)
    first.nth(2).click()
    word = filling.blanks[0].candidates[2].text.removeprefix(" ")
    if word.isprintable() and word.strip():
        expect(page.locator(".filled mark").first).to_have_text(word)
    page.get_by_role("button", name="and fill the rest").first.click()
    expect(page.get_by_label("A text with blanks")).to_have_value(f"The {word} was in the ___.")


def test_tokens_are_counted_as_they_are_typed(opened: Opened, models: dict[str, Any]) -> None:
    page = opened("tokens")
    page.get_by_label("Text", exact=True).fill("naïve 🙂")
    page.get_by_label("Price of a million tokens").fill("1000000")
    with page.expect_response("**/tokenize"):
        page.get_by_label("With control tokens").click()
    expect(page.locator(".result .panel").first).to_contain_text("costs")
    ids = list(models["gpt2"].tokenizer.encode("naïve 🙂").ids)
    cards = page.locator(".panel", has=page.get_by_role("heading", name="gpt2")).locator(".cut small")
    expect(cards).to_have_text(list(map(str, ids)))


def test_a_problem_stands_where_the_answer_would(opened: Opened) -> None:
    page = opened("fill")
    page.get_by_label("A text with blanks").fill("nothing is missing")
    page.get_by_role("button", name="Fill the blanks").click()
    expect(page.get_by_role("alert")).to_contain_text("The text has no blank to fill")


def test_what_was_shown_is_there_after_another_tab(opened: Opened) -> None:
    page = opened("inside/surprise")
    shown(page)
    page.get_by_role("tab", name="Tokens").click()
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".heat-token").first).to_be_visible()
    page.goto(page.url.partition("#")[0] + "#inside/lens")
    expect(page.locator(".lens-cell").first).to_be_visible()
    expect(page.get_by_label("Layers")).to_be_checked()


def test_a_phone_scrolls_down_only(opened: Opened) -> None:
    phone = {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True}
    page = opened("fill", **phone)
    for tab in ("fill", "tokens", "inside/attention", "inside/lens", "inside/words", "inside/surprise"):
        page.goto(page.url.partition("#")[0] + f"#{tab}")
        name, _, view = tab.partition("/")
        page.locator(f".tab-{name}" + (f" input[value={view}]:checked" if view else "")).wait_for(state="attached")
        shown(page) if tab != "fill" else None
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, tab
