"""For every test: one thread, no network, no user's settings, repeatable hypothesis."""

import os

# Before torch is imported: the tests run side by side, and threads that wait for each other only slow them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_COLOR"] = "1"

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from trivium.tokenizers import Tokenizer

# A shell starts what runs in its background with Ctrl-C ignored, and so would be all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("trivium", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trivium")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that reaches beyond this machine fails."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield


SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "A list is a mutable sequence of items.",
    "Return the number of items in a container.",
    "Raise an error when the file is missing.",
    "Every model reads tokens and writes tokens.",
)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small text of two hundred different documents."""
    path = tmp_path_factory.mktemp("text") / "sentences.txt"
    texts = [f"{SENTENCES[i % 5]} Number {i} of the {SENTENCES[(i * 3) % 5].lower()}" for i in range(200)]
    path.write_text("\n\n".join(texts), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of untrained models, the smallest of each family, with one tokenizer."""
    from trivium.families import FAMILIES
    from trivium.families.bodies import initialise, network
    from trivium.families.huggingface import save
    from trivium.tokenizers import train_bpe
    from trivium.verbs.pretraining_data import layout_for

    tokenizer = train_bpe(SENTENCES * 4, 320)
    folder = tmp_path_factory.mktemp("models")
    for name, family in FAMILIES.items():
        start = {"start_token": tokenizer.pad} if name in ("t5", "seq2seq") else {}
        model = network(family.size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad, **start))
        initialise(model, 0)
        save(model, family, tokenizer.with_layout(layout_for(model.config)), folder / name)
    return {name: folder / name for name in FAMILIES}


@pytest.fixture(scope="session")
def word_tokenizer() -> Callable[[list[str]], "Tokenizer"]:
    """A tokenizer of given words, split at spaces."""
    from trivium.tokenizers import SpecialTokens, Tokenizer

    def make(words: list[str]) -> Tokenizer:
        specials = SpecialTokens(mask=None, sentinels=())
        strings = specials.strings()
        document = {
            "version": "1.0",
            "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": None,
            "decoder": None,
            "added_tokens": [
                {
                    "id": number,
                    "content": string,
                    "special": True,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                }
                for number, string in enumerate(strings)
            ],
            "model": {
                "type": "WordLevel",
                "vocab": {word: number for number, word in enumerate((*strings, *words))},
                "unk_token": "<unk>",
            },
        }
        return Tokenizer(document, specials)

    return make
