"""``trivium chat``: a conversation with any model that writes, by its own chat template or a named one."""

import json
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trivium.durable import check_file, replace_file
from trivium.errors import DataError, SettingsError
from trivium.families.chat_template import find_template
from trivium.generation.completion import Piece
from trivium.generation.conversation import Conversation, Seen
from trivium.generation.sampling import Sampling
from trivium.settings import Layer, build, dump, merge, override
from trivium.text.chat_templates import CHAT_TEMPLATES, ChatTemplate, chat_template
from trivium.text.chats import Message
from trivium.verbs.load import LanguageModel, Precision, load

LARGEST_CONVERSATION = 64 << 20  # bytes of a saved one


class Chat:
    """A conversation and the settings of its replies, which may change from one to the next.

    ``template``: a name of ``CHAT_TEMPLATES`` or a ``.jinja`` file; None: the model's own.
    """

    def __init__(
        self, model: str | Path | LanguageModel, *, system: str | None = None, template: str | Path | None = None,
        sampling: Sampling = Sampling(max_tokens=512), precision: Precision = "float32",  # noqa: B008 (frozen)
        device: str = "auto",
    ) -> None:  # fmt: skip
        self.model = load(model, precision=precision, device=device)
        if self.model.kind == "encoder":
            raise SettingsError(f"{self.model.directory} is an encoder, which writes no text: chat with a decoder")
        own = find_template(self.model.directory) if template is None else None
        if template is None and own is None:
            raise SettingsError(
                f"{self.model.directory} has no chat template, so it was not taught to talk: choose one with "
                f"--template ({', '.join(CHAT_TEMPLATES)}, or a .jinja file), or use generate"
            )
        made = ChatTemplate(own) if own is not None else chat_template(template or "")
        self.conversation = Conversation(
            self.model.model, self.model.tokenizer, made, system, self.model.generation
        )
        self.sampling = sampling

    def say(self, text: str) -> Generator[Piece]:
        """The reply to ``text``, piece by piece; close the iterator to cut it short."""
        return self.conversation.reply(text, self.sampling)

    def retry(self) -> Generator[Piece]:
        """Another reply to the last message."""
        return self.conversation.again(self.sampling)

    def set(self, assignment: str) -> None:
        """Changes a field of ``Sampling`` for the replies to come: ``temperature=0.2``."""
        given, _ = merge([Layer("set", dump(self.sampling)), Layer("set", override(Sampling, assignment))])
        self.sampling = build(Sampling, given)

    def seen(self) -> list[Seen]:
        """Every token that the model reads."""
        return self.conversation.seen()

    def clear(self) -> None:
        """Forgets all messages but the system's."""
        self.conversation.messages.clear()

    def record(self) -> dict[str, Any]:
        """Messages and settings, as ``save`` writes them."""
        messages = [asdict(message) for message in self.conversation.history]
        return {"model": str(self.model.directory), "messages": messages, "sampling": asdict(self.sampling)}

    def save(self, path: str | Path) -> None:
        """A file of JSON, whose ``messages`` are those of every API of this kind."""
        check_file(Path(path))
        replace_file(Path(path), json.dumps(self.record(), ensure_ascii=False, indent=1).encode() + b"\n")

    def load(self, path: str | Path) -> None:
        """Goes on with the messages of a saved conversation; the settings stay as they are."""
        path = Path(path)
        try:
            if path.stat().st_size > LARGEST_CONVERSATION:
                raise DataError(f"{path} has {path.stat().st_size} bytes: at most {LARGEST_CONVERSATION} are read")
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as problem:
            raise DataError(f"{path} cannot be read as JSON: {problem}") from None
        rows = content.get("messages") if isinstance(content, dict) else content
        if not isinstance(rows, list):
            raise DataError(f"{path} has no list of messages: give a file that /save wrote")
        messages = []
        for number, row in enumerate(rows):
            role, text = (row.get("role"), row.get("content")) if isinstance(row, dict) else (None, None)
            if not isinstance(role, str) or not isinstance(text, str):
                raise DataError(f"{path}: messages[{number}] needs a role and a content, both text")
            messages.append(Message(role, text))
        try:
            self.conversation.load(messages)
        except DataError as problem:
            raise DataError(f"{path}: {problem}") from None

