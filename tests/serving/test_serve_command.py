"""``trivium serve`` as its user meets it: what it refuses before it loads anything, what it prints, and how it ends."""

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import openai
import pytest

import trivium
from trivium.cli.run import run
from trivium.serving import guard, opening
from trivium.serving.names import named_model
from trivium.serving.opening import open_house
from trivium.serving.settings import ServeSettings


def refused(capfd: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    capfd.readouterr()
    assert run(["serve", *map(str, arguments)]) == code
    err = capfd.readouterr().err
    assert "Traceback" not in err and err.count("\n") == 1
    return err


def test_what_cannot_be_served_is_refused_in_a_sentence(
    capfd: pytest.CaptureFixture[str], talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIVIUM_KEY", raising=False)
    assert "no model to serve" in refused(capfd, "--port", 0)
    assert "there is no model folder nowhere" in refused(capfd, "--port", 0, "--model", "nowhere", code=3)
    both = ("--model", f"a={talker}", "--model", f"a={talker}")
    assert "two models are called 'a'" in refused(capfd, "--port", 0, *both)
    assert "no adapter's folder" in refused(capfd, "--port", 0, "--adapter", f"a={talker}")
    assert "must look like NAME=DIR" in refused(capfd, "--port", 0, "--adapter", talker)
    open_to_all = refused(capfd, "--port", 0, "--host", "0.0.0.0", "--model", talker)
    assert "--key-file" in open_to_all and "--insecure" in open_to_all
    elsewhere = refused(capfd, "--host", "192.0.2.1", "--insecure", "--model", talker)
    assert "of 192.0.2.1 cannot be had" in elsewhere
    with socket.create_server(("127.0.0.1", 0)) as taken:
        err = refused(capfd, "--port", taken.getsockname()[1], "--model", talker)
        assert "cannot be had" in err and "--port" in err
    empty = tmp_path / "keys"
    empty.write_text("\n \n")
    assert "holds no key" in refused(capfd, "--key-file", empty, "--model", talker, code=3)
    assert "cannot be read" in refused(capfd, "--key-file", tmp_path / "none", "--model", talker, code=3)
    empty.write_text("ké y\n")
    assert "printable ASCII" in refused(capfd, "--key-file", empty, "--model", talker)


def test_a_damaged_model_is_refused_before_torch_is_imported(
    capfd: pytest.CaptureFixture[str], talker: Path, tmp_path: Path
) -> None:
    shutil.copytree(talker, tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert str(weights) in refused(capfd, "--port", 0, "--model", f"a={tmp_path / 'm'}", code=3)


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    capfd: pytest.CaptureFixture[str], talker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "available_memory", lambda device="cpu": 100_000)
    monkeypatch.setattr(opening, "load", lambda *_, **__: pytest.fail("it was loaded"))
    err = refused(capfd, "--port", 0, "--model", f"big={talker}", "--device", "cpu", code=4)
    assert err.startswith("error: big takes 0.0 GB") and "--precision bfloat16" in err


def test_texts_are_as_long_as_memory_has_room_for(talker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = open_house([f"a={talker}"], [], ServeSettings(running=4), device="cpu")
    assert house.models["a"].longest == house.models["a"].model.config.limit
    assert open_house([f"a={talker}"], [], ServeSettings(context=20), device="cpu").models["a"].longest == 20
    model = house.models["a"].model
    one = model.model.new_cache(1, 1024, "cpu", next(model.model.parameters()).dtype).memory_size / 1024
    monkeypatch.setattr(opening, "available_memory", lambda device="cpu": int(one * 64 * 100 / opening.SHARE) + 9)
    monkeypatch.setattr(type(model.config), "limit", 100_000)
    assert opening.longest_text(model, ServeSettings(running=64)) == 100
    with pytest.raises(trivium.RefusedError, match="lower --running"):
        opening.longest_text(model, ServeSettings(running=640))


@pytest.mark.parametrize(
    ("given", "name", "place"),
    [
        ("smollm2-135m", "smollm2-135m", "smollm2-135m"),
        ("runs/my model", "my-model", "runs/my model"),
        ("a=runs/x", "a", "runs/x"),
        ("org/name=hf://org/name", "org/name", "hf://org/name"),
        ("some/file.gguf", "file", "some/file.gguf"),
    ],
)
def test_models_have_names(given: str, name: str, place: str) -> None:
    assert named_model(given) == (name, place)


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], talker: Path
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install -e '.[serve]'" in refused(capfd, "--model", talker)


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.example", False)]
)
def test_which_addresses_are_this_machine_s_own(host: str, own: bool) -> None:
    assert guard.is_loopback(host) is own


def test_a_client_that_leaves_stops_what_is_written_for_it(server) -> None:
    """Streaming or not, and also where only the wait for a place is left: the figures of the server say so."""

    def writing() -> tuple[float, float, float]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=90)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        found = {line.split()[0]: float(line.split()[1]) for line in lines if line and line[0] != "#"}
        written = found['trivium_tokens_total{kind="written"}']
        return found["trivium_texts"], found["trivium_requests_waiting"], written

    for stream in (True, False):
        for _ in range(3):
            body = {"model": "t5", "prompt": ["The fox"] * 200, "n": 8, "max_tokens": 60, "min_tokens": 60,
                    "stream": stream}  # fmt: skip
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=90)
            *_, before = writing()
            connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            while writing()[0] == 0:
                time.sleep(0.01)  # or the test's own time is over
            connection.close()
            while writing()[:2] != (0, 0):
                time.sleep(0.01)
            share = (writing()[2] - before) / (200 * 8 * 60)
            assert share < 0.25, f"it goes on after its client left (stream {stream})"


def test_it_ends_what_it_has_begun_and_takes_nothing_new(start, talker: Path) -> None:
    with start("--model", f"a={talker}", "--running", "2", "--drain", "200") as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=200)
        stream = client.completions.create(
            model="a", prompt=["The fox"] * 12, max_tokens=50, stream=True, temperature=0, extra_body={"min_tokens": 50}
        )
        first = next(iter(stream))
        assert first.choices
        running.process.send_signal(signal.SIGTERM)
        ended = sum(bool(chunk.choices and chunk.choices[0].finish_reason) for chunk in stream)
        assert ended == 12
        assert running.process.wait(200) == 0
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


@pytest.mark.slow
def test_what_is_not_done_in_time_is_told_so_when_it_ends(start, talker: Path) -> None:
    with start("--model", f"a={talker}", "--running", "1", "--drain", "0.5", keys="secret") as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="secret", max_retries=0, timeout=30)
        problems = []

        def ask() -> None:
            try:
                client.completions.create(
                    model="a", prompt=["The fox"] * 250, n=8, max_tokens=50, extra_body={"min_tokens": 50}
                )
            except openai.APIStatusError as problem:
                problems.append(problem)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.5)
        assert running.end() == 0
        asking.join(20)
        assert [problem.status_code for problem in problems] == [503]
        assert "stopping" in problems[0].body["message"]
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


@pytest.mark.slow
def test_the_library_serves_from_python_too(talker: Path, tmp_path: Path) -> None:
    code = (
        "import trivium; from trivium.serving.settings import ServeSettings\n"
        f"trivium.serve([{f'a={talker}'!r}], settings=ServeSettings(port=0), device='cpu')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("trivium serves at http://127.0.0.1:"), line
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
