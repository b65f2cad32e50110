"""Amounts of bytes as people write them: 2GB, 512 MiB, 32000000."""

import re

from trivium.errors import SettingsError

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BINARY = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)


def parse_bytes(text: str, name: str) -> int:
    """``name``: the option that the text was given to. "GB" are thousands of thousands of thousands, "GiB" 2^30."""
    match = _SIZE.fullmatch(text)
    if match is None or (match[3] and not match[2]):
        raise SettingsError(f"{name} {text!r} is no amount of bytes: write it like 2GB, 512MiB or 32000000")
    size = int(float(match[1]) * (_BINARY if match[3] else _UNITS)[match[2].upper()])
    if size < 1:
        raise SettingsError(f"{name} {text!r} must be at least one byte")
    return size
