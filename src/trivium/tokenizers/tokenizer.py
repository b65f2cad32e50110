"""The one tokenizer type: a ``tokenizers.Tokenizer`` with named control tokens, whose algorithm is a part of it.

What it adds to the library: a user's text never yields a control id, whatever it spells; the ids around a text (the
layout) are known as numbers; files from outside are checked first; ``save`` writes what ``transformers`` opens.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import tokenizers
from trivium.durable import replace_file
from trivium.errors import DataError
from trivium.tokenizers.alignment import word_spans, words_of_tokens
from trivium.tokenizers.batches import BatchEncoder
from trivium.tokenizers.exact import ExactCharsmap, exact_charsmap, original_offset
from trivium.tokenizers.layouts import LayoutName, post_processor
from trivium.tokenizers.specials import HF_ROLES, SpecialTokens
from trivium.tokenizers.validation import guarded, model_type


@dataclass(frozen=True)
class Encoding:
    """One text or pair as ids; all lists have one entry a token. Control tokens have offsets (0, 0), word and text -1.

    ``segments``: 0 for the first text, 1 for the second where the layout tells them apart. ``offsets``: characters of
    the text. ``word_of_token``: number of the word in its text (``alignment.word_spans``), -1 for spaces alone.
    ``text_of_token``: 0 or 1.
    """

    ids: list[int]
    segments: list[int]
    offsets: list[tuple[int, int]]
    word_of_token: list[int]
    text_of_token: list[int]


@dataclass(frozen=True)
class Affixes:
    """The control ids that a layout puts before, between and after one text or two."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]


