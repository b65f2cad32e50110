"""C4's rules (Raffel et al. 2020, section 2.2) on pages written for each, and repeats against a list of all spans."""

import random

import pytest

from trivium.errors import DataError, SettingsError
from trivium.text.cleaning import Cleaner, Cleaning, sentences_of

GOOD = "The first line of this page is fine.\nHere is the second one, as good!\nDoes the third one end well, too?"


def left(page: str, **settings: object) -> str | None:
    return Cleaner(Cleaning(**settings)).page(page)


def test_a_good_page_stays_as_it_is() -> None:
    assert left(GOOD) == GOOD
    assert left('He said: "This line ends in a quote."\n' + GOOD) is not None


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("A line without any mark at its end", "terminal"),
        ("A line that trails off at its end...", "terminal"),
        ("Only four words here.", "words"),
        ("Please enable Javascript to see this page.", "javascript"),
        ("We and our partners use cookies on this site.", "policy"),
        ("Read the Privacy Policy of this web site now.", "policy"),
    ],
)
def test_a_line_that_breaks_a_rule_goes_alone(line: str, rule: str) -> None:
    cleaner = Cleaner(Cleaning())
    assert cleaner.page(f"{line}\n{GOOD}\n\n{line}") == GOOD
    assert cleaner.report.lines_by == {rule: 2} and cleaner.report.lines == 5
    off = {"terminal": False, "words": 0, "javascript": False, "policy": False}[rule]
    assert left(f"{line}\n{GOOD}", **{rule: off}) == f"{line}\n{GOOD}"


@pytest.mark.parametrize(
    ("page", "rule"),
    [
        (GOOD + "\nLorem Ipsum dolor sit amet consectetur.", "lorem_ipsum"),
        (GOOD + "\nif (a) { return b }", "curly"),
        ("This one sentence is the whole page.", "sentences"),
        ("no mark here\nnor any mark there", "no line left"),
    ],
)
def test_a_page_that_breaks_a_rule_goes_as_a_whole(page: str, rule: str) -> None:
    cleaner = Cleaner(Cleaning())
    assert cleaner.page(page) is None
    assert cleaner.report.pages_by == {rule: 1} and cleaner.report.pages_kept == 0


def test_listed_words_are_whole_words(tmp_path) -> None:
    (tmp_path / "bad.txt").write_text("darn\nheck of a\n")
    bad = str(tmp_path / "bad.txt")
    assert left(GOOD + "\nOh DARN, this is a bad line.", bad_words=bad) is None
    assert left(GOOD + "\nThis is one heck of a line.", bad_words=bad) is None
    assert left(GOOD + "\nHe darned his socks all night long.", bad_words=bad) is not None


def test_citations_are_taken_out_of_lines() -> None:
    page = GOOD.replace("fine.", "fine.[1]").replace("good!", "good![citation needed]")
    assert left(page) == GOOD
    assert left(page, citations=False, sentences=1) == GOOD.splitlines()[2]


def test_sentences_join_to_the_line() -> None:
    line = 'Mr Fox said: "Stop!" Nobody did. 3.5 is a number... and on it goes! The end'
    assert "".join(sentences_of(line)) == line
    assert [s.strip() for s in sentences_of(line)] == [
        'Mr Fox said: "Stop!"', "Nobody did.", "3.5 is a number...", "and on it goes!", "The end",
    ]  # fmt: skip


def test_repeated_spans_are_those_of_a_list_of_all() -> None:
    """The filter against a plain set, on pages that copy stretches of each other."""
    draw = random.Random(0)
    pool = [f"This is the sentence with number {n}." for n in range(150)]
    pages = []
    for _ in range(120):
        start = draw.randrange(140)
        pages.append(pool[start : start + draw.randrange(1, 9)] + [f"Own words {len(pages)} make it new here."])
    cleaner = Cleaner(Cleaning(sentences=0, memory=1 << 16))
    seen: set[tuple[str, ...]] = set()
    removed = 0
    for page in pages:
        spans = [tuple(page[i : i + 3]) for i in range(len(page) - 2)]
        again = [span in seen or span in spans[:i] for i, span in enumerate(spans)]
        seen.update(spans)
        stays = [not any(again[max(0, i - 2) : i + 1]) for i in range(len(page))]
        removed += stays.count(False)
        expected = "\n".join(s for s, kept in zip(page, stays, strict=True) if kept)
        assert cleaner.page("\n".join(page)) == expected
    assert removed > 100 and cleaner.report.repeated_sentences == removed
    assert cleaner._seen is not None and cleaner._seen.count == len(seen) and cleaner._seen.chance() < 1e-6


def test_memory_is_bounded_and_says_what_that_costs() -> None:
    cleaner = Cleaner(Cleaning(memory=1024))
    for number in range(2000):
        cleaner.page("\n".join(f"Page {number} has line {turn} just here." for turn in "abc"))
    assert cleaner._seen is not None and cleaner._seen.bits.nbytes == 1024
    assert 0.1 < cleaner._seen.chance() < 1  # what a larger memory would avoid
    assert cleaner.report.pages_by["repeats"] > 0


def test_a_text_of_which_nothing_is_left_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="leave nothing.*1 pages by sentences"):
        list(Cleaner(Cleaning()).of([("a.txt", "This is one sentence alone.")]))
    with pytest.raises(SettingsError, match="clean.words = -1"):
        Cleaning(words=-1)
    with pytest.raises(DataError, match="cannot be read"):
        Cleaner(Cleaning(bad_words=str(tmp_path / "none.txt")))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        Cleaner(Cleaning(bad_words=str(tmp_path / "empty.txt")))
