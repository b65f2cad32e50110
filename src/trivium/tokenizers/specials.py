"""The control tokens of a tokenizer: which string plays which role, in our own tokenizers and in the known families."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

ROLES = ("pad", "begin", "end", "unknown", "mask", "separator", "classify")
HF_ROLES = {
    "pad": "pad_token",
    "begin": "bos_token",
    "end": "eos_token",
    "unknown": "unk_token",
    "mask": "mask_token",
    "separator": "sep_token",
    "classify": "cls_token",
}
_SENTINEL = re.compile(r"<extra_id_(\d{1,6})>")


@dataclass(frozen=True)
class SpecialTokens:
    """The string of each role; one string may play several, None: the tokenizer has no such token.

    The default serves all three kinds of model at once: an encoder classifies at ``<s>`` and separates with ``</s>``,
    a decoder ends texts with ``</s>``, an encoder-decoder blanks spans with ``<extra_id_k>`` (T5's sentinels).
    """

    pad: str | None = "<pad>"
    begin: str | None = "<s>"
    end: str | None = "</s>"
    unknown: str | None = "<unk>"
    mask: str | None = "<mask>"
    separator: str | None = "</s>"
    classify: str | None = "<s>"
    sentinels: tuple[str, ...] = tuple(f"<extra_id_{number}>" for number in range(32))

    def strings(self) -> tuple[str, ...]:
        """Each once, in the order of their ids in a new tokenizer."""
        named = (getattr(self, role) for role in ROLES)
        return tuple(dict.fromkeys([string for string in named if string is not None] + list(self.sentinels)))


BERT = SpecialTokens("[PAD]", None, None, "[UNK]", "[MASK]", "[SEP]", "[CLS]", ())
GPT2 = SpecialTokens(None, "<|endoftext|>", "<|endoftext|>", None, None, None, None, ())
GPT1 = SpecialTokens(None, None, None, "<unk>", None, None, None, ())
QWEN2 = SpecialTokens("<|endoftext|>", None, "<|endoftext|>", None, None, None, None, ())
LLAMA = SpecialTokens(None, "<s>", "</s>", "<unk>", None, None, None, ())
ROBERTA = SpecialTokens("<pad>", "<s>", "</s>", "<unk>", "<mask>", "</s>", "<s>", ())
T5 = SpecialTokens("<pad>", None, "</s>", "<unk>", None, None, None, tuple(f"<extra_id_{n}>" for n in range(100)))
XLNET = SpecialTokens("<pad>", "<s>", "</s>", "<unk>", "<mask>", "<sep>", "<cls>", ())
TRIVIUM = SpecialTokens()
# BERT's spelling for all three kinds of model: [SEP] ends a text, and there are sentinels.
BRACKETS = SpecialTokens("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "[SEP]", "[CLS]", TRIVIUM.sentinels)

STYLES = {"trivium": TRIVIUM, "brackets": BRACKETS, "bert": BERT, "gpt2": GPT2, "t5": T5, "xlnet": XLNET}


def recognise(contents: Sequence[str]) -> SpecialTokens:
    """The roles of a foreign tokenizer's special tokens by their usual strings, where no file states them."""
    known = set(contents)

    def first(*strings: str) -> str | None:
        return next((string for string in strings if string in known), None)

    end = first("</s>", "<|endoftext|>", "<|end_of_text|>")
    return SpecialTokens(
        pad=first("<pad>", "[PAD]"),
        begin=first("<s>", "<|endoftext|>", "<|begin_of_text|>"),
        end=end,
        unknown=first("<unk>", "[UNK]"),
        mask=first("<mask>", "[MASK]"),
        separator=first("[SEP]", "<sep>") or (end if "<mask>" in known else None),
        classify=first("[CLS]", "<cls>") or (first("<s>") if "<mask>" in known else None),
        sentinels=sentinels_among(contents),
    )


def sentinels_among(contents: Sequence[str]) -> tuple[str, ...]:
    """``<extra_id_0>``, ``<extra_id_1>`` ... as far as they go on without a gap."""
    numbers = {int(match[1]): match[0] for match in map(_SENTINEL.fullmatch, contents) if match}
    found: list[str] = []
    while len(found) in numbers:
        found.append(numbers[len(found)])
    return tuple(found)
