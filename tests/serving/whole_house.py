"""A server with a model for every ability, none of them trained, so that every route can be asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from tests.serving.folder_of_runs import course, write_run

from trivium.families import FAMILIES
from trivium.serving.abilities import abilities_of
from trivium.serving.app import application
from trivium.serving.house import House, Served
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings
from trivium.tasks import TASKS
from trivium.text.chat_templates import CHAT_TEMPLATES, ChatTemplate
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.tuning import Tuned, placed, tuned_of

WORDS = ["Every", "model", "reads", "tokens"]
LEARNT: dict[str, tuple[str, list[dict[str, Any]]]] = {  # of a task: the family, and rows that it knows its labels from
    "sequence": ("bert", [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}]),
    "tagging": ("bert", [{"words": ["a", "b"], "tags": ["B-X", "O"]}, {"words": ["a"], "tags": ["B-Y"]}]),
    "spans": ("bert", [{"words": WORDS, "spans": [{"first": 0, "last": 2, "label": "X"}]}]),
    "answers": ("bert", [{"question": "a", "context": "b", "answers": {"text": ["b"], "answer_start": [0]}}]),
    "rewriting": ("t5", [{"source": "a", "target": "b"}]),
}


def whole_house(models: dict[str, Served], runs: Path, settings: ServeSettings) -> FastAPI:
    """The application; ``models``: the fixture ``whole_models``; ``runs``: a folder for two runs."""
    for number in range(2):
        if not (runs / f"run-{number}").exists():
            write_run(runs / f"run-{number}", course(40))
    return application(House(models, Scheduler(settings), settings))


def every_kind(tiny_models: dict[str, Path]) -> Iterator[Served]:
    """A model for each ability."""
    for family in ("llama", "t5", "bert"):
        template = CHAT_TEMPLATES["plain"] if family == "llama" else None
        yield _served(family, load(tiny_models[family]), None, template)
    for kind, (family, rows) in LEARNT.items():
        base, task = load(tiny_models[family]), TASKS[kind]()
        task = task.learn(placed([task.example("row", row, {}, True) for row in rows], "train"), [])
        predictor = tuned_of(base.model, base.tokenizer, task, 1, FAMILIES[family].heads)
        yield _served(kind, base, predictor, None)


def _served(name: str, model: LanguageModel, predictor: Tuned | None, template: ChatTemplate | None) -> Served:
    abilities = abilities_of(model, predictor, template is not None)
    longest = None if model.kind == "encoder" else model.config.limit
    return Served(name, model, 0, predictor, template, abilities, longest)


def routes_of(app: FastAPI) -> list[Any]:
    """Every route that there is, those that no page tells of among them."""

    def walk(routes: list[Any]) -> Iterator[Any]:
        for route in routes:
            router = getattr(route, "original_router", None)
            yield from [route] if router is None else walk(router.routes)

    return list(walk(app.routes))


def asked(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path that there is a route for."""
    return sorted({(method, route.path) for route in routes_of(app) for method in route.methods})
