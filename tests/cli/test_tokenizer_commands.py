"""The commands on tokenizers: what they print, what they write, and how they refuse."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trivium.cli.tokenizer import ALGORITHMS as NAMED
from trivium.tokenizers import ALGORITHMS, Tokenizer
from trivium.tokenizers.formats import FORMATS

HUGS = "hug " * 10 + "pug " * 5 + "pun " * 12 + "bun " * 4 + "hugs " * 5


@pytest.fixture
def hugs(tmp_path: Path) -> Path:
    path = tmp_path / "hugs.txt"
    path.write_text(HUGS)
    return path


def test_help_names_every_algorithm_and_format(trivium_command) -> None:
    assert NAMED.split(", ") == list(ALGORITHMS)
    for command in ("train", "compare"):
        shown = "".join(trivium_command("tokenizer", command, "--help").out.split())
        assert all(name in shown for name in ALGORITHMS), command
    shown = "".join(trivium_command("tokenizer", "convert", "--help").out.split())
    assert all(name in shown for name in FORMATS)


def test_wordpiece_by_its_score_and_by_frequency(trivium_command, hugs: Path, tmp_path: Path) -> None:
    """The worked example: seven merges on an alphabet of seven; the two rules part at the first."""
    learnt = {}
    for algorithm in ("wordpiece", "wordpiece-bpe"):
        out = tmp_path / algorithm
        made = trivium_command("tokenizer", "train", hugs, "--algorithm", algorithm, "--vocab-size", 51, "--out", out)
        assert made.code == 0 and f"{algorithm}, 51 tokens from 1 document of {len(HUGS)} bytes" in made.out
        tokenizer = Tokenizer.load(out)
        learnt[algorithm] = [tokenizer.piece(number) for number in range(44, 51)]
    assert learnt["wordpiece"] == ["##gs", "hu", "hugs", "hug", "pu", "bu", "bun"]
    assert learnt["wordpiece-bpe"] == ["##ug", "##un", "hug", "pun", "pug", "hugs", "bun"]


def test_settings_of_an_algorithm(trivium_command, hugs: Path, tmp_path: Path) -> None:
    arguments = ("tokenizer", "train", hugs, "--algorithm", "bpe-words", "--vocab-size", 50)
    made = trivium_command(*arguments, "--set", "ties=first", "--set", "end=symbol", "--out", tmp_path / "a", "--json")
    assert json.loads(made.out)["options"] | {"ties": "first", "end": "symbol"} == json.loads(made.out)["options"]
    wrong = trivium_command(*arguments, "--set", "tie=first", "--out", tmp_path / "b")
    assert wrong.code == 2 and "there is no setting tie: did you mean ties?" in wrong.err
    wrong = trivium_command(*arguments, "--set", "ties=last", "--out", tmp_path / "b")
    assert wrong.code == 2 and "ties" in wrong.err and "'first'" in wrong.err
    wrong = trivium_command("tokenizer", "train", hugs, "--algorithm", "word-piece", "--out", tmp_path / "b")
    assert wrong.code == 2 and "did you mean wordpiece?" in wrong.err and wrong.err.count("\n") == 1


def test_memory_and_samples(trivium_command, text_file: Path, tmp_path: Path) -> None:
    arguments = ("tokenizer", "train", text_file, "--vocab-size", 320)
    made = trivium_command(*arguments, "--out", tmp_path / "a", "--memory", "512MiB", "--json")
    assert made.code == 0 and json.loads(made.out)["share"] == 1.0 and made.err == ""
    part = trivium_command(*arguments, "--out", tmp_path / "b", "--sample", "5kB", "--seed", 3, "--json")
    share = json.loads(part.out)["share"]
    assert 0 < share <= 5000 / json.loads(part.out)["bytes"] and f"learnt from a sample of {share:.1%}" in part.err
    small = trivium_command(*arguments, "--algorithm", "wordpiece", "--out", tmp_path / "c", "--memory", "1kB")
    assert small.code == 4 and small.err.count("\n") == 1 and "memory" in small.err
    for wrong in ("2 bananas", "0", "-3GB", "GB"):
        refused = trivium_command(*arguments, "--out", tmp_path / "d", f"--sample={wrong}")
        assert refused.code == 2 and "2GB, 512MiB or 32000000" in refused.err or "at least one byte" in refused.err


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)


def test_show_marks_boundaries_words_and_control_tokens(trivium_command, hugs: Path, tmp_path: Path) -> None:
    made = trivium_command(
        "tokenizer", "train", hugs, "--algorithm", "wordpiece", "--vocab-size", 51, "--out", tmp_path / "t"
    )
    assert made.code == 0
    page = tmp_path / "page.html"
    hostile = "hugs bun<script>alert(1)</script>\x1b[31m [SEP] x"
    shown = trivium_command("tokenizer", "show", tmp_path / "t", "--text", hostile, "--html", page)
    assert "hugs|bun|" in shown.out and "unknown" in shown.out and "\x1b" not in shown.out
    assert "special tokens: [PAD]=0 [CLS]=1 [SEP]=2" in shown.out and "wrote" in shown.err
    text = page.read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(text)
    assert "script" not in tags.seen and "&lt;" in text and "\x1b" not in text
    view = json.loads(trivium_command("tokenizer", "show", tmp_path / "t", "--text", hostile, "--json").out)
    words = [piece["word"] for piece in view["pieces"]]
    assert words == sorted(words) and {piece["kind"] for piece in view["pieces"]} == {"piece", "unknown"}
    assert all(piece["text"] == hostile[piece["start"] : piece["end"]] for piece in view["pieces"])
    refused = trivium_command("tokenizer", "show", tmp_path / "t", "--html", page)
    assert refused.code == 2 and "give one with --text" in refused.err
    nowhere = tmp_path / "missing" / "page.html"
    for refused in (
        trivium_command("tokenizer", "show", tmp_path / "t", "--text", hostile, "--html", nowhere),
        trivium_command("tokenizer", "compare", tmp_path / "no-text.txt", "--out", nowhere),
    ):
        assert refused.code == 2 and "a file in a folder that exists" in refused.err


def test_compare(trivium_command, text_file: Path, tmp_path: Path) -> None:
    trivium_command("tokenizer", "train", text_file, "--vocab-size", 330, "--out", tmp_path / "saved")
    page = tmp_path / "report.html"
    arguments = ("tokenizer", "compare", text_file, "--algorithms", "words,characters,bpe", "--sizes", "60,330")
    outcome = trivium_command(*arguments, "--tokenizer", tmp_path / "saved", "--out", page, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    rows = {(row["name"], row["vocab_size"]): row["report"] for row in found["rows"]}
    assert set(rows) == {("words", 60), ("characters", 60), ("bpe", 330), (str(tmp_path / "saved"), 330)}
    assert len(found["left_out"]) == 3 and "held-out documents" in found["measured_on"]
    assert rows["words", 60]["tokens"] < rows["bpe", 330]["tokens"] < rows["characters", 60]["tokens"]
    assert rows["words", 60]["unknown_words"] > 0 == rows["bpe", 330]["unknown_words"]
    assert rows["bpe", 330]["bytes"] == rows["words", 60]["bytes"]
    assert "Frequent words" in page.read_text(encoding="utf-8")
    text = trivium_command(*arguments)
    assert "measured on" in text.out and "left out: bpe, 60 tokens" in text.out and "splits most" in text.out
    wrong = trivium_command(*arguments[:3], "--sizes", "many")
    assert wrong.code == 2 and "1000,8000" in wrong.err
    nothing = trivium_command("tokenizer", "compare", text_file, "--algorithms", "", "--sizes", "300")
    assert nothing.code == 2 and "nothing is left to compare" in nothing.err


def test_convert(trivium_command, hugs: Path, tmp_path: Path) -> None:
    arguments = ("tokenizer", "train", hugs, "--algorithm", "wordpiece", "--vocab-size", 51)
    trivium_command(*arguments, "--out", tmp_path / "t")
    made = trivium_command("tokenizer", "convert", tmp_path / "t", tmp_path / "bert" / "vocab.txt")
    assert made.code == 0 and "51 tokens, which give the same ids" in made.out
    assert (tmp_path / "bert" / "vocab.txt").read_text().split()[44:46] == ["##gs", "hu"]
    again = trivium_command(
        "tokenizer", "convert", tmp_path / "bert", tmp_path / "back", "--to", "tokenizer.json", "--json"
    )
    assert json.loads(again.out)["vocab_size"] == 51
    refused = trivium_command("tokenizer", "convert", tmp_path / "t", tmp_path / "x", "--to", "merges.txt")
    assert refused.code == 3 and refused.err.count("\n") == 1 and "which WordPiece has none of" in refused.err


def test_a_place_that_cannot_be_written_is_told_before_the_work(trivium_command, hugs: Path, tmp_path: Path) -> None:
    below = hugs / "below"
    for arguments in (
        ("tokenizer", "train", tmp_path / "missing.txt", "--out", below),
        ("tokenizer", "compare", tmp_path / "missing.txt", "--out", below),
    ):
        refused = trivium_command(*arguments)
        assert refused.code == 2 and "hugs.txt is a file and no folder" in refused.err, refused.err
    refused = trivium_command("tokenizer", "compare", hugs, "--out", tmp_path)
    assert refused.code == 2 and "is a folder: name a file" in refused.err


def test_compare_trains_each_pair_once_and_keeps_words_apart(trivium_command, text_file: Path) -> None:
    made = trivium_command("tokenizer", "compare", text_file, "--algorithms", "bpe,bpe", "--sizes", "320,320")
    assert made.err == "bpe, 320 tokens\n"
    split = next(line for line in made.out.splitlines() if "splits most" in line)
    assert ", " in split and ",\N{OPEN BOX}" not in split


def test_convert_spares_the_config_of_another_tokenizer(trivium_command, hugs: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        arguments = ("--algorithm", "wordpiece", "--vocab-size", 51, "--out", tmp_path / name)
        assert trivium_command("tokenizer", "train", hugs, *arguments).code == 0
    config = tmp_path / "other" / "tokenizer_config.json"
    before = config.read_bytes()
    refused = trivium_command("tokenizer", "convert", tmp_path / "one", tmp_path / "other" / "vocab.txt")
    assert refused.code == 2 and "tokenizer_config.json exists already" in refused.err
    assert config.read_bytes() == before and not (tmp_path / "other" / "vocab.txt").exists()


def test_settings_that_would_learn_nothing(trivium_command, hugs: Path, tmp_path: Path) -> None:
    for setting in ("threads=0", "seed_pieces=0"):
        arguments = ("--algorithm", "unigram", "--vocab-size", 310, "--set", setting, "--out", tmp_path / "u")
        refused = trivium_command("tokenizer", "train", hugs, *arguments)
        assert refused.code == 2 and "it is at least 1" in refused.err
