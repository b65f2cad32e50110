"""Few-shot prompts (Brown et al. 2020, section 2.4): a task in words, some examples of it, and one that is left open.

A layout says how an example is written; what stands before ``{answer}`` is what a model is asked. The space before an
answer belongs to the answer, as it does in the tokens of most vocabularies.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trivium.errors import SettingsError
from trivium.text.examples import Choices, Labelled, Pair, Question, Rewrite

ANSWER = "answer"
_FIELD = re.compile(r"\{(\w+)\}")

AnyExample = Labelled | Pair | Choices | Question | Rewrite


@dataclass(frozen=True)
class Case:
    """One example as a prompt writes it. ``fields``: what is given, by name; ``options``: what may be answered, none
    where the answer is free; ``answers``: all that is right, first what a demonstration shows; ``label``: by which
    examples are balanced."""

    place: str
    fields: Mapping[str, str]
    options: tuple[str, ...]
    answers: tuple[str, ...]
    label: str = ""

    @property
    def gold(self) -> int:
        """Which option is right."""
        return self.options.index(self.answers[0])

    @property
    def text(self) -> str:
        """What is given, as one text."""
        return "\n".join(self.fields.values())


@dataclass(frozen=True)
class Layout:
    """``description``: before everything; ``example``: a text with ``{fields}`` and ``{answer}``; ``separator``:
    between the description and all examples. A line whose fields are all empty is left out."""

    description: str = ""
    example: str = "{text}\nAnswer: {answer}"
    separator: str = "\n\n"

    def __post_init__(self) -> None:
        if _FIELD.findall(self.example).count(ANSWER) != 1:
            raise SettingsError(f"the example {self.example!r} must hold {{answer}}, once: it is where a model goes on")
        if not self.separator:
            raise SettingsError("the separator is empty: examples would run into each other; give a line break")

    def check(self, fields: Sequence[str]) -> None:
        """Refuses names that the examples have no field for."""
        unknown = [name for name in _FIELD.findall(self.example) if name not in (*fields, ANSWER)]
        if unknown:
            raise SettingsError(
                f"the example names {{{unknown[0]}}}, and what there is to name is "
                f"{', '.join(f'{{{name}}}' for name in (*fields, ANSWER))}"
            )

    def shown(self, case: Case) -> str:
        """A demonstration, with its answer."""
        before, after = self._around(case.fields)
        return f"{before}{case.answers[0]}{after}"

    def question(self, fields: Mapping[str, str]) -> str:
        """What stands before the answer, without the space that belongs to it."""
        return self._around(fields)[0].rstrip(" ")

    def prompt(self, shown: Sequence[Case], fields: Mapping[str, str]) -> str:
        """Description, demonstrations, and what is asked."""
        parts = [*([self.description] if self.description else []), *map(self.shown, shown), self.question(fields)]
        return self.separator.join(parts)

    @property
    def lead(self) -> str:
        """The space that an answer begins with."""
        before = self.example.partition(f"{{{ANSWER}}}")[0]
        return " " if before.endswith(" ") else ""

    @property
    def answer_context(self) -> str:
        """The words right before an answer, such as ``Answer:``: what an option's own probability is taken after."""
        line = self.example.partition(f"{{{ANSWER}}}")[0].rpartition("\n")[2]
        return _FIELD.split(line)[-1].strip()

    @property
    def after(self) -> str:
        """What a demonstration has behind its answer."""
        return self.example.partition(f"{{{ANSWER}}}")[2]

    def _around(self, fields: Mapping[str, str]) -> tuple[str, str]:
        before, _, after = self.example.partition(f"{{{ANSWER}}}")
        return _filled(before, fields), _filled(after, fields)


def _filled(text: str, fields: Mapping[str, str]) -> str:
    """A line whose fields are all empty goes, unless it is the last one, where the answer stands."""
    lines = text.split("\n")
    kept = []
    for number, line in enumerate(lines):
        names = _FIELD.findall(line)
        if names and number < len(lines) - 1 and not any(fields.get(name) for name in names):
            continue
        kept.append(_FIELD.sub(lambda found: fields.get(found[1], found[0]), line))
    return "\n".join(kept)


def fields_of(example: AnyExample) -> dict[str, str]:
    """What is given, by the names that layouts have for it."""
    if isinstance(example, Labelled):
        return {"text": example.text}
    if isinstance(example, Pair):
        return {"text": example.first, "text2": example.second}
    if isinstance(example, Choices):
        return {"context": example.context, "question": example.question}
    if isinstance(example, Question):
        return {"context": example.context, "question": example.question}
    return {"source": example.source}


def case_of(place: str, example: AnyExample, words: Mapping[str, str]) -> Case:
    """``words``: what stands for each label in a prompt; of examples with labels, these are the options."""
    fields = {name: text.strip() for name, text in fields_of(example).items()}
    if isinstance(example, Labelled | Pair):
        return Case(place, fields, tuple(words.values()), (words[example.label],), example.label)
    if isinstance(example, Choices):
        assert example.label is not None
        return Case(place, fields, example.options, (example.options[example.label],), str(example.label))
    if isinstance(example, Question):
        return Case(place, fields, (), tuple(dict.fromkeys(each.text for each in example.answers)))
    return Case(place, fields, (), (example.target, *example.others))


