"""The playground's drawings in a real browser, each held against the same thing worked out here in Python."""

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, Route, expect  # noqa: E402

FOLDER = Path(str(files("trivium.serving"))) / "playground"
KINDS = {".js": "text/javascript", ".css": "text/css"}
SHEET = '<!doctype html><link rel="stylesheet" href="app.css"><link rel="stylesheet" href="inside.css"><main></main>'


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page beside our modules; what a test needs of them it imports."""

    def file(route: Route) -> None:
        path = FOLDER / route.request.url.rpartition("/")[2]
        if path.name == "empty":
            route.fulfill(body=SHEET, content_type="text/html")
        else:
            route.fulfill(body=path.read_bytes(), content_type=KINDS[path.suffix])

    with chromium.new_context(viewport={"width": 1000, "height": 800}) as context:
        found = context.new_page()
        found.route("**/*", file)
        found.goto("http://playground.test/empty")
        yield found


def called(page: Page, module: str, expression: str, given: Any = None) -> Any:
    """``expression``, in which ``m`` is the module, ``given`` the value and ``main`` the page's element."""
    script = f"""async (given) => {{
      const m = await import("./{module}.js"); const main = document.querySelector("main"); return {expression};
    }}"""
    return page.evaluate(script, given)


# ---- text ----


def test_texts_are_cut_by_the_characters_that_python_counts(page: Page) -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices("aé漢🙂👩‍🚀\u0301 \n", k=draw.randrange(12))) for _ in range(60)]
    cuts = [(text, *sorted(draw.choices(range(14), k=2))) for text in texts]
    found = called(page, "characters", "given.map(([text, start, end]) => m.cutter(text)(start, end))", cuts)
    assert found == [text[start:end] for text, start, end in cuts]


def test_a_token_shows_what_cannot_be_seen_and_hides_no_direction(page: Page) -> None:
    tokens = [" of", "a b", "\x00", "\x1b[2J", "a\u202eb", "\u200b", "", "x" * 40]
    found = called(page, "characters", "given.map((text) => m.tokenLabel(text, 12))", tokens)
    assert found[:2] == ["␣of", "a b"]
    assert not set("".join(found)) & set(map(chr, [*range(32), 127, 0x202E, 0x200B]))
    assert all(found), "an empty label could not be pointed at"
    assert found[-1] == "x" * 11 + "…"


# ---- spans ----


def test_nested_boxes_cover_just_what_the_spans_cover(page: Page) -> None:
    draw = random.Random(1)
    cases = []
    for _ in range(80):
        length = draw.randrange(1, 25)
        pairs = [sorted(draw.choices(range(length + 1), k=2)) for _ in range(draw.randrange(9))]
        cases.append((length, [{"start": s, "end": e, "label": str(n)} for n, (s, e) in enumerate(pairs)]))
    trees = called(page, "marked", "given.map(([length, spans]) => m.nested(spans, length))", cases)
    for (length, spans), tree in zip(cases, trees, strict=True):
        covered: Counter[tuple[int, str]] = Counter()
        waiting = [tree]
        while waiting:
            box = waiting.pop()
            inside = box["inside"]
            assert all(box["start"] <= each["start"] < each["end"] <= box["end"] for each in inside)
            assert all(one["end"] <= two["start"] for one, two in zip(inside, inside[1:], strict=False))
            waiting += inside
            if box["span"]:
                covered.update((at, box["span"]["label"]) for at in range(box["start"], box["end"]))
        assert covered == Counter((at, each["label"]) for each in spans for at in range(each["start"], each["end"]))
        assert length == tree["end"]


def test_marked_text_keeps_every_character_and_makes_no_markup(page: Page) -> None:
    text = "🙂 <b>Ada</b> wrote to <img src=x onerror=alert(1)> Charles"
    spans = [{"start": 2, "end": 12, "label": "<script>", "probability": 0.5}, {"start": 5, "end": 8, "label": "PER"}]
    found = called(
        page, "marked",
        "(main.replaceChildren(m.markedText(given[0], given[1], () => 1)), main.querySelectorAll('.span-label')"
        ".forEach((each) => each.remove()), [main.textContent, main.querySelectorAll('b,img,script').length,"
        " [...main.querySelectorAll('mark')].map((each) => each.textContent)])",
        [text, spans],
    )  # fmt: skip
    assert found == [text, 0, [text[2:12], "Ada"]]


