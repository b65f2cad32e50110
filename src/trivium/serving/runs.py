"""``/runs``: the runs below ``--runs DIR``, their lines as they are written, and comparisons with intervals.

A run's id is a hash of where it lies below the folder and is looked up in the listing: no part of a request becomes a
path. Links in the folder are not followed. Polling costs what is new: a client gives back the ``next`` it was given,
which is where in ``metrics.jsonl`` it has read to. A comparison opens two models and may take minutes; it is made by
``trivium compare`` in a process of its own, one at a time, so that texts go on being written meanwhile, and ends with
the client. Left out: writing of any kind; files of examples, which fine-tuned models are compared on, stay with the
command line.
"""

import asyncio
import hashlib
import json
import math
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from trivium.errors import SettingsError
from trivium.metrics import holm
from trivium.serving.house import House
from trivium.serving.refusals import Refusal
from trivium.verbs.runs import METRICS, RunSummary, metric_lines, read_plain, read_recipe, run_directories, summary

ANSWER_BYTES = 1 << 20  # of metrics.jsonl in one answer
LISTED = 500  # runs, the ones last written
APART = 20  # items that set two runs apart
COMPARED = 8  # runs in one comparison
REMEMBERED = 64  # comparisons
WAITING = 4
NOT_SERVED = "no folder of runs is shown here: start the server with --runs DIR"


class CompareBody(BaseModel):
    """``ids``: each is held against the first."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": ["3b1f0c2d4e5f6a7b", "..."]}]})
    ids: list[Annotated[str, Field(max_length=64)]] = Field(min_length=2, max_length=COMPARED)


def routes(house: House) -> APIRouter:
    """``GET /runs``, ``GET /runs/{id}``, ``POST /runs/compare``."""
    router = APIRouter(tags=["runs"])
    root = Path(house.settings.runs).resolve() if house.settings.runs is not None else None
    if root is not None and not root.is_dir():
        raise SettingsError(f"--runs {house.settings.runs} is not a folder: name one that holds runs, or make it")
    comparisons = Comparisons(root, house.settings.deadline)

    @router.get("/runs", summary="The runs of the server's folder")
    async def listing() -> dict[str, Any]:
        """The runs below the server's folder, the one last written first; ``folder`` is null where none is shown."""
        if root is None:
            return {"folder": None, "runs": []}
        return {"folder": root.name, "runs": await asyncio.to_thread(_listed, root)}

    @router.get("/runs/{id}", summary="What a run has logged")
    async def course(id: str, after: Annotated[int, Query(ge=0, le=1 << 60)] = 0) -> dict[str, Any]:
        """What a run has logged since ``after``, the ``next`` of the answer before; ``restarted``: from the beginning,
        because the file was cut back; ``more``: there is more at once."""
        return await asyncio.to_thread(lambda: _course(_find(root, id), after))

    @router.post("/runs/compare", summary="Runs held against one another")
    async def compare(body: CompareBody) -> dict[str, Any]:
        """Each run against the first, on the text that both held out: difference, 95 % interval, test, and the p value
        corrected for the number of comparisons (Holm 1979)."""
        if len(set(body.ids)) < len(body.ids):
            raise Refusal(400, "a run is named twice in ids: name each once", param="ids")
        found = await asyncio.to_thread(lambda: [_find(root, each) for each in body.ids])
        return {"pairs": await comparisons.against_first(found)}

    return router


def run_id(root: Path, directory: Path) -> str:
    """The same as long as the run stays where it is."""
    return hashlib.blake2b(os.fsencode(directory.relative_to(root)), digest_size=8).hexdigest()


def _find(root: Path | None, name: str) -> Path:
    if root is None:
        raise Refusal(404, NOT_SERVED, code="run_not_found")
    for directory in _directories(root):
        if run_id(root, directory) == name:
            return directory
    raise Refusal(404, "there is no run with this id: GET /runs lists them", param="id", code="run_not_found")


def _directories(root: Path) -> list[Path]:
    return run_directories(root) if root.is_dir() else []


def _listed(root: Path) -> list[dict[str, Any]]:
    return [_row(root, summary(each)) for each in _directories(root)[:LISTED]]


def _row(root: Path, run: RunSummary) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in ("model", "objective", "step", "steps", "loss", "state", "changed")}
    name = str(run.directory.relative_to(root))
    return plain({
        "id": run_id(root, run.directory), "name": run.directory.name if name == "." else name, **row,
        "tokens_per_second": run.tokens_per_second,
    })  # fmt: skip


