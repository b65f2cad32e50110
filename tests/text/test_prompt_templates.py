"""Every prompt that comes with Trivium is filled, and what is wrong with a template is said."""

from pathlib import Path

import pytest

from trivium.errors import SettingsError
from trivium.text.prompt_templates import PromptTemplate, fills, prompt_template, template_names

NAMES = [
    "command", "conversation-question", "emoji", "grammar", "news", "novel-word", "poem", "question", "remove-symbols",
    "sarcasm", "sentiment", "summarise", "table", "topic", "translate", "translate-pairs", "unicorns", "unscramble",
]  # fmt: skip


def test_these_come_with_trivium() -> None:
    assert template_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_line_about_it_and_whole_defaults(name: str) -> None:
    template = prompt_template(name)
    made = template.filled({})
    assert template.about and set(template.fill) == set(template.names) and "{" not in made.text.replace("{}", "")
    assert not made.text.endswith(" "), "a space before the answer belongs to the answer"


def test_what_fills_a_blank_is_not_read_for_blanks() -> None:
    template = PromptTemplate("{a} and {b}", fill={"b": "two"}, expects=("{a}",))
    made = template.filled({"a": "{b} \\ $1"})
    assert made.text == "{b} \\ $1 and two" and made.expects == ("{b} \\ $1",)


def test_files_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Say {what}:\n")
    assert prompt_template(tmp_path / "a.txt").filled({"what": "hello"}).text == "Say hello:"
    (tmp_path / "b.toml").write_text('text = "x {a}"\nstop = ["."]\n')
    assert prompt_template(tmp_path / "b.toml").stop == (".",)
    with pytest.raises(SettingsError, match="the template's blank 'a' is empty: give --fill a="):
        prompt_template(tmp_path / "b.toml").filled({})
    with pytest.raises(SettingsError, match="has no blank 'aa': did you mean a?"):
        prompt_template(tmp_path / "b.toml").filled({"aa": "x"})
    with pytest.raises(SettingsError, match="did you mean translate?"):
        prompt_template("transalte")
    with pytest.raises(SettingsError, match="cannot be read"):
        prompt_template(tmp_path / "none.txt")
    (tmp_path / "c.toml").write_text('txt = "x"\n')
    with pytest.raises(SettingsError, match="txt"):
        prompt_template(tmp_path / "c.toml")
    assert fills(["a=b=c\\nd"]) == {"a": "b=c\nd"}
    with pytest.raises(SettingsError, match="must look like text=Hello"):
        fills(["text"])
