"""The process that renders chat templates, for ``templates.py``: Jinja's immutable sandbox under limits of the system.

A template is a program by a stranger. The sandbox keeps it from Python; that it ends, and in bounded memory, only the
system can promise. Each line of standard input asks, each line of standard output answers, both JSON; what goes into a
template is therefore plain data. Templates see what ``transformers`` shows them, with the same switches.
"""

import json
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.environment import Template
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from trivium.text.provenance import generated, joined, runs, said, scaffold

# No template can spell these names, for they hold a space.
_SCAFFOLD, _JOINED = "scaffold text", "joined texts"


class Refusal(Exception):
    """What the template itself says by ``raise_exception``."""


class TooLong(Exception):
    """More was written than may be."""


class Generation(Extension):
    """``{% generation %}`` marks what an assistant says, for training."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller: Callable[[], str]) -> str:
        return generated(caller())


class Sandbox(ImmutableSandboxedEnvironment):
    """Whatever joins strings keeps their marks (``provenance``)."""

    concat = staticmethod(joined)


class _Marker(jinja2.visitor.NodeTransformer):
    """Marks every string that stands in the template's source."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return _through(_SCAFFOLD, nodes.Const(node.data), node.lineno)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        return _through(_SCAFFOLD, node, node.lineno) if isinstance(node.value, str) else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _through(_JOINED, nodes.List(node.nodes, lineno=node.lineno), node.lineno)


def _through(name: str, node: nodes.Expr, line: int) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=line)


@jinja2.pass_context  # so that it is not done while compiling, where the marks would be lost
def _mark(context: Context, text: str) -> str:
    return scaffold(text)


@jinja2.pass_context
def _join_all(context: Context, parts: list[object]) -> str:
    return joined([str(part) for part in parts])


@jinja2.pass_eval_context
def _join(context: nodes.EvalContext, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(jinja2.filters.make_attrgetter(context.environment, attribute), value)
    return scaffold("").join([part for each in value for part in (d, str(each))][1:])


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Plain JSON; Jinja's own filter writes it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: object) -> None:
    raise Refusal(str(message))


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def environment() -> Sandbox:
    """With blocks trimmed, as chat templates are written for."""
    made = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols], cache_size=0)
    made.filters |= {_SCAFFOLD: _mark, _JOINED: _join_all, "join": _join, "tojson": _to_json, "safe": FILTERS["string"]}
    made.globals |= {"raise_exception": _raise_exception, "strftime_now": _now}
    return made


@lru_cache(maxsize=8)
def compiled(source: str) -> Template:
    """A template, ready to be rendered many times."""
    sandbox = environment()
    tree = _Marker().visit(sandbox.parse(source))
    code = sandbox.compile(tree, "chat template")
    return sandbox.template_class.from_code(sandbox, code, sandbox.make_globals(None))


def rendered(source: str, data: Mapping[str, Any], own: Mapping[str, str], roles: list[str], longest: int) -> str:
    """What a template writes. ``own``: variables that count as the template's (its control tokens); ``roles``: those
    that may be part of a control token."""
    template = compiled(source)
    messages = [_marked(message, number, roles) for number, message in enumerate(data.get("messages") or [])]
    variables = {**data, "messages": messages, **{name: scaffold(text) for name, text in own.items()}}
    context = template.new_context(variables)
    parts: list[str] = []
    length = 0
    for part in template.root_render_func(context):
        length += len(part)
        if length > longest:
            raise TooLong
        parts.append(part)
    return joined(parts)


def _marked(message: Any, number: int, roles: list[str]) -> Any:
    """A message whose speaker may be part of a control token, and whose text is known as an assistant's."""
    if not isinstance(message, dict):
        return message
    role, content = message.get("role"), message.get("content")
    marked = {**message, "role": scaffold(role)} if role in roles else message
    return {**marked, "content": said(content, number)} if role == "assistant" and isinstance(content, str) else marked


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The runs of what was rendered, or what went wrong in words."""
    try:
        if request.get("check"):
            compiled(request["template"])
            return {"runs": []}
        wanted = (request[name] for name in ("template", "data", "own", "roles", "longest"))
        return {"runs": list(runs(rendered(*wanted)))}
    except Refusal as refusal:
        return {"refusal": str(refusal)}
    except TooLong:
        return {"error": f"it writes more than {request['longest']} characters"}
    except jinja2.TemplateSyntaxError as error:
        return {"error": f"line {error.lineno}: {error.message}"}
    except MemoryError:
        return {"error": "it takes too much memory"}
    except RecursionError:
        return {"error": "it nests too deeply"}
    except Exception as error:  # anything at all may come out of a stranger's program
        return {"error": f"{type(error).__name__}: {error}"}


def limit(memory: int) -> None:
    """This process takes no more memory, writes no file and starts no other."""
    try:
        import resource
    except ImportError:  # Windows knows no such limits; the deadline of the caller remains
        return
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NPROC, 0)):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def serve(memory: int) -> None:
    """Answers until standard input ends."""
    datetime.strptime("2000", "%Y")  # imports what dates need while files may still be opened
    limit(memory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to answer
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if hasattr(signal, "setitimer"):  # ends this process even where its caller is gone
            signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        reply = json.dumps(answer(request))
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        print(reply, flush=True)
