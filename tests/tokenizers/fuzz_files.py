"""A process that damages tokenizer.json again and again, opens it and uses it: all but a DataError is a failure.

    python fuzz_files.py COUNT SEED

Run by itself so that an abort of the library, too much memory or a hang is seen from outside. Prints one JSON object.
"""

import copy
import json
import random
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from algorithms import NAMES, trained  # noqa: E402

from trivium.errors import DataError  # noqa: E402
from trivium.tokenizers import Tokenizer  # noqa: E402

STRANGE: list[Any] = [
    None, -1, 0, 2, 1 << 31, 2**70, "", " ", "a", "▁", "\u0000", "é" * 50, [], {}, [None], True, 1e308, -0.0, [[[]]],
    {"type": "BPE"}, {"Regex": "(a+)+$"}, {"Regex": "("}, {"Regex": ""}, {"String": ""}, "</s>", "[UNK]",
]  # fmt: skip
PARTS: dict[str, list[Any]] = {
    "normalizer": [
        {"type": "NFKC"}, {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa" * 400}, {"type": "Sequence", "normalizers": []},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
         "lowercase": True}, {"type": "ByteLevel"}, {"type": "Strip", "strip_left": True, "strip_right": True},
    ],
    "pre_tokenizer": [
        {"type": "FixedLength", "length": 0}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
         "split": False}, {"type": "Split", "pattern": {"Regex": "(?=a)"}, "behavior": "Isolated", "invert": True},
        {"type": "Sequence", "pretokenizers": []}, {"type": "UnicodeScripts"}, {"type": "CharDelimiterSplit",
         "delimiter": "a"}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    ],
    "decoder": [
        {"type": "Strip", "content": "a", "start": 5, "stop": 5}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": True}, {"type": "WordPiece",
         "prefix": "##", "cleanup": True}, {"type": "BPEDecoder", "suffix": ""},
    ],
    "post_processor": [
        {"type": "RobertaProcessing", "sep": ["x", 99], "cls": ["y", 9**9], "trim_offsets": True,
         "add_prefix_space": True}, {"type": "BertProcessing", "sep": ["a", 0], "cls": ["a", 0]},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [],
         "special_tokens": {}}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
    ],
}  # fmt: skip
TEXTS = ["The text é 好 <s>x</s>", "aaaa" * 20, "", " \n\t a", "[MASK] ▁ ## 12"]


def damaged(document: dict[str, Any], rng: random.Random) -> str:
    """One to three changes of values, keys, components, or of the text of the file."""
    made = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.25:
            name = rng.choice(list(PARTS))
            made[name] = rng.choice(PARTS[name])
            continue
        node: Any = made
        chosen: Any = rng.choice(list(made))
        while isinstance(node[chosen], dict | list) and node[chosen] and rng.random() < 0.85:
            node = node[chosen]
            chosen = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        change = rng.random()
        if change < 0.15:
            del node[chosen]
        elif change < 0.3 and isinstance(node, list):
            node.insert(rng.randrange(len(node)), copy.deepcopy(node[chosen]))
        elif change < 0.4 and isinstance(node, dict):
            node[str(rng.choice(STRANGE))] = node[chosen]
        elif change < 0.5 and isinstance(node[chosen], int):
            node[chosen] = node[chosen] + rng.choice([-1, 1, 1000, 1 << 33])
        else:
            node[chosen] = copy.deepcopy(rng.choice(STRANGE))
        if not made:
            break
    text = json.dumps(made)
    if rng.random() < 0.1:
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(["", "}", '"', "\\u0000", "9" * 40]) + text[place + rng.randint(0, 3) :]
    return text


def main(count: int, seed: int) -> None:
    documents = [json.loads(trained(name).with_layout("classify").whole.to_str()) for name in NAMES]
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    rng = random.Random(seed)
    opened = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        for number in range(count):
            path.write_text(damaged(rng.choice(documents), rng), encoding="utf-8")
            signal.alarm(20)  # a hang ends the process
            try:
                tokenizer = Tokenizer.load(path)
                for text in TEXTS:
                    encoding = tokenizer.encode(text, "b", specials=True)
                    tokenizer.decode(encoding.ids)
                tokenizer.encode_batch(TEXTS)
                opened += 1
            except DataError as error:
                assert "\n" not in str(error), str(error)
                refused += 1
            except BaseException:
                print(f"damage {number} of seed {seed}:", path.read_text("utf-8")[:3000], file=sys.stderr)
                raise
            signal.alarm(0)
    print(json.dumps({"opened": opened, "refused": refused}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
