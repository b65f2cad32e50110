"""Hub ids, against a server on this machine that speaks the hub's protocol."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_server as server
import pytest
from hub_server import Repository

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.families import hub
from trivium.families.hub import HubModel, hub_model
from trivium.verbs.load import find, load

hub_library = pytest.importorskip("huggingface_hub")



@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[server.Hub]:
    """A running hub, and huggingface_hub as its environment's variables would have made it."""
    from huggingface_hub import constants

    with server.running_hub() as running:
        point_to(monkeypatch, running.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        yield running


def point_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def files(tiny_models: dict[str, Path]) -> dict[str, bytes]:
    return contents(tiny_models["bert"])


@pytest.fixture
def told() -> list[str]:
    return []


def fetched(running: server.Hub) -> list[str]:
    """The files whose bytes were asked for."""
    return [each.split("/", 2)[2] for each in running.asked if each.startswith("GET org/") and "@" not in each]


# ---- what a name means ----


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("org/name", HubModel("org/name")),
        ("org/Llama-3.2_1B@v1.0", HubModel("org/Llama-3.2_1B", "v1.0")),
        ("org/name@refs/pr/3", HubModel("org/name", "refs/pr/3")),
        ("hf://org/name", HubModel("org/name", "main", True)),
        (str(Path("hf://org/name@v2")), HubModel("org/name", "v2", True)),
        ("name", None),
        ("./org/name", None),
        ("/org/name", None),
        ("../name", None),
        ("org/..", None),
        ("a/b/c", None),
        ("org/file.gguf", None),
        ("org/na me", None),
        ("org/name@", None),
        ("hf:org/name", None),
        ("~/name", None),
        ("org/name@../../x", None),
    ],
)
def test_names(name: str, wanted: HubModel | None) -> None:
    assert hub_model(name) == wanted


def test_what_is_here_goes_first(
    online: server.Hub, tmp_path: Path, tiny_models: dict[str, Path], files: dict[str, bytes]
) -> None:
    online.repositories["org/name"] = Repository(files)
    (tmp_path / "org").mkdir()
    with pytest.raises(DataError, match="no model folder org/name.*or hf://org/name to take it from the hub"):
        load("org/name")
    (tmp_path / "org" / "name").symlink_to(tiny_models["gpt2"])
    assert load("org/name").kind == "decoder" and online.asked == []
    assert load("hf://org/name").kind == "encoder"


# ---- fetching ----


def test_what_a_model_needs_is_fetched_and_no_more(
    online: server.Hub, files: dict[str, bytes], told: list[str]
) -> None:
    junk = dict.fromkeys(("pytorch_model.bin", "onnx/model.onnx", "tf_model.h5", "vocab.txt", "a.py"), b"x" * 999)
    more = {"modules.json": b"[]", "1_Pooling/config.json": b"{}", "chat_template.jinja": b"hi"}
    online.repositories["org/name"] = Repository({**files, **junk, **more})
    folder = find("org/name", told.append)
    needed = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    assert set(contents(folder)) == needed | set(more) == set(fetched(online))
    assert len(told) == 1 and "fetching org/name" in told[0] and online.address in told[0]
    size = sum(len({**files, **more}[name]) for name in contents(folder) if name != "config.json")
    assert f"7 files, {size / 1e6:,.1f} MB" in told[0]
    assert contents(folder)["model.safetensors"] == files["model.safetensors"]


def test_the_model_is_the_folders(online: server.Hub, tiny_models: dict[str, Path], files: dict[str, bytes]) -> None:
    online.repositories["org/name"] = Repository(files)
    ours, theirs = load("org/name"), load(tiny_models["bert"])
    assert (ours.embed(["a list"]) == theirs.embed(["a list"])).all()