def suggested(kind: str, labels: Sequence[str] = (), pair: bool = False) -> Layout:
    """A layout for examples of a kind (``sequence``, ``choices``, ``answers``, ``rewriting``), by their labels where
    these tell what is asked."""
    if kind == "choices":
        return Layout("", "{context}\nQuestion: {question}\nAnswer: {answer}")
    if kind == "answers":
        return Layout("", "{context}\nQ: {question}\nA: {answer}")
    if kind == "rewriting":
        return Layout("", "Input: {source}\nOutput: {answer}")
    named = frozenset(label_word(label).lower() for label in labels)
    for known, single, double in _KNOWN:
        if named <= known and len(named) > 1:
            found = double if pair else single
            if found is not None:
                return found
    listed = _listed([label_word(label) for label in labels]) if len(labels) <= 8 else ""
    description = f"Each text is answered with one of: {listed}." if listed else ""
    example = "Text 1: {text}\nText 2: {text2}\nAnswer: {answer}" if pair else "Text: {text}\nAnswer: {answer}"
    return Layout(description, example)


_SENTIMENT = frozenset("positive negative neutral very great terrible".split()) | {"very positive", "very negative"}
_ENTAILMENT = frozenset("entailment contradiction neutral true false neither yes no maybe".split()) | {"not entailment"}
_TRUTH = frozenset(("true", "false", "yes", "no"))
_SAME = frozenset(("equivalent", "not equivalent", "duplicate", "not duplicate", "paraphrase", "not paraphrase"))
_TOPICS = frozenset(
    "world sports sport business technology tech science politics finance entertainment health sci/tech".split()
)
_GRAMMAR = frozenset(("acceptable", "unacceptable", "correct", "incorrect", "grammatical", "ungrammatical"))
_KNOWN: tuple[tuple[frozenset[str], Layout | None, Layout | None], ...] = (
    (_SENTIMENT, Layout("", "Text: {text}\nSentiment: {answer}"), None),
    (_TRUTH, Layout("", "{text}\nTrue or false? {answer}"), Layout("", "{text2}\nQuestion: {text}\nAnswer: {answer}")),
    (_ENTAILMENT, None, Layout("", "{text}\nQuestion: does it follow that {text2}\nAnswer: {answer}")),
    (_SAME, None, Layout("", "{text}\n{text2}\nDo these mean the same? {answer}")),
    (_TOPICS, Layout("", "Text: {text}\nTopic: {answer}"), None),
    (_GRAMMAR, Layout("", "Sentence: {text}\nGrammar: {answer}"), None),
)
"""Sets of labels, and the layout for a text and for a pair of texts that they suggest."""

_WORDS = {
    "entailment": "yes", "contradiction": "no", "not entailment": "no", "not equivalent": "no", "equivalent": "yes",
    "duplicate": "yes", "not duplicate": "no", "paraphrase": "yes", "not paraphrase": "no",
}  # fmt: skip
"""Words that answer the question of a suggested layout, where a label does not."""


def label_word(label: str) -> str:
    """A label as a word: ``not_entailment`` becomes ``not entailment``, ``SciTech`` ``Sci Tech``, ``B-PER`` stays."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return " ".join(re.split(r"[_\s]+", spaced)).strip() or label


def label_words(labels: Sequence[str], pair: bool, given: Mapping[str, str]) -> dict[str, str]:
    """A word for each label: those ``given``, else suggested: never 0 and 1, which no model connects with a text."""
    unknown = [label for label in given if label not in labels]
    if unknown:
        raise SettingsError(f"words names the label {unknown[0]!r}, and the labels are {', '.join(labels[:20])}")
    plain = {label: label_word(label) for label in labels}
    if pair and all(word.lower() in _ENTAILMENT | _SAME for word in plain.values()):
        answers = {label: _WORDS.get(word.lower(), word) for label, word in plain.items()}
        if "neutral" in map(str.lower, plain.values()):
            answers = {label: "maybe" if word.lower() == "neutral" else word for label, word in answers.items()}
        plain = answers
    if set(labels) == {"0", "1"}:
        plain = {"0": "False", "1": "True"}
    plain |= given
    twice = [word for word in plain.values() if list(plain.values()).count(word) > 1]
    if twice:
        raise SettingsError(f"the word {twice[0]!r} stands for several labels: give each its own")
    empty = [label for label, word in plain.items() if not word.strip()]
    if empty:
        raise SettingsError(f"the word for the label {empty[0]!r} is empty: give one, as in words={empty[0]}=yes")
    return plain


def with_changes(layout: Layout, description: str | None, example: str | None, separator: str | None) -> Layout:
    """The layout with what a user gave in place of what was suggested; ``\\n`` is a line break."""
    given = {"description": description, "example": example, "separator": separator}
    return replace(layout, **{name: text.replace("\\n", "\n") for name, text in given.items() if text is not None})


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}" if len(words) > 1 else "".join(words)