def test_spans_are_given_in_brackets_and_counted_without_them(page: Page) -> None:
    found = called(page, "tasks", "given.map(m.bracketed)", ["[Ada 🙂] met [the [old] king]", "a ] b [", "plain"])
    text = "Ada 🙂 met the old king"
    assert found[0]["text"] == text
    assert [text[s["start"] : s["end"]] for s in found[0]["spans"]] == ["Ada 🙂", "the old king", "old"]
    assert [each["spans"] for each in found[1:]] == [[], []]


# ---- attention ----


def attention(rows: int, columns: int, seed: int) -> list[list[float]]:
    draw = random.Random(seed)
    weights = [[draw.random() ** 8 for _ in range(columns)] for _ in range(rows)]
    return [[round(each / sum(row), 4) for each in row] for row in weights]


def test_pixels_are_as_opaque_as_weights_are_large_in_the_colour_of_the_theme(page: Page) -> None:
    weights = [[0.0, 0.01, 0.25], [0.5, 1.0, 2.0]]
    script = """(() => {
      const canvas = document.createElement("canvas");
      m.paint(canvas, given, [31, 95, 174]);
      return [canvas.width, canvas.height, [...canvas.getContext("2d").getImageData(0, 0, 3, 2).data]];
    })()"""
    width, height, data = called(page, "pixels", script, weights)
    assert (width, height) == (3, 2)
    assert data[3::4] == [round(255 * math.sqrt(min(each, 1))) for row in weights for each in row]
    assert data[4 * 4 : 4 * 4 + 3] == [31, 95, 174]


def test_the_theme_repaints_what_is_drawn(page: Page) -> None:
    script = """(async () => {
      const drawing = m.matrix({ queries: ["a"], keys: ["a"], label: "x" });
      main.replaceChildren(drawing.node);
      drawing.show([[1]]);
      const colour = () => [...drawing.node.querySelector("canvas").getContext("2d").getImageData(0, 0, 1, 1).data];
      const found = [];
      for (const theme of ["light", "dark"]) {
        document.documentElement.dataset.theme = theme;
        await new Promise(requestAnimationFrame); // what watches the theme was called by then
        found.push(colour());
      }
      delete document.documentElement.dataset.theme;
      return found;
    })()"""
    assert called(page, "matrix", script) == [[0x1F, 0x5F, 0xAE, 255], [0x7C, 0xB0, 0xF2, 255]]


def test_the_lines_of_a_token_are_those_with_a_weight_and_of_all_the_strongest(page: Page) -> None:
    weights = attention(60, 60, 2)
    one, all_ = called(page, "arcs", "[m.strongest(given, 7), m.strongest(given, null)]", weights)
    assert sorted(each["key"] for each in one) == [key for key, each in enumerate(weights[7]) if each >= 0.004]
    flat = sorted((each for row in weights for each in row if each >= 0.05), reverse=True)[:300]
    assert sorted((each["weight"] for each in all_), reverse=True) == flat


def test_arrow_keys_go_through_the_matrix_and_say_each_weight(page: Page) -> None:
    queries, keys = ["It", " was", " tired"], ["The", " animal"]
    weights = [[0.5, 0.5], [0.25, 0.75], [0.62, 0.38]]
    called(
        page, "matrix",
        "(window.picked = [], window.drawing = m.matrix({ ...given, label: 'attention', onpick: (...at) =>"
        " window.picked.push(at) }), main.replaceChildren(drawing.node), drawing.show(given.weights))",
        {"queries": queries, "keys": keys, "weights": weights},
    )  # fmt: skip
    page.get_by_role("group", name="attention").focus()
    for key, (row, column) in (("ArrowDown", (1, 0)), ("End", (1, 1)), ("PageDown", (2, 1)), ("ArrowRight", (2, 1))):
        page.keyboard.press(key)
        said = page.locator(".readout").inner_text()
        share = f"{100 * weights[row][column]:.0f} %"
        assert share in said and f"({row + 1}) gives" in said and f"({column + 1})." in said, (key, said)
    assert page.evaluate("window.picked") == [[1, 0], [1, 1], [2, 1], [2, 1]]


