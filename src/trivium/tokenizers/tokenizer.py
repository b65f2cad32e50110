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
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self

import tokenizers
from trivium.durable import replace_file
from trivium.errors import DataError
from trivium.tokenizers.batches import BatchEncoder
from trivium.tokenizers.encoding import Encoding, Source
from trivium.tokenizers.exact import ExactCharsmap, exact_charsmap
from trivium.tokenizers.layouts import LayoutName, keeps_single_texts, post_processor
from trivium.tokenizers.specials import HF_ROLES, SpecialTokens
from trivium.tokenizers.validation import guarded, model_type

LONG_CHARACTERS = 10_000  # of a text whose spans are looked for only when they are asked for


@dataclass(frozen=True)
class Affixes:
    """The control ids that a layout puts before, between and after one text or two. ``segments``: of each of them and
    of each text, in their order."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    segments: tuple[int, ...] = ()


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
            between = [place for place in range(first, last) if texts[place] < 0]
            shown = [*range(first), first, *between, *([last] if 1 in texts else []), *range(last + 1, len(texts))]
            found.append(
                Affixes(
                    tuple(sample.ids[:first]),
                    tuple(sample.ids[place] for place in between),
                    tuple(sample.ids[last + 1 :]),
                    tuple(sample.type_ids[place] for place in shown if place < len(texts)),
                )
            )
        return found[0], found[1]

    @cached_property
    def _in_order(self) -> bool:
        """Whether the layout puts its control ids around the texts and does no more, as all known ones do."""
        with guarded("the tokenizer's post-processor cannot be used"):
            one = self.plain.encode("a", add_special_tokens=False)
            for pair in (False, True):
                found = self.whole.post_process(one, one if pair else None, True).sequence_ids
                around = self.layout(pair)
                before, between, after = map(len, (around.before, around.between, around.after))
                second = [*[None] * between, *[1] * len(one)] if pair else []
                if found != [*[None] * before, *[0] * len(one), *second, *[None] * after]:
                    return False
                if before + between + after != self.whole.num_special_tokens_to_add(pair):
                    return False  # a text given twice belongs to no text the first time
        return len(one) > 0

    @cached_property
    def _keeps_single_texts(self) -> bool:
        return keeps_single_texts(self.whole.post_processor)

    def with_layout(self, name: LayoutName) -> Self:
        """The same tokens with another layout: "plain" (nothing), "classify" (BERT's), "classify-last" (XLNet's), "end"
        (T5's), "extract" (GPT-1's)."""
        document = json.loads(self.whole.to_str())
        document["post_processor"] = post_processor(name, self.specials, self.whole)
        return type(self)(document, self.specials)

    def encode(self, text: str, pair: str | None = None, specials: bool = False) -> Encoding:
        """Ids of a text or pair; ``specials`` puts the layout's control ids around them. Special strings in the texts
        are text."""
        with guarded("this text cannot be encoded"):
            first = self._source(text)
            if pair is not None:
                second = self._source(pair)
                return self._around((first, second), specials)
            if specials or not self._keeps_single_texts:
                return self._around((first,), specials)
            return Encoding(first.ids, (first,), first.find)

    def _around(self, sources: tuple[Source, ...], specials: bool) -> Encoding:
        """Texts and what the layout puts around them. The ids are put together here: the library would copy all that
        it knows of every token."""

        def join() -> Any:
            with guarded("this text cannot be encoded"):
                first, second = sources[0].find(), sources[1].find() if len(sources) > 1 else None
                return self.whole.post_process(first, second, specials)

        if not self._in_order:
            return Encoding(join().ids, sources, join)
        around = self.layout(pair=len(sources) > 1) if specials else Affixes((), (), ())
        second = (*around.between, *sources[1].ids) if len(sources) > 1 else ()
        return Encoding([*around.before, *sources[0].ids, *second, *around.after], sources, join)

    def _source(self, text: str) -> Source:
        """A long text's ids come without its spans, a short one's with them."""
        exact = self._exact
        if exact is not None and exact.wanted(text):
            library, mapped, origin = exact.rest, exact.charsmap.apply(text), partial(exact.origins, text)
        else:
            library, mapped, origin = self.plain, text, None
        if len(text) > LONG_CHARACTERS:
            find = partial(library.encode, mapped, add_special_tokens=False)
            return Source(text, self._batches.encode([text])[0], find, origin)
        found = library.encode(mapped, add_special_tokens=False)
        return Source(text, found.ids, lambda: found, origin)

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

    def save(self, directory: str | os.PathLike[str], context: int | None = None, segments: bool = True) -> None:
        """``tokenizer.json`` and ``tokenizer_config.json``, which ``transformers.AutoTokenizer`` opens. ``segments``:
        whether the model reads them."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "tokenizer.json", self.whole.to_str(pretty=True).encode())
        names = ["input_ids", "token_type_ids", "attention_mask"]
        segments = segments and bool(self.layout(pair=True).between) and 1 in self.whole.encode("a", "a").type_ids
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
        around = self.layout()
        if self.classify is not None and around.after[-1:] == (self.classify,) and not around.before:
            config["padding_side"] = "left"  # so that every row of XLNet's ends in the token that sums it up
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
