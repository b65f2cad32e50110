"""The embedded corpus against the interpreter's own view of the same modules, and the tasks' promises about leaks."""

import ast
import collections
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError
from trivium.text.examples import Labelled, few
from trivium.text.python_docs import (
    LABELS,
    SPLITS,
    chapters,
    corpus_hash,
    documents,
    first_sentences,
    signatures,
)
from trivium.text.python_docs.chapters import mask
from trivium.text.python_docs.corpus import docstrings
from trivium.text.python_docs.sentences import split_summary
from trivium.text.python_docs.splits import CHAPTERS, place_of, unique_docstrings


def words(text: str) -> str:
    return " ".join(text.split())


# ------------------------------------------------------------------------------------------------- the corpus


def test_corpus_has_the_size_of_a_standard_librarys_documentation() -> None:
    corpus = documents()
    assert 5_500 < len(corpus) < 7_500
    assert 1_700_000 < sum(len(document.text.encode()) for document in corpus) < 2_700_000
    assert 70 <= sum(document.name.startswith("pydoc_data.topics.") for document in corpus) <= 90
    bodies = [words(entry.body) for split in SPLITS for entry in unique_docstrings(split)]
    assert len(set(bodies)) == len(bodies)


@pytest.mark.parametrize("name", ["textwrap", "heapq", "json.decoder", "configparser", "argparse", "threading", "ast"])
def test_docstrings_are_those_python_sees(name: str) -> None:
    """Oracle: ``__doc__`` of the imported objects, cleaned by ``inspect``."""
    module = importlib.import_module(name)
    read = {entry.name: entry.body for entry in docstrings() if entry.module == name}
    seen = {"": module} if module.__doc__ else {}
    for key, value in vars(module).items():
        if getattr(value, "__module__", None) == name and (inspect.isfunction(value) or inspect.isclass(value)):
            seen[key] = value
            if inspect.isclass(value):
                seen |= {f"{key}.{k}": v for k, v in vars(value).items() if inspect.isfunction(v)}
    expected = {
        # an alias (encodestring = encodebytes) and a generated method have another name inside
        key: inspect.cleandoc(value.__doc__).strip()
        for key, value in seen.items()
        if value.__doc__ and (not key or value.__qualname__ == key) and _written_in(value, module)
    }
    assert len(expected) > 3
    assert {key: read.get(key) for key in expected} == expected


def _written_in(value: object, module: object) -> bool:
    """False for what dataclass, namedtuple or C code generated."""
    if inspect.isfunction(value):
        return bool(value.__code__.co_filename == module.__file__)
    return inspect.ismodule(value) or "__doc__" in vars(value) and not hasattr(value, "_fields")


def test_signature_lines_are_python_and_name_the_parameters() -> None:
    entries = [entry for entry in docstrings() if entry.kind in ("def", "class")]
    for entry in entries:
        node = ast.parse(f"{entry.signature}: ...").body[0]
        assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        assert node.name == entry.name.rpartition(".")[2]
    by_name = {(entry.module, entry.name): entry.signature for entry in entries}
    assert by_name["textwrap", "wrap"] == "def wrap(text, width=70, **kwargs)"
    assert by_name["json.decoder", "JSONDecodeError"] == "class JSONDecodeError(ValueError)"
    assert by_name["asyncio.locks", "Lock.acquire"] == "async def acquire(self)"


