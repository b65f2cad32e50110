"""What goes on inside a model, as numbers first and then as pictures."""

from trivium.views.attention import AttentionView, HeadSummary, attention, attention_picture, head_summaries
from trivium.views.markup import Markup, html, joined, number, writable

__all__ = [
    "AttentionView",
    "HeadSummary",
    "Markup",
    "attention",
    "attention_picture",
    "head_summaries",
    "html",
    "joined",
    "number",
    "writable",
]
