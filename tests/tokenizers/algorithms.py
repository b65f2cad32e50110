"""A small tokenizer of every algorithm, learnt from one text of several scripts, and what each promises."""

from functools import cache

from trivium.tokenizers import ALGORITHMS, Tokenizer
from trivium.tokenizers.learning import learn
from trivium.tokenizers.options import OPTIONS

TEXTS = [
    "The tokenizer reads the text, and the model reads the tokens; I don't know what they'll say: it's 12 or 3.5!",
    "Speakers speak, the speaker spoke; the newest of the lowest were wider than the widest.",
    "Die Größe der Wörter ändert sich, naïveté bleibt: e\N{COMBINING ACUTE ACCENT}toile.",
    "私は猫が好きです。北京大学有很多学生。 한국어 단어와 글자.",
    "Съешь же ещё этих мягких французских булок. नमस्ते दुनिया! مرحبا بالعالم",
    "def f(x):\n\treturn x + 1  # <s> [SEP] extra_id_0 😀 👍🏽\n",
] * 6
SIZES = {"characters": 120, "words": 120, "bpe": 420, "bpe-words": 330, "wordpiece": 340, "wordpiece-bpe": 320}
NAMES = list(ALGORITHMS)
# Decoding gives back every text exactly; or its normal form (NFKC, single spaces); others know only what they have met.
LOSSLESS = ("bpe",)
LOSSLESS_WHEN_NORMALISED = ("unigram", "sentencepiece-bpe")


@cache
def trained(name: str) -> Tokenizer:
    return learn(TEXTS, SIZES.get(name, 500), OPTIONS[name]()).tokenizer