LIBRARY = {
    "alpha.py": '''
"""Alpha module."""
raise SystemExit("imported")
if True:
    def first(a: int, *, b=1) -> str:
        """Does the first thing."""
        def inner():
            "Inside of a function."
class Thing(Base, metaclass=Meta):
    """  A thing.

        Indented text.
    """
    async def go(self): """Does the  first thing."""
    def silent(self): pass
    def empty(self): """   """
''',
    "beta/__init__.py": '"""Beta package."""\n',
    "beta/gamma.py": '"""Beta package."""\ntry:\n    def late(): "In a try."\nexcept E:\n    def rare(): "Handler."\n',
    "beta/tests/helper.py": '"""Not read: tests."""',
    "tkinter/font.py": '"""Not read: left out."""',
    "lib2to3/x.py": "print 'not even Python 3'",
    "site-packages/y.py": '"""Not read: not the library."""',
    "_sysconfigdata__linux.py": '"""Not read: generated."""',
    "pydoc_data/topics.py": "# made\ntopics = {'loop': '\\nLoops\\n*****\\n\\n   repeat\\n', 'again': 'Handler.'}\n",
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, source in LIBRARY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def test_a_small_library_read_in_full(library: Path) -> None:
    assert {document.name: document.text for document in documents("all", library)} == {
        "alpha": "module alpha\nAlpha module.",
        "alpha.first": "def first(a: int, *, b=1) -> str\nDoes the first thing.",
        "alpha.first.inner": "def inner()\nInside of a function.",
        "alpha.Thing": "class Thing(Base, metaclass=Meta)\nA thing.\n\nIndented text.",
        "beta": "module beta\nBeta package.",
        "beta.gamma.late": "def late()\nIn a try.",
        "beta.gamma.rare": "def rare()\nHandler.",
        "pydoc_data.topics.loop": "Loops\n*****\n\n   repeat",
    }


def test_hash_follows_the_text_and_nothing_else(library: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = corpus_hash(library)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in reversed(LIBRARY):
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_text(LIBRARY[name])
    assert corpus_hash(elsewhere) == before
    changed = tmp_path_factory.mktemp("changed")
    (changed / "alpha.py").write_text(LIBRARY["alpha.py"])
    assert corpus_hash(changed) != before


def test_another_process_reads_the_same() -> None:
    """Nothing hangs on the order of a set or of a file system."""
    code = (
        "from trivium.text.python_docs import *; from trivium.text.examples import few; import hashlib;"
        "print(corpus_hash(), hashlib.sha256(repr((chapters('test'), signatures('dev', 3), first_sentences('dev'),"
        "few(chapters('train'), 8, 1))).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    tasks = (chapters("test"), signatures("dev", 3), first_sentences("dev"), few(chapters("train"), 8, 1))
    assert run.stdout.split() == [corpus_hash(), hashlib.sha256(repr(tasks).encode()).hexdigest()]


def test_no_source_is_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="holds none: install a Python that comes with its .py files") as error:
            documents("all", folder)
        assert error.value.exit_code == 3 and str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_broken_source_is_named(library: Path) -> None:
    (library / "alpha.py").write_text("def broken(:\n")
    with pytest.raises(DataError, match=r"alpha\.py") as error:
        documents("all", library)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------- the splits


def test_splits_share_no_module_and_no_text() -> None:
    modules = {split: {entry.module for entry in unique_docstrings(split)} for split in SPLITS}
    texts = {split: {words(example.text) for example in chapters(split)} for split in SPLITS}
    bodies = {split: {words(entry.body) for entry in unique_docstrings(split)} for split in SPLITS}
    for a in SPLITS:
        for b in SPLITS:
            if a != b:
                assert not modules[a] & modules[b]
                assert not texts[a] & texts[b]
                assert not bodies[a] & bodies[b]


def test_text_for_pretraining_without_dev_and_test_holds_none_of_their_docstrings() -> None:
    train = "\n".join(words(document.text) for document in documents("train"))
    held_out = [words(e.body) for s in ("dev", "test") for e in unique_docstrings(s) if len(e.body.split()) >= 12]
    assert len(held_out) > 800
    assert sum(body in train for body in held_out) <= 0.005 * len(held_out)
    share = len(train) / sum(len(words(document.text)) for document in documents("all"))
    assert 0.7 < share < 0.85
    names = [document.name for split in SPLITS for document in documents(split)]
    assert sorted(names) == sorted(document.name for document in documents("all"))


def test_every_chapter_has_several_modules_that_this_python_has() -> None:
    places = collections.Counter(name for chapter in CHAPTERS.values() for n in chapter.values() for name in n.split())
    assert max(places.values()) == 1
    for chapter in CHAPTERS.values():
        assert sum(len(names.split()) for names in chapter.values()) >= 4
        for name in " ".join(chapter.values()).split():
            assert name.startswith("_") or importlib.util.find_spec(name) is not None, name


def test_the_longest_name_decides() -> None:
    assert place_of("urllib.request") == ("web", "train")
    assert place_of("urllib.parse") == ("web", "test")
    assert place_of("xml.etree.ElementTree") == ("formats", "test")
    assert place_of("logging.handlers") == (None, "train")
    assert place_of("osmosis") == (None, "train")


# ------------------------------------------------------------------------------------------------- the chapters


def test_masking_a_worked_example() -> None:
    text = "Like os.path.join(), but the HTTPServer's JSON\nread_all or maxSize (e.g. URLs) __init__ of this Thread."
    assert mask(text) == "Like X(), but the X's X\nX or X (e.g. URLs) X of this Thread."


def test_masking_leaves_no_name_in_any_example() -> None:
    names = {name.lower() for name in sys.stdlib_module_names} | {e.module.partition(".")[0] for e in docstrings()}
    for split in SPLITS:
        for example in chapters(split):
            for word in re.split(r"\W+", example.text):
                assert word.lower() == "this" or word.lower() not in names, (word, example)
                assert "_" not in word, (word, example)
                assert not any(a.islower() and b.isupper() for a, b in zip(word, word[1:], strict=False)), word
            for dotted in re.findall(r"\b[a-z]{3,}\.[a-z]{2,}\b", example.text):
                raise AssertionError((dotted, example))
            assert len([w for w in re.findall(r"[^\W\d_]+", example.text) if w != "X"]) >= 6


def test_chapters_are_large_and_balanced_enough() -> None:
    assert len(LABELS) == 14 and set(LABELS) == set(CHAPTERS)
    counts = {split: collections.Counter(example.label for example in chapters(split)) for split in SPLITS}
    assert all(set(counts[split]) == set(LABELS) for split in SPLITS)
    assert min(counts["train"].values()) >= 64
    assert min(counts["dev"].values()) >= 20 and counts["dev"].total() > 500
    assert min(counts["test"].values()) >= 30 and counts["test"].total() > 700
    assert max(counts["test"].values()) / counts["test"].total() < 0.15


def test_the_task_is_neither_trivial_nor_noise() -> None:
    """TF-IDF with logistic regression on 32 labels a class: well above the majority, far from solved."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    drawn, test = few(chapters("train"), 32, seed=0), chapters("test")
    vectoriser = TfidfVectorizer(sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=300)
    model.fit(vectoriser.fit_transform([e.text for e in drawn]), [e.label for e in drawn])
    accuracy = model.score(vectoriser.transform([e.text for e in test]), [e.label for e in test])
    assert 0.22 < accuracy < 0.45


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(0, 4), st.integers(0, 9))
def test_few_draws_exactly_that_many_of_each(labels: list[str], per_class: int, seed: int) -> None:
    examples = [Labelled(str(number), label) for number, label in enumerate(labels)]
    available = collections.Counter(labels)
    if any(count < per_class for count in available.values()):
        with pytest.raises(DataError, match="ask for fewer"):
            few(examples, per_class, seed)
        return
    drawn = few(examples, per_class, seed)
    assert len(set(drawn)) == len(drawn) and set(drawn) <= set(examples)
    assert collections.Counter(e.label for e in drawn) == {label: per_class for label in available if per_class}
    if per_class:
        assert set(few(examples, per_class - 1, seed)) <= set(drawn)


def test_few_depends_on_the_seed() -> None:
    train = chapters("train")
    assert few(train, 8, 0) == few(train, 8, 0)
    assert few(train, 8, 0) != few(train, 8, 1)


# ------------------------------------------------------------------------------------------------- the other tasks


@pytest.mark.parametrize(
    ("body", "summary", "rest"),
    [
        ("Return it. Or not.", "Return it.", "Or not."),
        ("Wrap a\nparagraph, e.g. this one.\n\nMore here.", "Wrap a paragraph, e.g. this one.", "More here."),
        ("No full stop\n\nSecond part.", "No full stop", "Second part."),
        ("Version 3.4 of os.path. `x` follows.", "Version 3.4 of os.path.", "`x` follows."),
        ("One.", "One.", ""),
    ],
)
def test_first_sentence_of(body: str, summary: str, rest: str) -> None:
    assert split_summary(body) == (summary, rest)


def test_sentence_and_source_are_the_whole_docstring_cut_in_two() -> None:
    whole = {words(entry.body) for split in SPLITS for entry in unique_docstrings(split)}
    for split, fewest in (("train", 1000), ("dev", 150), ("test", 250)):
        examples = first_sentences(split)
        assert len(examples) > fewest
        for example in examples:
            assert words(f"{example.target} {example.source}") in whole
            assert "\n" not in example.target and 3 <= len(example.target.split()) <= 40


def test_signature_pairs_are_true_half_of_the_time_and_labelled_right() -> None:
    for split, fewest in (("train", 3000), ("dev", 400), ("test", 600)):
        own = collections.defaultdict(set)
        for entry in unique_docstrings(split):
            own[entry.body].add(entry.signature)
        pairs = signatures(split)
        counts = collections.Counter(pair.label for pair in pairs)
        assert counts.total() > fewest and 0.45 < counts["same"] / counts.total() < 0.55
        for pair in pairs:
            assert (pair.first in own[pair.second]) == (pair.label == "same")
            same_kind = [s.startswith("class ") for s in own[pair.second]]
            assert pair.first.startswith("class ") in same_kind


def test_wrong_signatures_follow_the_seed() -> None:
    assert signatures("dev", 1) == signatures("dev", 1)
    assert signatures("dev", 1) != signatures("dev", 2)
