"""The rules of the house, kept by tests: the order of the folders, fast imports, documentation, names, versions."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest

import trivium

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "trivium"
ORDER = (
    "errors extras durable memory randomness settings metrics text tokenizers vectors transformer recurrent families "
    "generation objectives tasks alignment training evaluation views lab verbs serving cli"
).split()
PUBLIC = [
    "Cleaning",
    "Contrastive",
    "DataError",
    "FineTuning",
    "GloveSettings",
    "LanguageModel",
    "Prices",
    "Recipe",
    "RefusedError",
    "Sampling",
    "Search",
    "SettingsError",
    "StoppedError",
    "Tokenizer",
    "TriviumError",
    "Vectors",
    "VocabularySettings",
    "Word2VecSettings",
    "__version__",
    "align",
    "alignment",
    "classify_with_vectors",
    "clean_text",
    "compare",
    "compare_runs",
    "compare_tokenizers",
    "convert",
    "convert_tokenizer",
    "convert_vectors",
    "count_tokens",
    "doctor",
    "embed",
    "evaluate",
    "evaluate_vectors",
    "few_shot",
    "fill",
    "finetune",
    "generate",
    "inspect_batch",
    "inspect_inside",
    "inspect_lens",
    "inspect_model",
    "inspect_steps",
    "inspect_surprise",
    "inspect_text",
    "inspect_word",
    "load",
    "load_recipe",
    "load_vectors",
    "map_words",
    "plan",
    "predict",
    "pretrain",
    "quickstart",
    "recipe_schema",
    "runs",
    "save_vectors",
    "serve",
    "show_config",
    "show_tokenizer",
    "similar_words",
    "train_tokenizer",
    "train_vectors",
    "word_analogy",
    "word_table",
]


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def written() -> Iterator[Path]:
    """Every text file of the project."""
    for folder in ("src", "tests", "docs", "benchmarks", ".ci"):
        yield from (p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    yield from (p for p in ROOT.iterdir() if p.is_file() and not p.name.startswith("."))


def station(path: Path) -> str:
    """The folder, or for a file at the top the file, that a source belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import of our own, those inside functions and under TYPE_CHECKING included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which station is meant"
            if node.module == "trivium":
                yield from ((node.lineno, f"trivium.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_imports_from_earlier_stations_only(path: Path) -> None:
    here = station(path)
    if here in ("__init__", "__main__"):
        return
    assert here in ORDER, f"{here} has no place on the road: give it one in ORDER"
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        if top != "trivium" or rest == "__version__":
            continue
        there = rest.partition(".")[0]
        assert there in ORDER and ORDER.index(there) <= ORDER.index(here), f"{path}:{line}: {here} imports {name}"


def test_transformers_and_other_peers_are_never_imported() -> None:
    peers = {"transformers", "peft", "gensim", "sentence_transformers", "accelerate", "pickle", "cloudpickle"}
    for path in sources():
        for line, name in imported(path):
            assert name.partition(".")[0] not in peers, f"{path}:{line} imports {name}"


def test_the_door_and_the_commands_load_nothing_heavy() -> None:
    code = "import sys, trivium, trivium.cli.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pydantic", "rich", "tokenizers", "pyarrow", "transformers"} & set(out)


def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    import time

    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "trivium", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.3


def test_the_public_names_are_these() -> None:
    assert trivium.__all__ == PUBLIC
    assert sorted(trivium.__all__) == trivium.__all__ == sorted(["__version__", *trivium._HOMES])
    for name in trivium.__all__:
        assert getattr(trivium, name) is not None
        assert name in dir(trivium)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trivium.nothing


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = {"utils", "util", "common", "misc", "helpers", "helper", "tools"}
    assert not [path for path in written() if path.stem in vague]


def test_every_module_says_what_it_is() -> None:
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} has no docstring"


def test_nothing_names_a_machine_or_a_registry() -> None:
    hosts = ["py" + "pi.org", "python" + "hosted", "download.py" + "torch.org", "/wo" + "rk/", "/ho" + "me/"]
    for path in written():
        text = path.read_text(encoding="utf-8", errors="ignore")
        assert not [word for word in hosts if word in text], f"{path} names a machine's path or a registry"


# ---- documentation ----


def commands() -> list[str]:
    """Every command, with the words before it: "config show"."""
    import typer

    from trivium.cli.app import app

    def below(group: object, words: tuple[str, ...]) -> Iterator[str]:
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            if hasattr(command, "commands"):
                yield from below(command, (*words, name))
            else:
                yield " ".join((*words, name))

    return sorted(below(typer.main.get_command(app), ()))