def test_a_thousand_tokens_are_drawn_and_pointed_at(page: Page) -> None:
    called(
        page, "matrix",
        "(window.tokens = Array.from({ length: 1000 }, (_, at) => `t${at}`),"
        " window.drawing = m.matrix({ queries: tokens, keys: tokens, label: 'long' }),"
        " main.replaceChildren(drawing.node),"
        " drawing.show(tokens.map((_, row) => tokens.map((_, key) => (row === key ? 1 : 0)))))",
    )  # fmt: skip
    page.locator(".matrix-cells").hover(position={"x": 41, "y": 41})
    expect(page.locator(".readout")).to_have_text("t20 (21) gives 100 % of its attention to t20 (21).")


@pytest.mark.parametrize(
    ("tokens", "layers", "heads", "part"),
    [(20, 12, 12, "all"), (69, 12, 12, "all"), (70, 12, 12, "layer"), (241, 12, 12, "layer"), (242, 12, 12, "head")],
)
def test_long_texts_are_asked_for_in_parts(page: Page, tokens: int, layers: int, heads: int, part: str) -> None:
    assert called(page, "inside_attention", "m.portion(...given)", [tokens * tokens, layers, heads]) == part


# ---- moving about ----


def test_keys_move_in_a_grid_and_never_out_of_it(page: Page) -> None:
    keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "x"]
    script = "given.map(([key, at, count, columns, ctrlKey]) => m.next({ key, ctrlKey }, at, count, columns))"
    cases = [(key, at, 10, 4, held) for key in keys for at in range(10) for held in (False, True)]

    def expected(key: str, at: int, count: int, columns: int, held: bool) -> int | None:
        row, column = divmod(at, columns)
        last = min((row + 1) * columns, count) - 1
        to = {
            "ArrowLeft": at - 1 if column else at,
            "ArrowRight": at + 1 if at < last else at,
            "ArrowUp": at - columns,
            "ArrowDown": at + columns,
            "Home": 0 if held else row * columns,
            "End": count - 1 if held else last,
        }.get(key, at)
        return to if to != at and 0 <= to < count else None

    assert called(page, "roving", script, cases) == [expected(*case) for case in cases]


# ---- maps, prices, groups ----


def test_labels_of_a_map_overlap_neither_points_nor_each_other(page: Page) -> None:
    draw = random.Random(4)
    points = [{"x": draw.gauss(0, 1), "y": draw.gauss(0, 1)} for _ in range(40)]
    labels = ["word" * draw.randrange(1, 4) for _ in points]
    script = "((paper) => [paper, m.placed(paper, given[1], 640, 400)])(m.onPaper(given[0], 640, 400))"
    paper, places = called(page, "scatter", script, [points, labels])
    assert all(0 <= x <= 640 and 0 <= y <= 400 for x, y in paper)
    unit = math.dist(paper[0], paper[1]) / math.dist(points[0].values(), points[1].values())
    apart = math.dist(points[5].values(), points[9].values())
    assert math.dist(paper[5], paper[9]) == pytest.approx(unit * apart), "the axes have different scales"
    boxes = []
    for place, label in zip(places, labels, strict=True):
        if place is not None:
            x, y, anchor = place
            left = x - {"start": 0, "middle": 0.5, "end": 1}[anchor] * 7 * len(label)
            boxes.append((left, y - 12, left + 7 * len(label), y + 3.75))
    assert len(boxes) > 20
    for n, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and top >= 0 and right <= 640 and bottom <= 400
        assert not any(left < r and right > x and top < b and bottom > y for x, y, r, b in boxes[n + 1 :])
        # Its own point touches the label's edge at most.
        assert sum(left < x < right and top < y < bottom for x, y in paper) == 0


def test_one_point_is_a_map(page: Page) -> None:
    assert called(page, "scatter", "m.onPaper(given, 640, 400)", [{"x": 3, "y": 4}] * 2) == [[320, 200]] * 2


def test_a_price_has_digits_that_say_something(page: Page) -> None:
    found = called(page, "tokens", "given.map(([count, price]) => m.cost(count, price))", [
        [1_000_000, 2.5], [31, 0.5], [0, 3], [10, 0], [123_456_789, 10], [1, 0.01],
    ])  # fmt: skip
    assert found[0] == "2.50" and found[2:4] == ["0", "0"] and found[4] == "1234.57"
    assert float(found[1]) == pytest.approx(31 * 0.5 / 1e6, rel=0.05)
    assert float(found[5]) == pytest.approx(1e-8)


