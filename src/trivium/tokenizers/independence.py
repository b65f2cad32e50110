"""Where a text may be cut so that its parts, tokenised alone, give the ids of the whole: told from tokenizer.json.

A proof is needed for each kind of pre-tokeniser and normaliser; of those that are not named here nothing is assumed,
and their texts are never cut. A cut is always made before whitespace that follows a character which is none.
"""

from dataclasses import dataclass
from typing import Any

# A text is normalised by these as its parts on both sides of a space are: a space composes with nothing.
_CONCATENATING = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"}
# Nor do these look from one letter of ASCII across a space to another.
_LOCAL = _CONCATENATING | {"Nmt", "Precompiled"}
_SAME_IN_ASCII = {"NFC", "NFD", "NFKC", "NFKD", "Precompiled"}  # of printable characters with single spaces
_ENDS = ({"Regex": r"\A | \z"}, "")  # of single spaces
_DROPPING = {"BertPreTokenizer", "WhitespaceSplit", "Whitespace"}  # words, without the white space between them
_SPACE = r"\s"
_SPACES = r"\s+"
# Patterns of this package: no match of the first crosses white space; the others mark a word's end, where white space
# stands for the end of the text.
_WORD = r"\p{Han}|[\p{L}\p{M}\p{N}_&&[^\p{Han}]]+(?:['’][\p{L}\p{M}\p{N}_&&[^\p{Han}]]+)*|[^\s\p{L}\p{M}\p{N}_]"
_WORD_ENDS = (r"(?<=\S)(?=\s|\z)", r"(?<=[\p{P}\p{S}])|(?<=[^\s\p{P}\p{S}])(?=\s|[\p{P}\p{S}]|\z)")


@dataclass(frozen=True)
class Independence:
    """How a tokenizer's texts fall into chunks that do not know of each other.

    ``cut``: a pattern of the whitespace before which a cut is allowed. ``chunks``: a pattern of the chunks of a text
    whose whitespace is more than single spaces, None: only the library can tell. ``dropped``: whitespace leaves no
    trace, so that a word is the same wherever it stands. ``normalise``: only the normalised text falls into chunks;
    ``ascii_as_is``: the normaliser leaves printable ASCII with single spaces alone, if its character map does (it has
    to be asked); ``long_cuts``: a long text may be cut before it is normalised, between two letters of ASCII.
    """

    cut: str
    chunks: str | None
    dropped: bool = False
    normalise: bool = False
    ascii_as_is: bool = True
    long_cuts: bool = True


def independence(
    pre_tokenizer: dict[str, Any] | None, normalizer: dict[str, Any] | None, added: bool
) -> Independence | None:
    """None: nothing is known, and a text is tokenised whole. ``added``: strings of the text are looked for before it is
    split, and they may hold spaces."""
    members = _members(pre_tokenizer, "pretokenizers")
    if added or not members or any(_knows_its_place(each) for each in members[1:]):
        return None
    first, normalizers = members[0], _members(normalizer, "normalizers")
    names = [str(each.get("type")) for each in normalizers]
    strips = any(_collapses(each) and not _joins_spaces(each) for each in normalizers)
    spaced = {
        "normalise": bool(names),
        "ascii_as_is": all(each.get("type") in _SAME_IN_ASCII or _collapses(each) for each in normalizers)
        and "Precompiled" not in names[1:],
        "long_cuts": all(each.get("type") in _LOCAL or _collapses(each) for each in normalizers),
    }
    kind = first.get("type")
    if kind in _DROPPING or _split(first) in ((_SPACES, "Removed", False), (_WORD, "Removed", True)):
        spaced["normalise"] = not all(each.get("type") in _CONCATENATING or _marks(each) for each in normalizers)
        return Independence(r"[ \n\t\r]", r"\S+", dropped=True, **spaced)
    if _split(first) == (_SPACE, "Isolated", False):
        return Independence(r"[ \n\t\r]", r"[ \n\t\r]*\S+|[ \n\t\r]+", **spaced)
    if kind == "ByteLevel" and first.get("use_regex", True):
        spaced["long_cuts"] &= not strips
        if first.get("add_prefix_space", True):  # a chunk that begins with a line end would get a space
            return Independence(" ", None, **spaced)
        # GPT-2's pattern looks ahead from whitespace to the word after it: they stay together.
        return Independence(r"[ \n\t\r]", r"[ \n\t\r]*\S+|[ \n\t\r]+", **spaced)
    if kind == "Metaspace" and first.get("split", True):
        scheme = first.get("prepend_scheme", "always")
        if names and scheme not in ("always", "never"):
            return None  # whether a prefix is given depends on where the text began before it was normalised
        spaced["long_cuts"] &= scheme == "always" or not strips
        return Independence(" ", " *[^ ]+| +", **spaced)
    return None


def _members(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    if not part:
        return []
    if part.get("type") == "Sequence":
        return [member for each in part.get(name) or [] for member in _members(each, name)]
    return [part]


def _split(pre_tokenizer: dict[str, Any]) -> tuple[str | None, str | None, bool]:
    """A split's regular expression, what becomes of the matches, and whether the others are meant."""
    if pre_tokenizer.get("type") != "Split":
        return None, None, False
    pattern = pre_tokenizer.get("pattern") or {}
    return pattern.get("Regex"), pre_tokenizer.get("behavior"), bool(pre_tokenizer.get("invert"))


def _marks(normalizer: dict[str, Any]) -> bool:
    """Replaces one character, or marks the ends of words."""
    pattern, content = normalizer.get("pattern") or {}, str(normalizer.get("content"))
    single = len(pattern.get("String", "")) == 1 and not pattern["String"].isspace()
    known = single or pattern.get("Regex") in _WORD_ENDS
    return normalizer.get("type") == "Replace" and known and not any(map(str.isspace, content))


def _knows_its_place(pre_tokenizer: dict[str, Any]) -> bool:
    """Whether it treats the first word of a text in its own way."""
    return pre_tokenizer.get("type") == "Metaspace" and pre_tokenizer.get("prepend_scheme", "always") == "first"


def _collapses(normalizer: dict[str, Any]) -> bool:
    """Strips or collapses spaces: it leaves a text with single spaces between its words alone."""
    if normalizer.get("type") == "Strip" or _joins_spaces(normalizer):
        return True
    return normalizer.get("type") == "Replace" and (normalizer.get("pattern"), normalizer["content"]) == _ENDS


def _joins_spaces(normalizer: dict[str, Any]) -> bool:
    pattern = (normalizer.get("pattern") or {}).get("Regex")
    return normalizer.get("type") == "Replace" and pattern in (" {2,}", " +") and normalizer["content"] == " "