def entries() -> list[str]:
    """Every name that a recipe or a flag may spell, from the tables."""
    from trivium.evaluation import GROUPS, SUITES
    from trivium.families import FAMILIES
    from trivium.metrics import METRICS
    from trivium.objectives import KINDS
    from trivium.tasks import TASKS
    from trivium.text.prompt_templates import template_names
    from trivium.text.word_puzzles import WORD_PUZZLES
    from trivium.tokenizers import ALGORITHMS
    from trivium.tokenizers.formats import FORMATS
    from trivium.verbs.align import METHODS
    from trivium.verbs.experiment import experiment_names
    from trivium.verbs.recipe import recipe_names

    named = [*KINDS, *TASKS, *METRICS, *FAMILIES, *recipe_names(), *experiment_names(), *ALGORITHMS, *FORMATS]
    return [*named, *GROUPS, *SUITES, *METHODS, *WORD_PUZZLES, *template_names()]


def documentation() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))


def test_text() -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__))


test_text.__test__ = False  # type: ignore[attr-defined]


def test_every_command_is_documented_and_tested() -> None:
    docs, tests = documentation(), test_text()
    for command in commands():
        assert f"`trivium {command}" in docs, f"docs/ do not say what `trivium {command}` does"
        spelt = ", ".join(f'"{word}"' for word in command.split())
        assert spelt in tests, f"no test runs `trivium {command}`"


def test_every_option_is_documented() -> None:
    import typer

    from trivium.cli.app import app

    docs = documentation()
    for command in commands():
        found = typer.main.get_command(app)
        for word in command.split():
            found = found.commands[word]  # type: ignore[attr-defined]
        assert found.help, f"`trivium {command}` has no help"
        for parameter in found.params:
            long = [each for each in parameter.opts if each.startswith("--")]
            assert all(f"`{each}" in docs or f" {each}" in docs for each in long), f"docs/ lack {command} {long}"


def test_every_entry_of_a_table_is_documented_and_tested() -> None:
    docs, tests = documentation(), test_text()
    for entry in entries():
        assert f"`{entry}`" in docs, f"docs/ do not say what {entry} is"
        assert f'"{entry}"' in tests, f"no test names {entry}"


def blocks(language: str) -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.S | re.M)
    return [(page.name, block) for page in pages for block in fence.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_python_in_the_documentation_compiles(page: str, block: str) -> None:
    tree = ast.parse(block, filename=page)
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "trivium"}
    assert used <= set(trivium.__all__), f"{page} uses {sorted(used - set(trivium.__all__))}"


@pytest.mark.parametrize(("page", "block"), blocks("bash"))
def test_commands_in_the_documentation_can_be_typed(page: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is parsed as the command line does it: its options exist, have values of their kind, and none is missing."""
    import typer

    from trivium.cli.app import app
    from trivium.cli.run import _spread

    monkeypatch.setattr("trivium.families.inspection.inspect_model", lambda model: None)  # no example's folder is here
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    for line in block.replace("\\\n", " ").splitlines():
        if "trivium " not in line:
            continue
        for words in split_at(shlex.split(line, comments=True), ("|", "&&", ";")):
            if words[:1] == ["trivium"]:
                command, left = typer.main.get_command(app), list(_spread(next(split_at(words[1:], (">", "&")))))
                while hasattr(command, "commands"):
                    assert left and left[0] in command.commands, f"{page}: {line}"
                    command = command.commands[left.pop(0)]
                command.make_context(page, left)


def split_at(words: list[str], signs: tuple[str, ...]) -> Iterator[list[str]]:
    """The stretches of words between the signs."""
    places = [-1, *(i for i, word in enumerate(words) if word in signs), len(words)]
    yield from (words[first + 1 : last] for first, last in pairwise(places))


@pytest.mark.parametrize(("page", "block"), blocks("toml"))
def test_toml_in_the_documentation_is_toml(page: str, block: str) -> None:
    assert tomllib.loads(block), page


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


# ---- versions and requirements ----


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower()


def test_the_version_is_the_same_everywhere() -> None:
    assert metadata.version("trivium") == trivium.__version__
    assert f"version: {trivium.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M).group(1) == trivium.__version__  # type: ignore[union-attr]


def test_constraints_pin_what_is_required_and_torch_first() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert pins[0] == "torch==2.13.0"
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    extras = project()["optional-dependencies"]
    wanted = project()["dependencies"] + extras["eval"] + extras["test"]
    assert {name_of(each) for each in wanted} <= {name_of(pin) for pin in pins}


def test_doctor_knows_the_requirements() -> None:
    from trivium.verbs import doctor

    extras = {k: {name_of(r) for r in v} for k, v in project()["optional-dependencies"].items()}
    assert {k: set(v) for k, v in doctor.EXTRAS.items()} == {
        k: v for k, v in extras.items() if k not in ("test", "benchmarks")
    }
    assert {"torch", *doctor._PACKAGES} == {name_of(each) for each in project()["dependencies"]}
