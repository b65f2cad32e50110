"""Comparing and reporting: one offline HTML file that says what was done and what came of it."""

from trivium.lab.charts import Intervals, Series, interval_chart, line_chart
from trivium.lab.report import (
    Sample,
    Section,
    Shown,
    Token,
    blanks,
    code,
    fills,
    key_figures,
    note,
    page,
    prose,
    samples,
    table,
)

__all__ = [
    "Intervals",
    "Sample",
    "Section",
    "Series",
    "Shown",
    "Token",
    "blanks",
    "code",
    "fills",
    "interval_chart",
    "key_figures",
    "line_chart",
    "note",
    "page",
    "prose",
    "samples",
    "table",
]
