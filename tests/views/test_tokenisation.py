"""The picture of a text in tokens: every piece is there, kinds are marked, hostile text stays text."""

from html.parser import HTMLParser

from trivium.views.tokenisation import Piece, tokenisation_picture, visible

PIECES = [
    Piece(1, "[CLS]", "", 0, 0, -1, "control"),
    Piece(5, "un", "un", 0, 2, 0),
    Piece(6, "##able", "able", 2, 6, 0),
    Piece(7, "Ġ", " ", 6, 7, -1),
    Piece(8, "<0xF0>", "😀", 7, 8, 1, "byte"),
    Piece(3, "[UNK]", "<img src=x onerror=alert(1)>", 8, 36, 2, "unknown"),
]


class Items(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.classes: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "li":
            self.classes.append(dict(attrs)["class"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_kinds_words_and_hostile_text() -> None:
    items = Items()
    items.feed(str(tokenisation_picture(PIECES)))
    assert items.classes[:6] == ["control", "piece c0", "piece c0", "piece", "byte c1", "unknown c2"]
    assert items.classes[6:] == ["byte", "unknown", "control"]  # the legend
    assert items.tags == {"style", "ol", "ul", "li", "b", "small"}
    assert "<img␣src=x␣onerror=alert(1)>" in items.text and "<0xF0>" in items.text and "[CLS]" in items.text


def test_a_terminal_obeys_nothing_of_a_text() -> None:
    assert visible("a b\t\n\x1b[0m\x07\x9b\u202e") == "a␣b→↵␛[0m␇\ufffd\ufffd"
