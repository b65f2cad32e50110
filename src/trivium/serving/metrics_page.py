"""``/metrics``: the server's figures in Prometheus' text format 0.0.4."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from trivium import __version__
from trivium.serving.house import House
from trivium.serving.traffic import BOUNDS, Histogram

_STARTED = time.time()


def routes(house: House) -> APIRouter:
    """``GET /metrics``."""
    router = APIRouter(tags=["server"])

    @router.get("/metrics", response_class=PlainTextResponse, summary="Figures for Prometheus")
    async def metrics() -> PlainTextResponse:
        """Requests, tokens, seconds, what waits, and memory, in Prometheus' text format."""
        page = "".join(f"{line}\n" for line in lines(house))
        return PlainTextResponse(page, media_type="text/plain; version=0.0.4")

    return router


def lines(house: House) -> Iterator[str]:
    """The page, line by line."""
    traffic, work = house.traffic, house.scheduler.load
    yield from _family("trivium_info", "gauge", "The version that runs", [({"version": __version__}, 1)])
    models = [({"model": name}, 1) for name in house.models]
    yield from _family("trivium_model_info", "gauge", "The models that are served", models)
    counted = [({"route": r, "method": m, "status": str(s)}, n) for (r, m, s), n in sorted(traffic.requests.items())]
    yield from _family("trivium_requests_total", "counter", "Requests answered", counted)
    yield from _family("trivium_requests_open", "gauge", "Requests that are being answered", [({}, traffic.open)])
    yield from _histogram("trivium_request_seconds", "Seconds from a request to the end of its answer", traffic.seconds)
    yield from _family("trivium_requests_waiting", "gauge", "Requests that wait for a model", [({}, work.waiting)])
    yield from _family("trivium_requests_refused_total", "counter", "Refused for want of room", [({}, work.refused)])
    yield from _family("trivium_texts", "gauge", "Texts that are being written", [({}, work.texts)])
    tokens = {"read": work.tokens_read, "reused": work.tokens_reused, "written": work.tokens_written}
    samples = [({"kind": kind}, count) for kind, count in tokens.items()]
    yield from _family("trivium_tokens_total", "counter", "Tokens read, read before and reused, and written", samples)
    yield from _family("trivium_jobs_total", "counter", "Computations other than writing", [({}, work.jobs)])
    yield from _process()


def _process() -> Iterator[str]:
    """Of this process, under the names that Prometheus' own clients give."""
    times = os.times()
    yield from _family("process_resident_memory_bytes", "gauge", "Resident memory", [({}, resident_bytes())])
    used = times.user + times.system
    yield from _family("process_cpu_seconds_total", "counter", "Processor time spent", [({}, used)])
    yield from _family("process_start_time_seconds", "gauge", "When it started", [({}, _STARTED)])
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        used = torch.cuda.memory_allocated()
        yield from _family("trivium_device_memory_bytes", "gauge", "Memory of the accelerator in use", [({}, used)])


def resident_bytes() -> int:
    """Memory of this process that is in use now; where that is not known, the most that there was."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _family(name: str, kind: str, meaning: str, samples: Iterable[tuple[dict[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _histogram(name: str, meaning: str, histograms: Mapping[str, Histogram]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} histogram"
    for route, each in sorted(histograms.items()):
        below = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), each.counts, strict=True):
            below += count
            yield _sample(f"{name}_bucket", {"route": route, "le": bound}, below)
        yield _sample(f"{name}_sum", {"route": route}, each.total)
        yield _sample(f"{name}_count", {"route": route}, below)


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
