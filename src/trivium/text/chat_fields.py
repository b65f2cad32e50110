"""Rows of files to conversations and preferences, in the layouts that are in use.

- messages: ``messages``, a list of ``role`` and ``content``; ShareGPT's ``conversations``, of ``from`` and ``value``
- Alpaca: ``instruction``, ``input`` (may be empty or missing) and ``output``; with ``system`` before it
- ``prompt`` and ``completion``, and ``question`` and ``answer``: two texts
- preferences: ``chosen`` and ``rejected`` beside ``prompt`` or Alpaca's fields, as texts or lists of messages; or whole
  dialogues, alone, of which what they have in common is the prompt (Bai et al. 2022: "Human:" and "Assistant:"); a
  number ``margin`` may say by how much the chosen one is better
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from trivium.errors import DataError, SettingsError
from trivium.text.chats import Chat, Message, Preference
from trivium.text.examples import Located
from trivium.text.fields import Columns, EmptyTextError, number_of, objects_of, text_of
from trivium.text.readers import Row, read_rows

ROLES = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
    "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
}  # fmt: skip
"""What files call the speakers."""

QUESTIONS = (("instruction", "output"), ("prompt", "completion"), ("question", "answer"))
"""Columns of a text to answer and of the answer."""

ASKED = ("messages", "conversations", *(asked for asked, _ in QUESTIONS))
"""Columns with what is to be answered."""

COLUMNS = ("messages", "conversations", "instruction", "input", "output", "system", "prompt", "completion", "question",
           "answer", "chosen", "rejected", "margin")  # fmt: skip
"""All that is read, for a file's own names to stand in place of."""

_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def read_chats(
    path: Path, columns: Columns | None = None, format: str | None = None, empty: list[str] | None = None
) -> list[Located[Chat]]:
    """All conversations of a file, each with a reply in it. ``empty``: takes the places of those with a turn without
    words, which are then left out."""
    return [chat for chat, _ in _chats(path, columns, format, empty, True)]


def read_prompts(
    path: Path, columns: Columns | None = None, format: str | None = None, empty: list[str] | None = None
) -> list[tuple[Located[Chat], Row]]:
    """The same of conversations that may end in a question, and of the chosen sides of whole dialogues, each with its
    row as the file has it; ``Chat.prompt`` is what is to be answered."""
    return list(_chats(path, columns, format, empty, False))


def _chats(
    path: Path, columns: Columns | None, format: str | None, empty: list[str] | None, answered: bool
) -> Iterator[tuple[Located[Chat], Row]]:
    for place, row in read_rows(path, format):
        try:
            renamed = _renamed(row, columns)
            if not answered and "chosen" in renamed and not any(name in renamed for name in ASKED):
                chat = Chat(_ordered(place, _turns(place, renamed, "chosen", "assistant"), answered))
            else:
                chat = chat_of(place, renamed, answered)
            yield Located(chat, place), row
        except EmptyTextError:
            if empty is None:
                raise
            empty.append(place)


class EqualSidesError(DataError):
    """Of a pair of which neither side can be the better one."""


def read_preferences(
    path: Path, columns: Columns | None = None, format: str | None = None,
    left_out: Mapping[type[DataError], list[str]] | None = None,
) -> list[Located[Preference]]:  # fmt: skip
    """All pairs of a file. ``left_out``: takes the places of pairs with equal sides (``EqualSidesError``) or with a
    turn without words (``EmptyTextError``), which are then left out."""
    found = []
    for place, row in read_rows(path, format):
        try:
            found.append(Located(preference_of(place, _renamed(row, columns)), place))
        except (EqualSidesError, EmptyTextError) as fault:
            if left_out is None or type(fault) not in left_out:
                raise
            left_out[type(fault)].append(place)
    return found


def chat_of(place: str, row: Row, answered: bool = True) -> Chat:
    """A row as a conversation; ``answered``: it must have a reply."""
    for name in ("messages", "conversations"):
        if name in row:
            return Chat(_ordered(place, [*_system(place, row), *messages_of(place, row, name)], answered))
    asked, said = _question(place, row)
    messages = [*_system(place, row), *asked]
    if said in row or answered:
        messages += _turns(place, row, said, "assistant")
    return Chat(_ordered(place, messages, answered))