def test_models_that_cut_a_text_alike_share_a_picture(page: Page) -> None:
    one, other = {"tokens": [{"id": 1, "text": "a"}]}, {"tokens": [{"id": 2, "text": "a"}]}
    answers = [{"status": "fulfilled", "value": each} for each in (one, other, one)]
    answers.append({"status": "rejected", "reason": "gone"})
    groups = called(page, "tokens", "m.alike(['a', 'b', 'c', 'd'], given).map((each) => each.names)", answers)
    assert groups == [["a", "c"], ["b"], ["d"]]


def test_a_filled_text_is_the_users_with_words_in_its_blanks(page: Page) -> None:
    script = "given.map(([text, words]) => m.filledParts(m.around(text), words).map((each) => each.text).join(''))"
    cases = [
        ["The ___ rose and <mask> it.", [" river", " drowned"]],
        ["The ___ rose and <mask> it.", [None, " drowned"]],
        ["un[MASK]able ____", ["believ", " end"]],
        ["<extra_id_0> first", [" At"]],
    ]
    assert called(page, "fill", script, cases) == [
        "The river rose and drowned it.", "The ___ rose and drowned it.", "unbelievable end", "At first",
    ]  # fmt: skip


# ---- what fine-tuned models say ----

SAID: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"text": "good"}, {"label": "good", "probabilities": {"good": 0.9, "bad": 0.1}}, ["good", "90 %", "bad"]),
    ({"text": "good"}, {"labels": [], "probabilities": {"joy": 0.2}}, ["none of its labels", "joy"]),
    ({"text": "a", "text2": "b"}, {"label": 3.25}, ["3.250"]),
    ({"question": "?", "options": ["ice", "steam"]}, {"choice": "ice", "index": 0, "probabilities": [0.8, 0.2]},
     ["ice", "80 %", "steam"]),
    ({"text": "Ada ran"}, {"words": ["Ada", "ran"], "tags": ["NOUN", "VERB"], "probabilities": [0.9, 0.8]},
     ["Ada", "NOUN", "VERB"]),
    ({"text": "Ada ran"}, {"words": ["Ada", "ran"], "tags": ["B-PER", "O"], "probabilities": [0.9, 0.8],
     "entities": [{"type": "PER", "text": "Ada", "start": 0, "end": 3, "first": 0, "last": 0}]}, ["Ada", "PER"]),
    ({"text": "Ada ran"}, {"words": ["Ada", "ran"], "spans": []}, ["It found none."]),
    ({"words": ["Ada", "ran"]}, {"spans": [{"label": "PER", "probability": 0.7, "first": 0, "last": 0, "text": "Ada"}]},
     ["Ada", "PER", "70 %"]),
    ({"text": "Ada met Bo"}, {"relations": [{"label": "met", "probability": 0.6, "head": 0, "tail": 1,
     "head_text": "Ada", "tail_text": "Bo"}]}, ["Ada", "met →", "Bo"]),
    ({"question": "?", "context": "It rises here."}, {"answer": "here", "start": 9, "end": 13, "probability": 0.6,
     "no_answer_probability": 0.1, "alternatives": [{"answer": "rises", "start": 3, "end": 8, "probability": 0.2}]},
     ["It rises here", "60 %", "no answer", "10 %", "20 %"]),
    ({"question": "?", "context": "It rises."}, {"answer": "", "start": None, "end": None, "probability": 0.9,
     "no_answer_probability": 0.9, "alternatives": []}, ["The document does not say."]),
    ({"source": "x"}, {"output": "A summary.", "probability": 1.25e-5}, ["A summary.", "0.0000125"]),
    ({"text": "x"}, {"output": "follows", "label": "yes", "probability": 0.5}, ["follows", "It means the label yes"]),
    ({"messages": []}, {"reward": -1.5}, ["-1.500"]),
    ({"prompt": "x"}, {"reward_chosen": 1.0, "reward_rejected": 2.0, "right": False}, ["It prefers the second reply"]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said", "shown"), SAID, ids=[json.dumps(said)[:40] for _, said, _ in SAID])
def test_every_kind_of_prediction_is_drawn(
    page: Page, given: dict[str, Any], said: dict[str, Any], shown: list[str]
) -> None:
    drawn = "(main.replaceChildren(...m.predicted(...given)), main.textContent)"
    text = called(page, "predictions", drawn, [given, said, []])
    assert not [each for each in shown if each not in text], text
