"""Raw text to examples to rows: readers, tokenised shards, blocks, mixtures and the order of examples."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivium.text.blocks import Blocks, cut
    from trivium.text.documents import read_documents
    from trivium.text.mixture import Mixture
    from trivium.text.rows import Layout, Rows
    from trivium.text.shards import Shards, write_shards

# Loaded when first named: the process that renders templates needs none of them, nor what they import.
_HOMES = {
    "Blocks": "blocks",
    "Layout": "rows",
    "Mixture": "mixture",
    "Rows": "rows",
    "Shards": "shards",
    "cut": "blocks",
    "read_documents": "documents",
    "write_shards": "shards",
}

__all__ = ["Blocks", "Layout", "Mixture", "Rows", "Shards", "cut", "read_documents", "write_shards"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
