"""The report is whole, well formed, offline and cannot be injected into."""

import re
from html.parser import HTMLParser

import pytest

from trivium.errors import TriviumError
from trivium.lab import Shown, Token, code, fills, key_figures, note, page, prose, samples, table
from trivium.lab.report import Sample, Section
from trivium.views.markup import html, number, writable

from .demo_page import HOSTILE, demo

VOID = {"meta", "input", "img", "br", "link"}


class Outline(HTMLParser):
    """Balances tags and collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def outline(markup: str) -> Outline:
    parser = Outline()
    parser.feed(markup)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def parsed() -> Outline:
    return outline(demo())


def test_page_is_well_formed(parsed: Outline) -> None:
    assert len(parsed.ids) == len(set(parsed.ids))
    targets = {a["href"] for tag, a in parsed.tags if tag == "a"}
    assert targets == {f"#s{i}" for i in range(1, 7)}
    assert {t[1:] for t in targets if t} <= set(parsed.ids)
    assert [tag for tag, _ in parsed.tags if tag == "h1"] == ["h1"]
    assert all(a.get("aria-label") for tag, a in parsed.tags if a.get("role") == "img")
    inputs = {a["id"] for tag, a in parsed.tags if tag == "input"}
    assert inputs == {a["for"] for tag, a in parsed.tags if tag == "label"}


def test_page_loads_and_runs_nothing(parsed: Outline) -> None:
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"script", "img", "link", "iframe", "object", "form", "base"})
    for _, attributes in parsed.tags:
        assert not any(name.startswith("on") or name in {"src", "srcset", "xlink:href"} for name in attributes)
    policy = next(a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    written = demo()
    assert "@import" not in written
    assert "url(" not in written
    assert not re.search(r"https?://", written)


@pytest.mark.parametrize(
    "piece",
    [
        prose(HOSTILE),
        prose(f"a `{HOSTILE}` b"),
        note(HOSTILE),
        code(HOSTILE, label=HOSTILE),
        key_figures({HOSTILE: HOSTILE}),
        table([HOSTILE, "b"], [[HOSTILE, Shown(1.0, HOSTILE)]], caption=HOSTILE, best={"b": "max"}),
        samples([Sample(HOSTILE, [Token(HOSTILE), Token(HOSTILE, 0.5, [(HOSTILE, 0.1)])], HOSTILE)]),
        fills(HOSTILE, HOSTILE, [(HOSTILE, 0.2)], HOSTILE),
    ],
)
def test_hostile_text_stays_text(piece: str) -> None:
    seen = outline(page(HOSTILE, [Section(HOSTILE, [piece], HOSTILE)], subtitle=HOSTILE, meta=[HOSTILE]))
    assert {tag for tag, _ in seen.tags}.isdisjoint({"script", "img"})
    assert "alert(1)</script>" in "".join(seen.text)


def test_every_byte_can_be_written_and_controls_are_visible() -> None:
    text = writable("".join(map(chr, [*range(0x300), *range(0xD7F0, 0xE010), 0xFFFE, 0x1F600])))
    assert text.encode("utf-8").decode("utf-8") == text
    assert "\x00" not in text
    assert "\N{SYMBOL FOR NULL}" in text
    assert "\n" in text
    assert "\N{GRINNING FACE}" in text


def test_table_marks_the_best_and_aligns_numbers() -> None:
    rows = [["ours", Shown(34.2, "34.2 ± 1.4"), 12.5], ["theirs", Shown(27.0, "27.0 ± 0.9"), 0.8], ["none", None, 3]]
    markup = str(table(["Method", "Accuracy", "Seconds"], rows, best={"Accuracy": "max", "Seconds": "min"}))
    assert re.findall(r"<b>(.*?)</b>", markup) == ["34.2 ± 1.4", "0.8"]
    assert markup.count('<td class="num">') == 6
    assert '<th scope="row">ours</th>' in markup


def test_table_with_a_short_row_is_refused() -> None:
    with pytest.raises(TriviumError, match="1 cells under 2 columns"):
        table(["a", "b"], [["only one"]])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (3.0, "3"),
        (12.34, "12.3"),
        (0.012345, "0.0123"),
        (0.8, "0.8"),
        (1234.56, "1,235"),
        (0.0000321, "3.21e\N{MINUS SIGN}05"),
        (-1.5, "\N{MINUS SIGN}1.5"),
        (float("nan"), "nan"),
        (0.0, "0"),
    ],
)
def test_numbers_as_people_read_them(value: float, text: str) -> None:
    assert number(value) == text


def test_probabilities_shade_tokens() -> None:
    markup = str(
        samples([Sample("s", [Token("given"), Token("sure", 1.0), Token("unsure", 0.04), Token("half", 0.55)])])
    )
    shown = dict(re.findall(r'<span class="(?:token )?(\w+)"[^>]*>(sure|unsure|half|given)</span>', markup))
    assert shown == {"given": "given", "p9": "sure", "p0": "unsure", "p5": "half"}
    assert "55.0% &#39;half&#39;" in markup


def test_fills_show_probabilities_and_the_answer() -> None:
    markup = str(fills("Return the", "of items.", [(" number", 0.62), (" sum", 0.06)], " number"))
    assert "62.0 %" in markup
    assert "width:62.00%" in markup
    assert re.findall(r'class="right"><th scope="row">(\w+)<', markup) == ["number"]


def test_prose_sets_code_and_keeps_an_odd_backtick() -> None:
    assert str(prose("run `make` now")) == "<p>run <code>make</code> now</p>"
    assert str(prose("it`s")) == "<p>it`s</p>"


def test_html_escapes_values_but_not_markup() -> None:
    assert html("<i>{}{}</i>", "<b>", html("<b>{}</b>", 1)) == "<i>&lt;b&gt;<b>1</b></i>"
