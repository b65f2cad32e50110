"""``/metrics`` in Prometheus' text format, by a reader of that format that knows nothing of ours."""

import re
from mmap import mmap

from starlette.testclient import TestClient
from tests.serving.live_server import echoing, in_time

from trivium.serving.metrics_page import resident_bytes
from trivium.serving.settings import ServeSettings
from trivium.serving.traffic import BOUNDS, Traffic

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"')


def read(page: str) -> tuple[dict[str, str], dict[tuple[str, frozenset], float]]:
    """Types by name, and values by name and labels."""
    kinds, values = {}, {}
    assert page.endswith("\n")
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            key = (match[1], frozenset(LABEL.findall(match[2] or "")))
            assert key not in values, line
            values[key] = float(match[3])
            base = match[1] if match[1] in kinds else re.sub("_(bucket|sum|count)$", "", match[1])
            assert kinds[base] == ("histogram" if base != match[1] else kinds[base])
    return kinds, values


def test_requests_are_counted_by_route_and_status() -> None:
    app = echoing(ServeSettings(), 'a "model"\\')
    with TestClient(app, base_url="http://localhost") as client:
        for _ in range(3):
            client.get("/health")
        client.get("/large/7")
        client.get("/no/such\"place")
        client.post("/echo", content="[", headers={"content-type": "application/json"})
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    kinds, values = read(answer.text)
    assert kinds["trivium_requests_total"] == "counter" and kinds["trivium_request_seconds"] == "histogram"

    def of(name: str, **labels: str) -> float:
        return values[name, frozenset(labels.items())]

    assert of("trivium_requests_total", route="/health", method="GET", status="200") == 3
    assert of("trivium_requests_total", route="/large/{size}", method="GET", status="200") == 1
    assert of("trivium_requests_total", route="none", method="GET", status="404") == 1
    assert of("trivium_requests_total", route="none", method="POST", status="400") == 1
    assert of("trivium_requests_open") == 1  # this one
    assert of("trivium_model_info", model='a \\"model\\"\\\\') == 1
    assert of("trivium_tokens_total", kind="written") == 0
    assert 1e7 < of("process_resident_memory_bytes") < 1e12
    buckets = [of("trivium_request_seconds_bucket", route="/health", le=str(b)) for b in (*BOUNDS, "+Inf")]
    assert buckets == sorted(buckets) and buckets[-1] == of("trivium_request_seconds_count", route="/health") == 3


def test_paths_that_are_made_up_do_not_fill_the_memory() -> None:
    app = echoing(ServeSettings())
    client = TestClient(app, base_url="http://localhost")
    for number in range(50):
        client.get(f"/made/up/{number}")
        client.request(f"M{number}", "/health")
    assert len(app.state.house.traffic.seconds) <= 2
    assert len(app.state.house.traffic.requests) <= 2


def test_seconds_fall_into_their_buckets() -> None:
    traffic = Traffic()
    for seconds in (0.0, 0.005, 0.0051, 599.0, 601.0):
        traffic.begin()
        traffic.end("/x", "GET", 200, seconds)
    counts = traffic.seconds["/x"].counts
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (2, 1, 1, 1) and sum(counts) == 5
    assert traffic.open == 0


def test_memory_is_counted() -> None:
    def trial() -> None:
        before = resident_bytes()
        kept = mmap(-1, 50_000_000)  # not what was freed before, which may be resident
        kept[::4096] = b"x" * len(kept[::4096])
        assert resident_bytes() - before > 40_000_000

    in_time(trial)  # a system in want of memory takes some from us meanwhile
