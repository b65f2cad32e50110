"""One label, several spellings: a word, the number that public copies of a set give it, T5's word for it."""

from collections.abc import Mapping, Sequence

from trivium.errors import DataError, SettingsError
from trivium.text.fields import label_of

Labels = tuple[tuple[str, ...], ...]
"""For each label its spellings, the one that is printed first."""

UNKNOWN = ""  # what was said is no label of the suite: wrong, whatever is true
NOT_KNOWN = frozenset(("-", "-1", ""))  # gold that is left out: MNLI's undecided rows, files without truth


def spelt(labels: Labels) -> dict[str, str]:
    """Every spelling, in small letters, to the label."""
    return {spelling.lower(): each[0] for each in labels for spelling in each}


def gold_label(place: str, row: Mapping[str, object], field: str, labels: Labels) -> str | None:
    """The true label; None where the row says that it is not known."""
    value = row.get(field)
    if value is None or isinstance(value, str) and not value.strip():
        return None
    text = label_of(place, row, field)
    if text in NOT_KNOWN:
        return None
    found = spelt(labels).get(text.lower())
    if found is None:
        known = ", ".join(each[0] for each in labels)
        raise DataError(f"{place}: {text!r} in {field!r} is no label of this suite, whose labels are {known}")
    return found


def said_label(place: str, row: Mapping[str, object], names: Sequence[str], labels: Labels) -> str:
    """The label that a prediction names; ``UNKNOWN`` where it names none. A null gives way to the next name: a text
    that is no label has none beside it."""
    held = [(name, row[name]) for name in names if name in row]
    if not held:
        raise DataError(f"{place}: no prediction: it is looked for in {', '.join(map(repr, names))}")
    name, value = next((each for each in held if each[1] is not None), held[0])
    text = str(value).lower() if isinstance(value, bool | int) else "" if value is None else value
    if not isinstance(text, str):
        raise DataError(f"{place}: the prediction in {name!r} is {type(value).__name__}, not a label")
    return spelt(labels).get(text.strip().lower(), UNKNOWN)


def check_model(suite: str, given: Sequence[str], labels: Labels) -> None:
    """A model whose labels are not the suite's is refused before it is run."""
    strange = [each for each in given if each.lower() not in spelt(labels)]
    if strange:
        known = ", ".join("/".join(each) for each in labels)
        raise SettingsError(
            f"the model's labels {', '.join(map(repr, strange[:5]))} are none of {suite}'s ({known}): give a model "
            "that was fine-tuned for it, or a file of --predictions with these labels"
        )
