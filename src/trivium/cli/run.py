"""One command from its arguments to its exit code: every error a sentence on stderr, a traceback only on ``--debug``.

0 done; 1 failed; 2 usage or settings; 3 data; 4 refused before start; 75 stopped by itself with a good checkpoint;
130 and 143 after Ctrl-C and SIGTERM (a run in training saves first; elsewhere SIGTERM ends the process at once).
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import typer

from trivium.errors import TriviumError

INTERRUPTED = 130
_REMEDIES = {  # what a system says of a file -> what to do; other failures of it are unexpected
    errno.ENOSPC: "make room, or write to another disk",
    errno.EDQUOT: "make room, or write to another disk",
    errno.EACCES: "choose a place that you may use",
    errno.EPERM: "choose a place that you may use",
    errno.EROFS: "choose a place that may be written",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "choose a name that is not below a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the name and the folders in it",
}
_BY_OPTION = {"trivium pretrain": "--data", "trivium generate": "--prompt"}  # what others take as an argument
_MANY = ("--data", "--old", "--set")  # options that take several values: `--data *.txt`
# Typer carries its own copy of click since 0.26 and used click's classes before: this names either.
_ParsingError: type[Exception] = typer.BadParameter.__mro__[2]


def run(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name and returns the exit code."""
    from trivium.cli.app import app

    debug = "--debug" in arguments[:1]
    try:
        command = typer.main.get_command(app)
        _show_one(command)
        code = command.main(list(_spread(arguments)), prog_name="trivium", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # Typer turns a KeyboardInterrupt into this code without a word
            return _failed("interrupted", INTERRUPTED, False)
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return _closed()
    except (KeyboardInterrupt, typer.Abort):
        return _failed("interrupted", INTERRUPTED, debug)
    except _ParsingError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `trivium` or `trivium vectors`, and nothing more
            print(error.format_message(), file=sys.stderr)  # type: ignore[attr-defined]
            return 2
        return _failed(_usage(error), 2, debug)
    except TriviumError as error:
        return _failed(str(error), error.exit_code, debug)
    except MemoryError:
        return _failed("this machine has not enough memory: use a smaller model, context or batch", 1, debug)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _REMEDIES:
            about = f"{error.filename}: " if error.filename else ""
            return _failed(f"{about}{error.strerror}: {_REMEDIES[error.errno]}", 1, debug)
        what = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no further word'}"
        return _failed(f"{what} (unexpected; `trivium --debug ...` shows where)", 1, debug)


def _show_one(command: Any) -> None:
    """The help of an argument that may be several says the kind of one: ``FILES <path>``, not ``<list[Path]>``."""
    for each in getattr(command, "commands", {}).values():
        _show_one(each)
    for argument in command.params:
        if argument.nargs == -1 and hasattr(argument, "display_type"):  # since Typer 0.26
            argument.display_type = partial(_of_one, argument.display_type)


def _of_one(shown: Callable[[Any], str], context: Any) -> str:
    return shown(context).replace("list[Path]", "path").replace("list[str]", "str")


def _failed(sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {sentence}", file=sys.stderr)
    return code


def _closed() -> int:
    """The reader of stdout went away (``| head``): nothing is left to say, and Python must not try when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1


def _usage(error: Exception) -> str:
    """Typer's complaint in one sentence, with the command whose help says more."""
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "trivium"
    if path in _BY_OPTION and message.startswith("Got unexpected extra argument"):
        message += f": text is given by {_BY_OPTION[path]}"
    return f"{message}; see `{path} --help`"


def _spread(arguments: Sequence[str]) -> Iterator[str]:
    """``--data a b c`` as ``--data a --data b --data c``, so that a shell's ``*.txt`` works."""
    option, taken = "", 0
    for position, argument in enumerate(arguments):
        if argument == "--":
            yield from arguments[position:]
            return
        if argument.startswith("-") and argument != "-":
            option, taken = (argument if argument in _MANY else ""), 0
        elif option:
            if taken:
                yield option
            taken += 1
        yield argument