def test_a_complete_cache_needs_no_network(
    online: server.Hub, files: dict[str, bytes], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    online.repositories["org/name"] = Repository(files, revisions=("main", "v1"))
    first = find("org/name", told.append)
    online.asked.clear()
    assert find("org/name", told.append) == find(f"org/name@{first.name}", told.append) == first
    assert online.asked == [] and len(told) == 1
    assert find("org/name@v1", told.append) == first  # the name is asked for, the files are there
    assert fetched(online) == [] and len(told) == 1
    offline(monkeypatch)
    assert find("org/name@v1", told.append) == first


def test_what_is_missing_in_the_cache_is_fetched(online: server.Hub, files: dict[str, bytes], told: list[str]) -> None:
    online.repositories["org/name"] = Repository(files)
    folder = find("org/name", told.append)
    (folder / "tokenizer.json").unlink()
    for blob in (folder.parents[1] / "blobs").iterdir():
        if blob.read_bytes() == files["tokenizer.json"]:
            blob.unlink()
    online.asked.clear()
    assert find("org/name", told.append) == folder
    assert fetched(online) == ["tokenizer.json"] and "1 file, " in told[1]


def test_shards_and_vocabularies_without_a_tokenizer_json(online: server.Hub, told: list[str]) -> None:
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    files = {
        "config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode(), "README.md": b"",
        "model-1-of-2.safetensors": b"1", "model-2-of-2.safetensors": b"2", "model-3-of-3.safetensors": b"3",
        "vocab.json": b"{}", "merges.txt": b"", "spiece.model": b"s",
    }  # fmt: skip
    online.repositories["org/name"] = Repository(files)
    found = contents(find("org/name", told.append))
    assert set(found) == set(files) - {"README.md", "model-3-of-3.safetensors"}
    del files["model-2-of-2.safetensors"]
    online.repositories["org/part"] = Repository(files)
    with pytest.raises(DataError, match="org/part has no model-2-of-2.safetensors, which its"):
        find("org/part", told.append)


def test_a_revision_is_another_commit(online: server.Hub, files: dict[str, bytes], told: list[str]) -> None:
    online.repositories["org/name"] = Repository(files)
    first = find("org/name", told.append)
    online.repositories["org/name"] = Repository({**files, "generation_config.json": b"{ }"}, revisions=("main", "v2"))
    assert find("org/name", told.append) == first  # what is complete stays until asked for by another name
    second = find("org/name@v2", told.append)
    assert second != first and second.parent == first.parent
    assert contents(second)["generation_config.json"] == b"{ }"


def test_a_download_goes_on_where_it_broke_off(
    online: server.Hub, files: dict[str, bytes], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    large = {**files, "model.safetensors": os.urandom(200_000)}
    online.repositories["org/name"] = Repository(large)
    online.break_after = 150_000
    assert contents(find("org/name", told.append)).keys() >= {"model.safetensors"}
    assert any("model.safetensors from " in each for each in online.asked)
    assert contents(find("org/name", told.append))["model.safetensors"] == large["model.safetensors"]


def test_a_token_opens_what_is_gated(
    online: server.Hub, files: dict[str, bytes], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    online.repositories["org/gated"] = Repository(files, gated=True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(DataError, match="org/gated is gated: accept its conditions at http.*/org/gated.*HF_TOKEN"):
        find("org/gated", told.append)
    monkeypatch.setenv("HF_TOKEN", server.TOKEN)
    assert "model.safetensors" in contents(find("org/gated", told.append))


# ---- refusals ----


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "pickled weights only.*never fetched"),
        ({"config.json": b"{}"}, r"has no model\.safetensors"),
        ({"model.safetensors": b"x"}, r"has no config\.json"),
        ({"model-Q4.gguf": b"x"}, r"has no config\.json.*fetch one of its \.gguf files"),
        ({"config.json": b"{}", "model.safetensors.index.json": b"[]"}, "holds no JSON object"),
        (
            {"config.json": b"{}", "model.safetensors.index.json": b'{"weight_map": {"a": "../b.safetensors"}}'},
            "not a file in that folder",
        ),
    ],
)
def test_repositories_without_a_model(
    online: server.Hub, files: dict[str, bytes], words: str, told: list[str]
) -> None:
    online.repositories["org/name"] = Repository(files)
    with pytest.raises(DataError, match=words) as error:
        find("org/name", told.append)
    assert "\n" not in str(error.value) and "pytorch_model.bin" not in fetched(online)


def test_unknown_names(online: server.Hub, files: dict[str, bytes], told: list[str]) -> None:
    online.repositories["org/name"] = Repository(files)
    with pytest.raises(DataError, match="there is no model org/nothing at http.*no folder of that name here"):
        find("org/nothing", told.append)
    with pytest.raises(DataError, match="org/name has no revision 'v9'"):
        find("org/name@v9", told.append)


def test_without_a_network(
    online: server.Hub, files: dict[str, bytes], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    online.repositories["org/name"] = Repository(files)
    online.failing = 503
    with pytest.raises(TriviumError, match="cannot be fetched: http.*answers with status 503") as error:
        find("org/name", told.append)
    assert error.value.exit_code == 1 and "\n" not in str(error.value)
    point_to(monkeypatch, "http://127.0.0.1:9")  # nobody listens
    with pytest.raises(TriviumError, match=r"http://127\.0\.0\.1:9 does not answer \(.*refused"):
        find("org/name", told.append)
    offline(monkeypatch)
    with pytest.raises(TriviumError, match="HF_HUB_OFFLINE is set"):
        find("org/name", told.append)


def test_another_programs_cache_is_used_when_nothing_better_is_there(
    online: server.Hub, files: dict[str, bytes], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    online.repositories["org/name"] = Repository(files)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        hub_library.hf_hub_download("org/name", name)
    offline(monkeypatch)
    folder = find("org/name", told.append)
    assert (folder / "model.safetensors").exists() and "taken from the cache as it is" in told[0]


def test_the_extra_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SettingsError, match=r"org/name would be fetched.*pip install -e '\.\[hub\]'"):
        hub.fetch(HubModel("org/name"), told.append)


# ---- as a user meets it ----


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(arguments, capture_output=True, text=True, env={**kept, **environment}, check=False)


def test_the_environments_variables_hold_and_no_socket_is_opened_in_vain(
    tiny_models: dict[str, Path], files: dict[str, bytes], tmp_path: Path
) -> None:
    command = ["inspect", "model", "--model", "org/name"]
    with server.running_hub() as running:
        running.repositories["org/name"] = Repository(files)
        address = running.address
        first = run([sys.executable, "-m", "trivium", *command], HF_ENDPOINT=address, HF_HOME=str(tmp_path))
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith("fetching org/name (") and first.stderr.count("\n") == 1
    assert (tmp_path / "hub" / "models--org--name" / "refs" / "main").exists()
    code = (
        "import socket, sys\n"
        "def refused(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.__init__ = refused\n"
        "from trivium.cli.run import run\n"
        "assert run(['--help']) == run(['embed', '--help']) == 0\n"
        f"assert run(['inspect', 'model', '--model', {str(tiny_models['bert'])!r}]) == 0\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        f"assert run({command!r}) == 0\n"
        "assert run(['inspect', 'model', '--model', 'org/other']) == 1\n"
    )
    again = run([sys.executable, "-c", code], HF_ENDPOINT=address, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and again.stderr.startswith("error: org/other is not whole in the cache"), again.stderr
    assert again.stderr.count("\n") == 1 and "HF_HUB_OFFLINE is set" in again.stderr
    assert again.stdout.endswith(first.stdout)


def test_little_is_asked(online: server.Hub, files: dict[str, bytes]) -> None:
    online.repositories["org/name"] = Repository(files)
    find("org/name", lambda _: None)
    assert online.asked[0] == "GET org/name@main"
    assert all(each.startswith(("HEAD org/name/", "GET org/name/")) for each in online.asked[1:])