class Tokenizer:
    """Text to ids and back. ``pad``, ``begin`` ... are ids, or None where there is no such token."""

    def __init__(self, document: dict[str, Any], specials: SpecialTokens, path: Path = Path("tokenizer.json")) -> None:
        document = {**document, "truncation": None, "padding": None}
        if document["model"].get("dropout"):  # subword regularisation belongs to training, and draws unkeyed numbers
            document["model"] = {**document["model"], "dropout": None}
        self.specials = specials
        with guarded(f"{path} cannot be used as a tokenizer"):
            self.whole = tokenizers.Tokenizer.from_str(json.dumps(document))
            self.plain = tokenizers.Tokenizer.from_str(json.dumps(_without_controls(document)))
        self.plain.encode_special_tokens = True
        self.vocab_size = max(self.whole.get_vocab().values()) + 1
        self.pad = self._id(specials.pad)
        self.begin = self._id(specials.begin)
        self.end = self._id(specials.end)
        self.unknown = self._id(specials.unknown)
        self.mask = self._id(specials.mask)
        self.separator = self._id(specials.separator)
        self.classify = self._id(specials.classify)
        self.sentinels = tuple(number for number in map(self._id, specials.sentinels) if number is not None)

    def _id(self, content: str | None) -> int | None:
        if content is None:
            return None
        number: int | None = self.whole.token_to_id(content)
        if number is None:
            raise DataError(f"the special token {content!r} is not in the tokenizer's vocabulary")
        return number

    def __len__(self) -> int:
        return self.vocab_size

    @cached_property
    def controls(self) -> frozenset[int]:
        """The ids of all special tokens: those that no text yields."""
        return frozenset(number for number, token in self.whole.get_added_tokens_decoder().items() if token.special)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that ids depend on; not of the layout, which shards do not contain."""
        document = json.loads(self.whole.to_str())
        parts = {name: document[name] for name in ("normalizer", "pre_tokenizer", "model", "decoder", "added_tokens")}
        parts["roles"] = repr(self.specials)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def layout(self, pair: bool = False) -> Affixes:
        """The ids before, between and after what is encoded with ``specials=True``."""
        return self._layouts[1 if pair else 0]

    @cached_property
    def _layouts(self) -> tuple[Affixes, Affixes]:
        found = []
        with guarded("the tokenizer's post-processor cannot be used"):
            samples = (self.whole.encode("a"), self.whole.encode("a", "a"))
        for sample in samples:
            texts = [-1 if text is None else text for text in sample.sequence_ids]
            inner = [place for place, text in enumerate(texts) if text >= 0] or [len(texts)]
            first, last = inner[0], inner[-1]
            between = tuple(i for i, text in zip(sample.ids[first:last], texts[first:last], strict=True) if text < 0)
            found.append(Affixes(tuple(sample.ids[:first]), between, tuple(sample.ids[last + 1 :])))
        return found[0], found[1]

    def with_layout(self, name: LayoutName) -> Self:
        """The same tokens with another layout: "plain" (nothing), "classify" (BERT's), "end" (T5's)."""
        document = json.loads(self.whole.to_str())
        document["post_processor"] = post_processor(name, self.specials, self.whole)
        return type(self)(document, self.specials)

    def encode(self, text: str, pair: str | None = None, specials: bool = False) -> Encoding:
        """Ids of a text or pair; ``specials`` puts the layout's control ids around them. Special strings in the texts
        are text."""
        with guarded("this text cannot be encoded"):
            first, spans = self._encoded(text)
            second, others = (None, None) if pair is None else self._encoded(pair)
            joined = self.whole.post_process(first, second, specials)
            texts = [-1 if number is None else number for number in joined.sequence_ids]
            offsets, words = joined.offsets, [-1] * len(texts)
            for number, each in enumerate((text, pair)):
                places = [place for place, of in enumerate(texts) if of == number]
                origin = others if number else spans
                if origin is not None:
                    for place in places:
                        offsets[place] = original_offset(offsets[place], origin)
                if each is not None and places:
                    found = words_of_tokens([offsets[place] for place in places], word_spans(each))
                    for place, word in zip(places, found, strict=True):
                        words[place] = word
            return Encoding(joined.ids, joined.type_ids, offsets, words, texts)

    def _encoded(self, text: str) -> tuple[Any, list[tuple[int, int]] | None]:
        """The library's encoding of a text, and, where the text was mapped before, where its characters come from."""
        if self._exact is None or not self._exact.wanted(text):
            return self.plain.encode(text, add_special_tokens=False), None
        mapped, spans = self._exact.aligned(text)
        return self._exact.rest.encode(mapped, add_special_tokens=False), spans

    @cached_property
    def _exact(self) -> ExactCharsmap | None:
        return exact_charsmap(self.plain)

    def normalise(self, text: str) -> str:
        """The text as the model sees it, before it is cut into words."""
        with guarded("this text cannot be encoded"):
            if self._exact is not None and self._exact.wanted(text):
                return self._exact.normalise(text)
            normalizer = self.plain.normalizer
            return text if normalizer is None else normalizer.normalize_str(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts of any length, without control ids: words met before are looked up, the others
        tokenised on all cores."""
        with guarded("this text cannot be encoded"):
            return self._batches.encode(texts)

    @cached_property
    def _batches(self) -> BatchEncoder:
        return BatchEncoder(self.plain)

    def encode_marked(self, text: str) -> list[int]:
        """Ids of a text in which special strings ARE control tokens: for templates and blanks to fill, where the
        caller means them; never for text from elsewhere."""
        with guarded("this text cannot be encoded"):
            ids: list[int] = self.whole.encode(text, add_special_tokens=False).ids
            return ids

    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""
        with guarded("these ids cannot be decoded"):
            text: str = self.whole.decode([int(number) for number in ids], skip_special_tokens=skip_special)
            return text

    def piece(self, number: int) -> str:
        """The vocabulary's own spelling of an id ("Ġcat" for " cat" in byte-level BPE)."""
        piece: str | None = self.whole.id_to_token(int(number))
        if piece is None:
            raise DataError(f"id {number} is not in the vocabulary of {self.vocab_size}")
        return piece

    @property
    def algorithm(self) -> Literal["BPE", "WordPiece", "Unigram", "WordLevel"]:
        name: Literal["BPE", "WordPiece", "Unigram", "WordLevel"] = type(self.whole.model).__name__  # type: ignore[assignment]
        return name

    def save(self, directory: str | os.PathLike[str], context: int | None = None) -> None:
        """``tokenizer.json`` and ``tokenizer_config.json``, which ``transformers.AutoTokenizer`` opens."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "tokenizer.json", self.whole.to_str(pretty=True).encode())
        names = ["input_ids", "token_type_ids", "attention_mask"]
        segments = self.layout(pair=True).between and 1 in self.whole.encode("a", "a").type_ids
        if not segments:  # a GPT-2 would add their embeddings as if they were words
            names.remove("token_type_ids")
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        for role, name in HF_ROLES.items():
            if getattr(self.specials, role) is not None:
                config[name] = getattr(self.specials, role)
        if self.specials.sentinels:
            config["additional_special_tokens"] = list(self.specials.sentinels)
        if context is not None:
            config["model_max_length"] = context
        config |= {"model_input_names": names, "clean_up_tokenization_spaces": False}
        replace_file(folder / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Tokenizer":
        """From a folder or a file of any of the known formats (``formats.py``), ours or another program's."""
        from trivium.tokenizers.formats import read

        return read(Path(path))


def _without_controls(document: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer a user's text goes through: every control token renamed to a string that no text can guess; ids
    stay. So neither the search for added tokens nor the model's own vocabulary (a Unigram's holds ``</s>``) knows how
    a control token is spelt, and no normaliser can produce it (NFKC makes ``<s>`` of full-width characters)."""
    added = document.get("added_tokens") or []
    controls = {token["content"] for token in added if token.get("special")}
    model = dict(document["model"])
    nonce = secrets.token_hex(16)
    names = {content: f" {nonce} {content} " for content in controls}
    if model_type(model) == "Unigram":
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        parts = [(merge, merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"]]
        model["merges"] = [m for m, (left, right) in parts if not {left, right, left + right} & controls]
    renamed = [{**t, "content": names[t["content"]]} if t["content"] in names else t for t in added]
    return {**document, "model": model, "added_tokens": renamed, "post_processor": None}
