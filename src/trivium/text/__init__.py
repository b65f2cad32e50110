"""Raw text to examples to rows: readers, tokenised shards, blocks, mixtures and the order of examples."""

from trivium.text.blocks import Blocks, cut
from trivium.text.documents import read_documents
from trivium.text.mixture import Mixture
from trivium.text.rows import Layout, Rows
from trivium.text.shards import Shards, write_shards

__all__ = ["Blocks", "Layout", "Mixture", "Rows", "Shards", "cut", "read_documents", "write_shards"]