def _course(directory: Path, after: int) -> dict[str, Any]:
    content, begun = _written_since(directory / METRICS, after)
    whole = content[: content.rfind(b"\n") + 1]  # the last line may be half written
    lines = metric_lines(whole)
    try:
        recipe = read_recipe(directory) if begun == 0 else {}
    except (OSError, ValueError):
        recipe = {}
    return plain({
        "lines": [line for line in lines if line.get("kind") != "sample"],
        "samples": [
            {"step": line.get("step"), "text": str(line.get("text", ""))} for line in lines
            if line.get("kind") == "sample"
        ],
        "next": begun + len(whole), "more": len(content) >= ANSWER_BYTES, "restarted": begun == 0 and after > 0,
        "recipe": recipe,
    })  # fmt: skip


def _written_since(path: Path, after: int) -> tuple[bytes, int]:
    """What follows byte ``after``, and that byte; from the beginning where no line ends there any longer."""
    try:
        if after:
            content = read_plain(path, after - 1, ANSWER_BYTES + 1)
            if content[:1] == b"\n":
                return content[1:], after
        content = read_plain(path, 0, ANSWER_BYTES)
        if len(content) == ANSWER_BYTES and b"\n" not in content:
            return b"", 0  # not what a run writes
        return content, 0
    except OSError:
        return b"", 0


def plain(value: Any) -> Any:
    """As strict JSON has it: no NaN, no half of a surrogate pair, no date. What a folder holds is anyone's."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, date | time) else value


class Comparisons:
    """Made one at a time, and remembered as long as neither run is written again."""

    def __init__(self, root: Path | None, deadline: float) -> None:
        self._root, self._deadline = root, deadline
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._made: OrderedDict[tuple[object, ...], dict[str, Any]] = OrderedDict()

    async def against_first(self, runs: Sequence[Path]) -> list[dict[str, Any]]:
        """A comparison for each run after the first; with ``error`` in place of figures where nothing compares."""
        if self._waiting >= WAITING:
            raise Refusal(429, "other comparisons are being made: ask again later", headers={"Retry-After": "30"})
        self._waiting += 1
        try:
            pairs = [await self._pair(runs[0], other) for other in runs[1:]]
        finally:
            self._waiting -= 1
        tested = [each.get("p") is not None for each in pairs]
        corrected = iter(holm([each["p"] for each, told in zip(pairs, tested, strict=True) if told]))
        return [
            each | {"p_holm": next(corrected) if told else None} for each, told in zip(pairs, tested, strict=True)
        ]

    async def _pair(self, first: Path, second: Path) -> dict[str, Any]:
        key = tuple((each, _weights_written(each)) for each in (first, second))
        assert self._root is not None
        named = {"first_id": run_id(self._root, first), "second_id": run_id(self._root, second)}
        for each, written in key:
            if written is None:
                name = str(each.relative_to(self._root))
                return plain(named | {"error": f"{name} has no weights: a run is compared once it has saved its first"})
        if key not in self._made:
            async with self._turn:
                made = await self._ask(first, second)
            self._made[key] = named | made
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return self._made[key]

    async def _ask(self, first: Path, second: Path) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trivium", "compare", str(first), str(second), "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            said, complained = await asyncio.wait_for(process.communicate(), self._deadline)
        except TimeoutError:
            return {"error": f"the comparison took longer than {self._deadline:g} s: make it with trivium compare"}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            return {"error": self._sentence(complained.decode("utf-8", "replace"))}
        found = plain(json.loads(said))
        return found | {"apart": found["apart"][:APART], "apart_count": len(found["apart"])}

    def _sentence(self, complained: str) -> str:
        """What the command said, without where the folder lies and with a remedy that a client has."""
        last = complained.strip().splitlines()[-1:] or ["the comparison failed: make it with trivium compare"]
        text = last[0].removeprefix("error: ").replace(f"{self._root}/", "")
        return text.replace("name it with --data", "make it with trivium compare RUN_A RUN_B --data FILE")


def _weights_written(directory: Path) -> int | None:
    """When, in nanoseconds; None where there are none. A large model has several files, an adapter its own."""
    return max((each.lstat().st_mtime_ns for each in directory.glob("*.safetensors")), default=None)
