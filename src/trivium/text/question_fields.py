"""Questions about a passage as rows have them: SQuAD's ``answers``, a list of texts with the places where they begin
(Rajpurkar et al. 2016), empty where there is none (2018), or the same as one object of two lists. An answer that does
not stand where it is said to is refused, never searched for: trained elsewhere, it would teach something else."""

import re
from collections.abc import Mapping
from dataclasses import replace

from trivium.errors import DataError, shown
from trivium.text.examples import Answer, Question
from trivium.text.fields import Columns, text_of

TEXT, START, IMPOSSIBLE = "text", "answer_start", "is_impossible"


def question_of(place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Question:
    """The fields ``question``, ``context``, ``answers`` and, where there is one, ``id``. Without ``gold`` answers are
    not read; with it they must be told, no matter how few. Where SQuAD's ``is_impossible`` is true, there is none."""
    question, context, answers, name = (columns.get(each, each) for each in ("question", "context", "answers", "id"))
    identity = str(row.get(name) or "")
    where = named(place, identity)
    asked = Question(text_of(where, row, question), text_of(where, row, context), id=identity)
    if not gold:
        return asked
    impossible = row.get(IMPOSSIBLE, None)
    if impossible is not None and not isinstance(impossible, bool):
        raise DataError(f"{where}: {IMPOSSIBLE!r} is {shown(impossible)}: it must be true or false")
    if impossible:
        return asked
    made = replace(asked, answers=_answers(where, row, answers))
    if impossible is False and not made.answers:
        raise DataError(f"{where}: there is nothing in {answers!r}, but {IMPOSSIBLE!r} is false: give an answer")
    check_answers(place, made, answers)
    return made


def named(place: str, identity: str) -> str:
    """A place and the question's id, where it has one."""
    return f"{place}: question {identity!r}" if identity else place


def check_answers(place: str, question: Question, field: str = "answers") -> None:
    """Raises ``DataError`` unless every answer stands in the passage where it is said to."""
    context, where = question.context, named(place, question.id)
    for answer in question.answers:
        if not answer.text.strip():
            raise DataError(f"{where}: an answer in {field!r} is empty: where there is none, leave the list empty")
        if answer.start >= 0 and context.startswith(answer.text, answer.start):
            continue
        found = [match.start() for match in re.finditer(f"(?={re.escape(answer.text)})", context)]
        if not found:
            raise DataError(
                f"{where}: the answer {shown(answer.text)} in {field!r} is not in its passage: give it word for word "
                "as the passage has it, or remove this question"
            )
        near = min(found, key=lambda start: abs(start - answer.start))
        raise DataError(
            f"{where}: the answer {shown(answer.text)} in {field!r} does not begin at character {answer.start} of its "
            f"passage, but nearest to that at {near}: correct {START!r}"
        )


def _answers(where: str, row: Mapping[str, object], field: str) -> tuple[Answer, ...]:
    """From a list of objects, from one object, or from one object of lists."""
    if field not in row:
        text_of(where, row, field)  # says which columns there are
    value = row[field]
    if value is None:
        return ()
    if isinstance(value, Mapping):
        texts, starts = value.get(TEXT), value.get(START)
        if isinstance(texts, list) and isinstance(starts, list):
            if len(texts) != len(starts):
                raise DataError(
                    f"{where}: {field!r} has {len(texts)} texts but {len(starts)} of {START!r}: give one for each"
                )
            value = [{TEXT: text, START: start} for text, start in zip(texts, starts, strict=True)]
        else:
            value = [value]
    if not isinstance(value, list):
        raise DataError(
            f'{where}: {field!r} is {type(value).__name__}, not a list such as [{{"{TEXT}": ..., "{START}": 17}}]'
        )
    return tuple(_answer(where, each, field) for each in value)


def _answer(where: str, value: object, field: str) -> Answer:
    if not isinstance(value, Mapping) or not {TEXT, START} <= set(value):
        raise DataError(f'{where}: {field!r} holds {shown(value)}, not an object {{"{TEXT}": ..., "{START}": 17}}')
    text, start = value[TEXT], value[START]
    if not isinstance(text, str):
        raise DataError(f"{where}: the {TEXT!r} of an answer in {field!r} is {shown(text)}, not a string")
    if not isinstance(start, int) or isinstance(start, bool):
        raise DataError(f"{where}: the {START!r} of an answer in {field!r} is {shown(start)}, not a whole number")
    return Answer(text, start)
