"""Control tokens around a text, saved in ``tokenizer.json`` as its post-processor: other programs add them too."""

import json
from collections.abc import Callable
from typing import Any, Literal, get_args

import tokenizers
from trivium.errors import SettingsError
from trivium.tokenizers.specials import SpecialTokens

LayoutName = Literal["plain", "classify", "classify-last", "end", "extract"]


def post_processor(name: LayoutName, specials: SpecialTokens, whole: tokenizers.Tokenizer) -> dict[str, Any]:
    """``plain``: nothing (decoders). ``classify``: [CLS] A [SEP], [CLS] A [SEP] B [SEP] with segments 0 and 1 (BERT).
    ``classify-last``: A [SEP] [CLS], A [SEP] B [SEP] [CLS] with segments 0, 1 and 2 (XLNet). ``end``: A </s>,
    A </s> B </s> (T5). ``extract``: _start_ A _classify_, _start_ A _delimiter_ B _classify_ (GPT-1's fine-tuning)."""
    return template_processing(name, specials, whole.token_to_id)


def template_processing(
    name: LayoutName, specials: SpecialTokens, number: Callable[[str], int | None]
) -> dict[str, Any]:
    """The same where ``number`` gives the id of a control token."""
    if name not in get_args(LayoutName):
        raise SettingsError(f"tokenizer layout {name!r}: choose one of {', '.join(get_args(LayoutName))}")
    classifies = name in ("classify", "classify-last", "extract")
    classify, end = specials.classify, specials.separator if classifies else specials.end
    lacks = end is None or (classifies and classify is None) or (name == "extract" and specials.begin is None)
    if name != "plain" and lacks:
        raise SettingsError(f"tokenizer layout {name!r} needs special tokens that this tokenizer does not have")
    single: list[tuple[str | None, int]] = [("A", 0)]
    pair: list[tuple[str | None, int]] = [("A", 0), ("B", 0)]  # said, for the library's own default is segments 0 and 1
    if name == "classify":
        single, pair = [(classify, 0), ("A", 0), (end, 0)], [(classify, 0), ("A", 0), (end, 0), ("B", 1), (end, 1)]
    elif name == "classify-last":
        single = [("A", 0), (end, 0), (classify, 2)]
        pair = [("A", 0), (end, 0), ("B", 1), (end, 1), (classify, 2)]
    elif name == "extract":
        single = [(specials.begin, 0), ("A", 0), (classify, 0)]
        pair = [(specials.begin, 0), ("A", 0), (end, 0), ("B", 0), (classify, 0)]
    elif name == "end":
        single, pair = [("A", 0), (end, 0)], [("A", 0), (end, 0), ("B", 0), (end, 0)]

    def template(parts: list[tuple[Any, int]]) -> list[dict[str, Any]]:
        return [
            {"Sequence" if part in ("A", "B") else "SpecialToken": {"id": part, "type_id": segment}}
            for part, segment in parts
        ]

    controls = {part for part, _ in pair if part is not None} - {"A", "B"}
    tokens = {part: {"id": part, "ids": [number(part)], "tokens": [part]} for part in sorted(controls)}
    return {"type": "TemplateProcessing", "single": template(single), "pair": template(pair), "special_tokens": tokens}


def keeps_single_texts(post_processor: Any) -> bool:
    """Whether a library's post-processor, where it may add no control tokens, leaves one text alone. A template does,
    if its text is of segment 0; GPT-2's and RoBERTa's move offsets from spaces."""
    if post_processor is None:
        return True
    told = json.loads(post_processor.__getstate__())
    texts = [part["Sequence"] for part in told.get("single", []) if "Sequence" in part]
    return told["type"] == "TemplateProcessing" and texts == [{"id": "A", "type_id": 0}]
