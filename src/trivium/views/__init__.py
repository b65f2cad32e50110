"""What goes on inside a model, as numbers first and then as pictures."""

from trivium.views.markup import Markup, html, joined, number, writable

__all__ = ["Markup", "html", "joined", "number", "writable"]
