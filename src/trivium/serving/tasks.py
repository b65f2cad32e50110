"""``/classify``, ``/tag``, ``/spans``, ``/answer``, ``/rewrite`` and ``/score``: fine-tuned models over rows.

One form for all: ``inputs`` is a list of objects with the fields that the task reads (those of its training file), and
``predictions`` has for each what ``trivium predict`` writes beside them. Rows are read in batches of similar length; an
answer does not depend on the rows beside it, beyond the last bits of a matrix product.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from trivium.serving.asked import Asked, examples, in_steps, json_answer
from trivium.serving.bodies import Listed
from trivium.serving.house import House
from trivium.serving.refusals import Refusal
from trivium.tasks import TASKS, Rewriting, SpanLabelling, SpanLabels, WordTags, predict_in_steps
from trivium.text.fields import Columns
from trivium.verbs.predict import Predictor
from trivium.verbs.tuning import Tuned

STEP_TOKENS = 1024  # of a batch with its padding: others wait so long
STEP_ROWS = 4  # the same of a reward model's conversations
CHARACTERS = 1 << 17  # of a request: some fifty pages, which are tokenised with their places

_TRUTHS = frozenset({"label", "labels", "tags", "relations", "answers", "target", "id", "margin"})


def task_of(predictor: Predictor) -> str | None:
    """Its name among ``TASKS``; of a reward model None."""
    kind = type(predictor.task) if isinstance(predictor, Tuned) else None
    return next((name for name, each in TASKS.items() if each is kind), None)


def fields_of(predictor: Predictor) -> tuple[str, ...]:
    """The fields of an input, by their usual names: all that is read but what is to be predicted."""
    hidden = _TRUTHS if isinstance(predictor, Tuned) else {"margin"}
    if isinstance(predictor, Tuned) and isinstance(predictor.task, SpanLabelling):
        hidden = hidden | {"spans"}
    return tuple(name for name in predictor.columns if name not in hidden)


class RowsAsked(Asked):
    """Rows to be predicted for."""

    inputs: Annotated[
        Listed[dict[str, Any]],
        Field(
            description="Objects with the fields that the model reads (`/v1/models` names them).",
            json_schema_extra={"minItems": 1},
        ),
    ]


class ClassifyAsked(RowsAsked):
    """Texts, pairs of texts, or questions with options."""

    model_config = examples(
        {"inputs": [{"text": "A lovely film."}, {"text": "I left after ten minutes."}]},
        {"inputs": [{"text": "All cats sleep.", "text2": "Some cats sleep."}]},
        {"inputs": [{"question": "What is frozen water?", "options": ["ice", "steam"]}]},
    )


class TagAsked(RowsAsked):
    """Texts, or lists of words."""

    model_config = examples(
        {"inputs": [{"text": "Ada Lovelace was born in London."}]},
        {"inputs": [{"words": ["Ada", "Lovelace", "wrote", "."]}]},
    )


class SpansAsked(RowsAsked):
    """Texts, or lists of words; for relations with the spans between which they are looked for."""

    model_config = examples(
        {"inputs": [{"text": "The University of London opened a library."}]},
        {"inputs": [{"words": ["Ada", "met", "Bo"], "spans": [{"first": 0, "last": 0}, {"first": 2, "last": 2}]}]},
    )


class AnswerAsked(RowsAsked):
    """Questions with the texts that answer them."""

    model_config = examples({"inputs": [{"question": "Where does it rise?", "context": "It rises in the hills."}]})


class RewriteAsked(RowsAsked):
    """Texts to be written anew."""

    model_config = examples({"inputs": [{"source": "The film was not good."}]})


class ScoreAsked(RowsAsked):
    """Conversations that end in a reply, or two replies to one prompt."""

    model_config = examples(
        {"inputs": [{"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi!"}]}]},
        {"inputs": [{"prompt": "Name a river.", "chosen": "The Thames.", "rejected": "No."}]},
    )


class Predictions(BaseModel):
    """What the model says of each input, in their order."""

    model: str
    predictions: list[dict[str, Any]]


_ROUTES: tuple[tuple[str, type[RowsAsked], str, str], ...] = (
    (
        "classify", ClassifyAsked, "Label texts, or choose among options",
        "`label` with `probabilities` of all; `labels` where a text may have several; a number as `label` where the "
        "model estimates one; `choice` and `index` of options.",
    ),
    (
        "tag", TagAsked, "Tag the words of texts",
        "`tags` with `probabilities`, one for each word. Of a text also its `words` and their `places`: characters "
        "from the first number up to, not with, the second. Where tags mark entities, `entities` and their places.",
    ),
    (
        "spans", SpansAsked, "Find labelled spans, which may be nested, or relations between spans",
        "`spans` with `label`, `probability`, the words `first` to `last`, and of a text the characters from `start` "
        "up to, not with, `end`; or `relations` between the numbers of two spans.",
    ),
    (
        "answer", AnswerAsked, "Find the answer to a question in a text",
        "`answer` with `start` and `end` in the `context`, and `alternatives`. A long text is read in windows. Where "
        "the model may say that there is no answer, `answer` is then empty.",
    ),
    (
        "rewrite", RewriteAsked, "Write each text anew: a summary, a translation, another style",
        "`output` with its `probability`; `label` where the model was trained to write labels.",
    ),
    (
        "score", ScoreAsked, "What a reply is worth, by a reward model",
        "`reward` of a conversation; `reward_chosen`, `reward_rejected` and `right` of two replies.",
    ),
)  # fmt: skip


def routes(house: House) -> APIRouter:
    """A route for each kind of task."""
    router = APIRouter(tags=["tasks"])
    for ability, body, summary, told in _ROUTES:
        router.add_api_route(
            f"/{ability}", _handler(house, ability, body), methods=["POST"], response_model=Predictions,
            summary=summary, description=told, name=ability,
        )  # fmt: skip
    return router


def _handler(house: House, ability: str, body: type[RowsAsked]) -> Callable[..., Any]:
    async def predict(asked: RowsAsked, request: Request) -> Response:
        served = house.served(asked.model, ability)
        assert served.predictor is not None
        _check(house, served.predictor, asked.inputs)
        steps = await asyncio.to_thread(_predicted, served.predictor, asked.inputs)
        said = [each for part in await in_steps(house, request, steps) for each in part or ()]
        return await json_answer({"model": served.name}, map(_shown, said), "predictions")

    predict.__annotations__["asked"] = body  # from which the documentation of each route is made
    return predict


def _check(house: House, predictor: Predictor, inputs: Sequence[Mapping[str, Any]]) -> None:
    """Refuses what is too much, and fields that the task does not read: a name that is mistyped would be ignored."""
    caps = house.settings.caps
    if not inputs:
        raise Refusal(400, "inputs is an empty list: give it a row", param="inputs")
    if len(inputs) > caps.texts:
        raise Refusal(400, f"inputs has {len(inputs)} rows, and at most {caps.texts} are answered", param="inputs")
    most = min(CHARACTERS, caps.text_characters)
    characters = sum(_characters(row) for row in inputs)
    if characters > most:
        raise Refusal(400, f"inputs has {characters:,} characters, and at most {most:,} are read", param="inputs")
    if isinstance(predictor, Tuned) and isinstance(predictor.task, Rewriting) and predictor.task.cast is not None:
        return  # whose fields are those of many published tasks
    for number, row in enumerate(inputs):
        for name in row:
            if name not in predictor.columns:
                near = get_close_matches(name, fields_of(predictor), 1)
                advice = f"did you mean {near[0]}?" if near else f"it reads {', '.join(fields_of(predictor))}"
                param = f"inputs.{number}.{name}"
                raise Refusal(
                    400, f"inputs[{number}].{name} is not read by this model: {advice}", param=param,
                    code="unknown_parameter",
                )  # fmt: skip


def _characters(value: Any) -> int:
    """Of all strings in a value, and one for each other thing."""
    total, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
        total += len(each) if isinstance(each, str) else 1
    return total


def _predicted(predictor: Predictor, inputs: Sequence[Mapping[str, Any]]) -> Iterator[list[Any] | None]:
    """Reads the rows; what is computed then comes in steps."""
    columns: Columns = {}
    examples = [predictor.example(f"inputs[{number}]", row, columns, False) for number, row in enumerate(inputs)]
    if isinstance(predictor, Tuned):
        items = predictor.encode(examples)
        return predict_in_steps(predictor.task, predictor.model, examples, items, STEP_TOKENS)
    parts = [examples[start : start + STEP_ROWS] for start in range(0, len(examples), STEP_ROWS)]
    return (predictor.predict(part) for part in parts)


def _shown(prediction: Any) -> dict[str, object]:
    """As ``trivium predict`` shows it, with the places of words that were cut out of a text."""
    row: dict[str, object] = prediction.row()
    if isinstance(prediction, WordTags) and prediction.example.spans:
        return {**row, "places": [list(place) for place in prediction.example.spans]}
    if isinstance(prediction, SpanLabels) and prediction.example.places:
        return {**row, "places": [list(place) for place in prediction.example.places]}
    return row
