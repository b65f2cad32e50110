"""Prompts by name: texts with blanks to be filled, that show a model what it is to do (``src/trivium/templates``).

A template is a TOML file: its ``text`` with ``{names}``, what stands in their place where nothing else is given
(``[fill]``), where the writing ends and how it is done; with ``choices``, which of them fits best. The demonstrations
of GPT-2's and GPT-3's papers are here in our own words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from trivium.errors import SettingsError
from trivium.settings import build, read_toml

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class PromptTemplate:
    """``about``: in one line; ``expects``: texts that an answer should hold; ``sentences``: of an answer that are kept,
    0: all. ``temperature``, ``top_k`` and ``max_tokens`` are what a user leaves at its default."""

    text: str
    about: str = ""
    paper: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    expects: tuple[str, ...] = ()
    sentences: int = 0
    temperature: float = 0.8
    top_k: int = 0
    max_tokens: int = 100

    @property
    def names(self) -> tuple[str, ...]:
        """The blanks, in their order."""
        return tuple(dict.fromkeys(_NAME.findall(self.text)))

    def filled(self, values: Mapping[str, str]) -> "PromptTemplate":
        """With ``values`` in the blanks, which are not read for blanks of their own."""
        for name in values:
            if name not in self.names:
                near = get_close_matches(name, self.names, 1)
                known = ", ".join(self.names) or "none"
                advice = f"did you mean {near[0]}?" if near else f"its blanks are: {known}"
                raise SettingsError(f"the template has no blank {name!r}: {advice}")
        whole = {**self.fill, **values}
        missing = [name for name in self.names if name not in whole]
        if missing:
            raise SettingsError(f"the template's blank {missing[0]!r} is empty: give --fill {missing[0]}=...")
        expects = tuple(_put(each, whole) for each in self.expects)
        return replace(self, text=_put(self.text, whole), expects=expects)


def _put(text: str, values: Mapping[str, str]) -> str:
    return _NAME.sub(lambda found: values.get(found[1], found[0]), text)


def template_names() -> list[str]:
    """The templates that come with Trivium."""
    folder = resources.files("trivium") / "templates"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def prompt_template(name: str | Path) -> PromptTemplate:
    """By its name, or a file: ``.toml`` as those that come with Trivium, or a ``.txt`` that is the text alone."""
    path = Path(name)
    if path.suffix == ".txt":
        try:
            return PromptTemplate(path.read_text(encoding="utf-8").removesuffix("\n"))
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(f"{path} cannot be read: {problem}") from None
    if path.suffix != ".toml":
        names = template_names()
        if str(name) not in names:
            near = get_close_matches(str(name), names, 1)
            advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}"
            raise SettingsError(f"there is no template {str(name)!r}: {advice}, or give a file ending in .toml or .txt")
        with resources.as_file(resources.files("trivium") / "templates" / f"{name}.toml") as file:
            return build(PromptTemplate, read_toml(file))
    return build(PromptTemplate, read_toml(path))


def fills(assignments: list[str]) -> dict[str, str]:
    """``--fill text=Hello`` of a command line; ``\\n`` is a line break."""
    found = {}
    for each in assignments:
        name, equals, text = each.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"--fill {each!r} must look like text=Hello: a blank, = what is put there")
        found[name.strip()] = text.replace("\\n", "\n")
    return found