def preference_of(place: str, row: Row) -> Preference:
    """A row as a pair whose sides differ."""
    prompt: Sequence[Message] = ()
    if any(name in row for name, _ in QUESTIONS):
        prompt = [*_system(place, row), *_question(place, row)[0]]
    elif "messages" in row:
        prompt = messages_of(place, row, "messages")
    sides = [_turns(place, row, name, "assistant") for name in ("chosen", "rejected")]
    if prompt and all(list(side[: len(prompt)]) == list(prompt) for side in sides):  # the prompt is in the sides, too
        sides = [side[len(prompt) :] for side in sides]
    if not prompt:
        common = 0
        while common < min(map(len, sides)) and sides[0][common] == sides[1][common]:
            common += 1
        prompt, sides = sides[0][:common], [side[common:] for side in sides]
        if not prompt:
            raise DataError(
                f"{place}: there is no prompt, and 'chosen' and 'rejected' begin with different messages: give a prompt"
            )
    if sides[0] == sides[1]:
        raise EqualSidesError(f"{place}: 'chosen' and 'rejected' are equal, so nothing is preferred: remove this row")
    for name, side in zip(("chosen", "rejected"), sides, strict=True):
        if not any(message.role == "assistant" for message in side):
            raise DataError(f"{place}: {name!r} has no words of the assistant behind what both sides share")
        _ordered(place, [*prompt, *side], True)
    chosen, rejected = (tuple(side) for side in sides)
    margin = number_of(place, row, "margin") if row.get("margin") not in (None, "") else 0.0
    return Preference(tuple(prompt), chosen, rejected, margin)


def messages_of(place: str, row: Row, field: str) -> list[Message]:
    """A list of messages, by ``role`` and ``content`` or by ``from`` and ``value``."""
    found = []
    for number, each in enumerate(objects_of(place, row, field)):
        where = f"{place}: {field}[{number}]"
        role, content = ("from", "value") if "from" in each else ("role", "content")
        speaker = each.get(role)
        if not isinstance(speaker, str) or speaker not in ROLES:
            raise DataError(f"{where} is of {speaker!r}: a speaker is one of {', '.join(ROLES)}")
        found.append(Message(ROLES[speaker], text_of(where, each, content)))
    return found


def dialogue_of(text: str) -> list[Message]:
    """A text in which "Human:" and "Assistant:" begin paragraphs; empty where it is none."""
    pieces = _SPEAKER.split(text.strip("\n"))
    if len(pieces) < 3 or pieces[0].strip():
        return []
    said = zip(pieces[1::2], pieces[2::2], strict=True)
    return [Message("user" if who == "Human" else "assistant", words.strip()) for who, words in said]


def _turns(place: str, row: Row, field: str, role: str) -> list[Message]:
    """A field as messages: a list of them, a dialogue, or a text that ``role`` says."""
    if isinstance(row.get(field), list):
        return messages_of(place, row, field)
    text = text_of(place, row, field)
    return dialogue_of(text) or [Message(role, text)]


def _question(place: str, row: Row) -> tuple[list[Message], str]:
    """What is asked, and the name of the column with the answer."""
    for asked, said in QUESTIONS:
        if asked in row:
            messages = _turns(place, row, asked, "user")
            extra = row.get("input") if asked == "instruction" else None
            if isinstance(extra, str) and extra.strip():
                messages = [Message("user", f"{messages[0].content}\n\n{text_of(place, row, 'input')}")]
            elif extra not in (None, "") and not isinstance(extra, str):
                text_of(place, row, "input")  # says what is wrong with it
            return messages, "response" if said not in row and "response" in row else said
    known = ", ".join(map(repr, list(row)[:12])) or "none"
    raise DataError(
        f"{place}: no conversation among the columns {known}: give messages, conversations, instruction and output, "
        "prompt and completion, or question and answer"
    )


def _system(place: str, row: Row) -> list[Message]:
    text = row.get("system")
    return [] if text is None or text == "" else [Message("system", text_of(place, row, "system"))]


def _ordered(place: str, messages: Sequence[Message], answered: bool) -> tuple[Message, ...]:
    """The messages, of which only the first may be the system's."""
    if not messages:
        raise DataError(f"{place}: the conversation has no messages: remove this row")
    for number, message in enumerate(messages):
        if message.role == "system" and number:
            raise DataError(f"{place}: message {number + 1} is the system's, which may only be the first")
        if not message.content.strip():
            raise EmptyTextError(f"{place}: message {number + 1} is empty: remove this row")
    if answered and not any(message.role == "assistant" for message in messages):
        raise DataError(f"{place}: the assistant says nothing, so there is nothing to learn: remove this row")
    return tuple(messages)


def _renamed(row: Row, columns: Columns | None) -> Row:
    """With our names for the columns."""
    if not columns:
        return row
    for name in columns:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COLUMNS)}"
            raise SettingsError(f"conversations have no column {name!r}: {advice}")
    theirs: Mapping[str, str] = {own: name for name, own in columns.items()}
    return {theirs.get(name, name): value for name, value in row.items()}
