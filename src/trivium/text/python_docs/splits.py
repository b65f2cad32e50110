"""Train, dev and test: whole modules, so that no module has text on two sides, in any task.

The table of chapters is ours, in the spirit of the library reference's. A name stands for the module and everything
below it, except what is listed by a longer name. Each name is part of every supported Python (3.11 to 3.14) or a
private module beside a public one between which documentation moved (``datetime``, ``_pydatetime``); modules which
repeat each other's wording (``gzip``, ``bz2`` and ``lzma``; ``codecs`` and ``encodings``) share a split. They were
shared out by their numbers of docstrings, before any Transformer saw them. A module in no chapter belongs to train.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from trivium.text.python_docs.corpus import Docstring, docstrings

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

CHAPTERS: dict[str, dict[Split, str]] = {
    "text": {
        "train": "codecs encodings re string textwrap",
        "dev": "gettext locale pprint reprlib",
        "test": "difflib stringprep",
    },
    "data types": {
        "train": "collections copy datetime _pydatetime _strptime graphlib types weakref _weakrefset",
        "dev": "bisect calendar heapq",
        "test": "_collections_abc zoneinfo",
    },
    "numbers": {
        "train": "colorsys decimal _pydecimal fractions numbers",
        "dev": "random",
        "test": "statistics",
    },
    "functions and classes": {
        "train": "contextlib functools typing",
        "dev": "abc _py_abc dataclasses operator",
        "test": "enum",
    },
    "files": {
        "train": "io _pyio genericpath linecache ntpath pathlib posixpath stat",
        "dev": "fileinput fnmatch glob tempfile",
        "test": "filecmp shutil",
    },
    "formats": {
        "train": "configparser csv dbm pickle pickletools shelve xml",
        "dev": "html _markupbase json tomllib",
        "test": "netrc plistlib xml.etree",
    },
    "archives": {
        "train": "tarfile zipimport",
        "dev": "bz2 gzip lzma",
        "test": "zipapp zipfile",
    },
    "concurrency": {
        "train": "asyncio multiprocessing queue subprocess",
        "dev": "multiprocessing.pool multiprocessing.process multiprocessing.shared_memory sched",
        "test": "concurrent threading _threading_local",
    },
    "networking": {
        "train": "ftplib ipaddress ssl",
        "dev": "selectors socket",
        "test": "socketserver uuid",
    },
    "web": {
        "train": "http urllib webbrowser",
        "dev": "wsgiref",
        "test": "urllib.parse urllib.robotparser xmlrpc",
    },
    "mail": {
        "train": "base64 email imaplib quopri smtplib",
        "dev": "email.message poplib",
        "test": "mailbox mimetypes",
    },
    "testing": {
        "train": "bdb cProfile pdb profile unittest",
        "dev": "pstats timeit trace tracemalloc",
        "test": "doctest",
    },
    "language": {
        "train": "ast code codeop dis importlib inspect modulefinder runpy tokenize",
        "dev": "importlib.metadata pkgutil",
        "test": "pydoc symtable",
    },
    "system": {
        "train": "argparse cmd ctypes curses getpass os platform shlex",
        "dev": "pty signal sysconfig tty venv",
        "test": "getopt optparse site",
    },
}

_PLACE: dict[str, tuple[str, Split]] = {
    module: (chapter, split)
    for chapter, by_split in CHAPTERS.items()
    for split, modules in by_split.items()
    for module in modules.split()
}


def place_of(module: str) -> tuple[str | None, Split]:
    """The chapter and split of a dotted module name: those of the longest name in the table which it is or is below."""
    while module:
        if module in _PLACE:
            return _PLACE[module]
        module = module.rpartition(".")[0]
    return None, "train"


@lru_cache(maxsize=4)
def unique_docstrings(split: Split, stdlib: Path | None = None) -> tuple[Docstring, ...]:
    """The docstrings of a split in the order of their names, each text once.

    A text that occurs in two splits stays in the earlier one, so that nothing in test was seen in train.
    """
    seen = set[str]()
    for earlier in SPLITS[: SPLITS.index(split)]:
        seen.update(spaced(entry.body) for entry in unique_docstrings(earlier, stdlib))
    kept = []
    for entry in docstrings(stdlib):
        body = spaced(entry.body)
        if place_of(entry.module)[1] == split and body not in seen:
            seen.add(body)
            kept.append(entry)
    return tuple(kept)


def spaced(text: str) -> str:
    """The text on one line: what two texts are compared by."""
    return " ".join(text.split())
