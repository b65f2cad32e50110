"""The terminal chat: lines in, replies out as they are written, and commands that begin with a slash."""

import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trivium.cli.options import (
    Device,
    Json,
    MinP,
    ModelDirectory,
    Precision,
    RepetitionPenalty,
    Seed,
    Temperature,
    TopK,
    TopP,
)
from trivium.cli.output import coloured, emit, note

if TYPE_CHECKING:
    from trivium.generation.completion import Piece
    from trivium.verbs.chat import Chat

HELP = """\
/retry            another reply to the last message
/set NAME=VALUE   change a setting of the replies, such as temperature=0.2; /set alone shows them
/system TEXT      what the model is told first; /system alone takes it away
/tokens           what the model sees, token by token
/save FILE        write the conversation; /load FILE goes on with one
/clear            begin anew
/quit             end (or Ctrl-D); Ctrl-C cuts a reply short"""


def chat(
    model: ModelDirectory,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="What the model is told before the conversation.")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", metavar="T", help="chatml, llama-2, llama-3, alpaca, plain or a .jinja file."),
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Of a reply, at most.")] = 512,
    temperature: Temperature = 0.8,
    top_k: TopK = 0,
    top_p: TopP = 0.95,
    min_p: MinP = 0.0,
    repetition_penalty: RepetitionPenalty = 1.0,
    seed: Seed = 0,
    precision: Precision = "float32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Talk with a model. Type /help for what can be changed on the way; lines from a pipe are messages, too."""
    from trivium.generation.sampling import Sampling
    from trivium.verbs.chat import Chat

    sampling = Sampling(
        max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
        repetition_penalty=repetition_penalty, seed=seed,
    )  # fmt: skip
    talk = Chat(model, system=system, template=template, sampling=sampling, precision=precision, device=device)
    if sys.stdin.isatty():
        note(f"{talk.model.directory.name}: /help shows what can be changed, Ctrl-D ends")
    for line in _lines():
        _answer(talk, line, quiet=as_json)
    if as_json:
        emit(talk.record(), True, "")


def _lines() -> Iterator[str]:
    """What is typed or piped in, until /quit or the end; a line that ends in a backslash goes on in the next."""
    terminal = sys.stdin.isatty()
    if terminal:
        import readline  # noqa: F401 (gives input() its editing and history)
    held = ""
    while True:
        try:
            line = input(("... " if held else "> ") if terminal else "")
        except EOFError:
            if terminal:
                print()
            if held.strip():
                yield held
            return
        except KeyboardInterrupt:  # at the prompt: throws the line away
            if not terminal:
                raise
            print()
            held = ""
            continue
        if line.endswith("\\"):
            held += line[:-1] + "\n"
            continue
        text, held = held + line, ""
        if text.strip() == "/quit":
            return
        if text.strip():
            yield text


def _answer(talk: "Chat", text: str, quiet: bool) -> None:
    """One line; at a terminal what is wrong with it is said, and the conversation goes on."""
    from trivium.errors import TriviumError

    name, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    try:
        if not name.startswith("/"):
            _show(talk.say(text), quiet)
        elif name == "/retry":
            _show(talk.retry(), quiet)
        elif name == "/set" and rest:
            talk.set(rest)
        elif name == "/set":
            for field, value in vars(talk.sampling).items():
                note(f"{field} = {value}")
        elif name == "/system":
            talk.conversation.system = rest or None
        elif name == "/tokens":
            _show_tokens(talk, note if quiet else print)
        elif name == "/save":
            talk.save(rest or "conversation.json")
            note(f"wrote {rest or 'conversation.json'}")
        elif name == "/load":
            talk.load(_named(rest))
        elif name == "/clear":
            talk.clear()
        else:
            note(HELP if name == "/help" else f"there is no command {name}: /help lists them")
    except TriviumError as problem:
        if not sys.stdin.isatty():
            raise
        note(str(problem))


def _named(rest: str) -> Path:
    from trivium.errors import SettingsError

    if not rest:
        raise SettingsError("/load needs the name of a file")
    return Path(rest)


def _show(pieces: "Generator[Piece]", quiet: bool) -> None:
    """Writes a reply as it comes; Ctrl-C ends the reply and not the program."""
    cut = False

    def stop(*_: object) -> None:
        nonlocal cut
        cut = True

    before = signal.signal(signal.SIGINT, stop) if sys.stdin.isatty() else None
    finish = None
    try:
        for piece in pieces:
            if not quiet:
                typer.echo(_harmless(piece.text), nl=False)
            finish = piece.finish
            if cut:
                break
    finally:
        pieces.close()
        if before is not None:
            signal.signal(signal.SIGINT, before)
        if not quiet:
            typer.echo()
    if finish in ("length", "context"):
        full = "max_tokens is reached (/set max_tokens=...)"
        note(f"the reply is cut off here: {full if finish == 'length' else 'the context is full (/clear)'}")


def _harmless(text: str) -> str:
    """What a terminal would obey, shown as a sign."""
    from trivium.views.tokenisation import visible

    return "".join(each if each in " \n\t" else visible(each) for each in text)


def _show_tokens(talk: "Chat", tell: Callable[[str], None]) -> None:
    from trivium.views.tokenisation import visible

    seen = talk.seen()
    shown = "".join(
        coloured(f"⟨{each.text}⟩" if each.control else f"{visible(each.text)}|", 0 if each.control else number)
        for number, each in enumerate(seen)
    )
    tell(shown)
    limit = talk.model.config.limit
    tell(f"{len(seen)} tokens" + (f" of a context of {limit}" if limit is not None else ""))
