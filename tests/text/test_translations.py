"""Translations that occur by themselves in text."""

import json
import time
from pathlib import Path

import pytest

from trivium.cli.run import run
from trivium.errors import SettingsError
from trivium.text.translations import natural_translations

TEXTS = [
    'I hate the word "perfume", she says. It is somewhat better in French: "parfum".',
    'He wrote a book. "Gemütlich" is German for cosy.',
    'As they say in Spanish, "mañana". Nothing here in French. She lives in France.',
    'The dish, called "sushi" in Japanese, is old. “Brevis” means short in Latin.',
    'She said "hello" to the French man. In French schools they sing.',
]


def test_sentences_that_name_a_language_beside_a_quotation() -> None:
    found = [(each.document, each.language, each.quoted) for each in natural_translations(TEXTS)]
    assert found == [
        (0, "French", ("parfum",)), (1, "German", ("Gemütlich",)), (2, "Spanish", ("mañana",)),
        (3, "Japanese", ("sushi",)), (3, "Latin", ("Brevis",)),
    ]  # fmt: skip
    assert [each.language for each in natural_translations(TEXTS, ["Latin"])] == ["Latin"]
    with pytest.raises(SettingsError, match="a language has no name"):
        list(natural_translations(TEXTS, [" "]))


@pytest.mark.parametrize(
    "text",
    ["." * 50_000, 'in French "' * 5_000, "“" * 20_000, "a. A" * 20_000, 'means "x ' * 3_000,
     ('means "x ' * 50 + "\n") * 50],
)  # fmt: skip
def test_hostile_text_takes_no_time(text: str) -> None:
    begun = time.process_time()
    list(natural_translations([text]))
    assert time.process_time() - begun < 5


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.txt"
    file.write_text("\n\n".join(TEXTS), encoding="utf-8")
    assert run(["translations", str(file), "--language", "French"]) == 0
    out, err = capfd.readouterr()
    assert out == 'French: It is somewhat better in French: "parfum".\n' and "1 found" in err
    assert run(["translations", str(file), "--json", "--limit", "2"]) == 0
    assert len(json.loads(capfd.readouterr().out)) == 2
    assert run(["translations", str(file), "--language", "Greek"]) == 0
    assert capfd.readouterr() == ("", "0 found\n")  # and no empty line
    assert run(["translations", str(file), "--limit", "0"]) == 2
