"""The embedded corpus: the documentation that comes with every Python, as documents to learn from.

Two sources, both read as text with ``ast`` and never imported: every docstring of the standard library outside its
tests, and the language reference of ``pydoc_data.topics``. A document is a signature line (``def name(arguments)``,
``class Name(Bases)`` or ``module name``) followed by the cleaned docstring; a topic is its text alone. The signature
carries no module path, so that text for pretraining does not spell out the label of the chapter task.

Left out: what distributions leave out or later versions remove (``LEFT_OUT``), and every text met before.
"""

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from trivium.errors import DataError

LEFT_OUT = frozenset({"tkinter", "idlelib", "turtle", "turtledemo", "lib2to3", "distutils", "ensurepip"})
_NOT_LIBRARY = frozenset({"test", "tests", "site-packages", "dist-packages", "__pycache__", "pydoc_data"})
_Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """One docstring of the standard library, or one topic of the language reference (``kind`` "topic")."""

    module: str  # dotted, as imported: "json.decoder"
    name: str  # within the module: "JSONDecoder.decode"; empty for the module itself
    kind: str  # "module" | "class" | "def" | "topic"
    signature: str  # empty for a topic
    body: str

    @property
    def package(self) -> str:
        """The top-level name, by which splits are made."""
        return self.module.partition(".")[0]

    @property
    def text(self) -> str:
        return f"{self.signature}\n{self.body}" if self.signature else self.body


def standard_library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


@lru_cache(maxsize=4)
def docstrings(stdlib: Path | None = None) -> tuple[Docstring, ...]:
    """Every docstring and topic in the order of the modules' names, repeated ones included; kept in memory."""
    folder = stdlib or standard_library()
    found = [entry for module, path in _sources(folder) for entry in _in_module(module, _parse(path))]
    if not found:
        raise DataError(
            f"the corpus python-docs is read from the source of Python's standard library, and {folder} holds none: "
            "install a Python that comes with its .py files, or give your own text with --data"
        )
    return (*found, *_topics(folder / "pydoc_data" / "topics.py"))


def _sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """(dotted module name, file) in the order of the names, which no file system's order changes."""
    named = []
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        unread = LEFT_OUT.union(_NOT_LIBRARY).intersection(parts) or parts[-1].startswith("_sysconfigdata")
        if not unread and all(part.isidentifier() for part in parts):
            named.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return iter(sorted(named))


def _parse(path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in somebody's patched file is not our user's concern
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"cannot read {path} of Python's standard library ({error}): reinstall Python, "
            "or give your own text with --data"
        ) from error


def _in_module(module: str, tree: ast.Module) -> Iterator[Docstring]:
    yield from _documented(tree, module, "", "module", f"module {module}")
    yield from _in_body(tree.body, module, "")


def _in_body(body: list[ast.stmt], module: str, prefix: str) -> Iterator[Docstring]:
    """Definitions at any depth, also under ``if`` and ``try``; expressions are not walked, which is most of a file."""
    for node in body:
        match node:
            case ast.ClassDef():
                name = prefix + node.name
                yield from _documented(node, module, name, "class", _class_line(node))
                yield from _in_body(node.body, module, name + ".")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                name = prefix + node.name
                yield from _documented(node, module, name, "def", node)
                yield from _in_body(node.body, module, name + ".")
            case _:
                for block in ("body", "handlers", "orelse", "finalbody", "cases"):
                    yield from _in_body(getattr(node, block, []), module, prefix)


def _documented(
    node: _Definition, module: str, name: str, kind: str, line: str | ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Docstring]:
    body = (ast.get_docstring(node) or "").strip()
    if body:
        yield Docstring(module, name, kind, line if isinstance(line, str) else _function_line(line), body)


def _class_line(node: ast.ClassDef) -> str:
    bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
    return f"class {node.name}({bases})" if bases else f"class {node.name}"


def _function_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    prefix = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{prefix} {node.name}({ast.unparse(node.args)}){returns}"


def _topics(path: Path) -> Iterator[Docstring]:
    """The language reference; a distribution that leaves it out has a corpus without it."""
    if not path.exists():
        return
    for node in _parse(path).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "topics":
            for name, text in sorted(ast.literal_eval(node.value).items()):
                yield Docstring("pydoc_data.topics", name, "topic", "", inspect.cleandoc(text).strip())
