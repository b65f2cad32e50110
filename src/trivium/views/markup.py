"""HTML that cannot be injected into: text is escaped where it is put in, and only templates are markup.

Model output, user text and file names are hostile. They reach a page through ``html(...)`` and ``joined(...)`` alone,
which escape every value that is not ``Markup`` already (``markupsafe``, the escaping of Jinja).
"""

from collections.abc import Iterable

from markupsafe import Markup, escape

__all__ = ["Markup", "html", "joined", "number", "writable"]

# Control characters are no HTML; they are shown as their pictures (U+2400...), as are lone surrogates by U+FFFD.
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {127: 0x2421}
_CONTROLS |= dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], 0xFFFD)


def html(template: str, /, *values: object, **named: object) -> Markup:
    """``html("<p>{}</p>", text)``: the template is trusted, the values are escaped."""
    return Markup(template).format(*values, **named)  # noqa: S704


def joined(parts: Iterable[object], separator: str = "") -> Markup:
    """Parts one after another; those that are not markup are escaped."""
    return Markup(separator).join(map(escape, parts))  # noqa: S704


def writable(page: str) -> str:
    """The page without what HTML or UTF-8 cannot carry: control characters, lone surrogates, non-characters."""
    return page.translate(_CONTROLS)


def number(value: float, digits: int = 3) -> str:
    """A number as people read it: 1,234,567; 12.3; 0.0123; 3.2e-05; at most ``digits`` significant after the point."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}".replace("-", "\N{MINUS SIGN}")
    if value != value or value in (float("inf"), float("-inf")):
        return str(value).replace("-", "\N{MINUS SIGN}")
    if abs(value) >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    elif abs(value) >= 1e-4:
        text = f"{value:.{digits}g}"
    else:
        text = f"{value:.{digits - 1}e}"
    return text.replace("-", "\N{MINUS SIGN}")
