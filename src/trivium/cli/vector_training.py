"""The command that learns vectors of words: vectors train."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trivium.cli.options import Json
from trivium.cli.output import emit, note

if TYPE_CHECKING:
    from trivium.vectors.progress import Progress
    from trivium.verbs.vector_training import Settings

# Which options a method has, and what its settings call them; those of the vocabulary all methods have.
_WORD2VEC = {
    "dimensions": "dimensions",
    "window": "window",
    "negative": "negatives",
    "hierarchical": "hierarchical",
    "sample": "sample",
    "subsample": "subsample",
    "noise-power": "noise_power",
    "epochs": "epochs",
    "learning-rate": "learning_rate",
    "threads": "threads",
    "seed": "seed",
}
_GLOVE = {
    "dimensions": "dimensions",
    "window": "window",
    "left-only": "symmetric",
    "no-distance-weighting": "distance_weighting",
    "x-max": "x_max",
    "power": "power",
    "epochs": "iterations",
    "learning-rate": "learning_rate",
    "glove-c-compat": "glove_c_compat",
    "no-unknown": "unknown",
    "precision": "precision",
    "threads": "threads",
    "seed": "seed",
}
_OPTIONS: dict[str, dict[str, str]] = {"skipgram": _WORD2VEC, "cbow": _WORD2VEC, "glove": _GLOVE, "onehot": {}}
_NEGATED = ("left-only", "no-distance-weighting", "no-unknown")


def train(
    out: Annotated[
        Path, typer.Option("--out", metavar="F", help="A new file: .txt, .vec, .bin or .safetensors tells its format.")
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILES", help="Text, a sentence a line: txt, jsonl, csv, parquet, .gz, folders."),
    ] = None,
    algorithm: Annotated[
        Literal["skipgram", "cbow", "glove", "onehot"], typer.Option("--algorithm", help="How they are learnt.")
    ] = "skipgram",
    corpus: Annotated[
        Literal["python-docs"] | None, typer.Option("--corpus", help="The embedded corpus in place of files.")
    ] = None,
    dimensions: Annotated[int | None, typer.Option("--dimensions", help="Numbers for each word; 100.")] = None,
    window: Annotated[
        int | None, typer.Option("--window", help="Words on each side that count as near; 5, for glove 15.")
    ] = None,
    negative: Annotated[
        int | None, typer.Option("--negative", help="Noise words for each target; 5, 0 with --hierarchical alone.")
    ] = None,
    hierarchical: Annotated[bool, typer.Option("--hierarchical", help="Hierarchical softmax.")] = False,
    min_count: Annotated[int, typer.Option("--min-count", help="Leave out words that occur less often.")] = 5,
    max_words: Annotated[int | None, typer.Option("--max-words", help="This many words, the most frequent.")] = None,
    sample: Annotated[
        float | None, typer.Option("--sample", help="Thin out words above this share of the text; 1e-3, 0 keeps all.")
    ] = None,
    subsample: Annotated[
        Literal["code", "paper"] | None, typer.Option("--subsample", help="The C tool's rule for it, or the paper's.")
    ] = None,
    noise_power: Annotated[
        float | None, typer.Option("--noise-power", help="Noise is drawn by count to this power; 0.75.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the text; 5, for glove 25.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="At the start; 0.025, for cbow and glove 0.05.")
    ] = None,
    phrases: Annotated[
        list[float] | None,
        typer.Option("--phrases", metavar="T", help="Join pairs that score above T (100 is usual). Repeatable."),
    ] = None,
    left_only: Annotated[bool, typer.Option("--left-only", help="glove: only words to the left are context.")] = False,
    no_distance_weighting: Annotated[
        bool, typer.Option("--no-distance-weighting", help="glove: far words count as much as near ones.")
    ] = False,
    x_max: Annotated[
        float | None, typer.Option("--x-max", help="glove: the count from which weights are 1; 100.")
    ] = None,
    power: Annotated[float | None, typer.Option("--power", help="glove: of the weight below that; 0.75.")] = None,
    glove_c_compat: Annotated[
        bool, typer.Option("--glove-c-compat", help="glove: the original code's AdaGrad, quirks included.")
    ] = False,
    no_unknown: Annotated[bool, typer.Option("--no-unknown", help="glove: no row <unk> at the end.")] = False,
    precision: Annotated[
        Literal["float32", "float64"] | None, typer.Option("--precision", help="glove: of the computation; float32.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="1 gives the same numbers every time; more are faster.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of first vectors, windows and noise; 0.")] = None,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Small letters only.")] = False,
    pattern: Annotated[
        str, typer.Option("--pattern", help="What a word is: whitespace, words (no punctuation), or an expression.")
    ] = "whitespace",
    memory: Annotated[
        str, typer.Option("--memory", metavar="BYTES", help="For counting and the text, such as 512MB.")
    ] = "2GiB",
    field: Annotated[str, typer.Option("--field", help="Column or key of the text in jsonl, csv, parquet.")] = "text",
    errors: Annotated[
        Literal["strict", "replace"], typer.Option("--errors", help="What to do with bytes that are not UTF-8.")
    ] = "strict",
    to: Annotated[
        Literal["text", "binary", "glove", "trivium"] | None, typer.Option("--to", help="The format of the file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn a vector for each word of a text."""
    from trivium.settings.sizes import parse_bytes
    from trivium.vectors.vocabulary import VocabularySettings
    from trivium.verbs.vector_training import train_vectors

    given: dict[str, Any] = {
        "dimensions": dimensions,
        "window": window,
        "negative": negative,
        "hierarchical": hierarchical or None,
        "sample": sample,
        "subsample": subsample,
        "noise-power": noise_power,
        "epochs": epochs,
        "learning-rate": learning_rate,
        "left-only": left_only or None,
        "no-distance-weighting": no_distance_weighting or None,
        "x-max": x_max,
        "power": power,
        "glove-c-compat": glove_c_compat or None,
        "no-unknown": no_unknown or None,
        "precision": precision,
        "threads": threads,
        "seed": seed,
    }
    vocabulary = VocabularySettings(
        min_count, max_words, lowercase, pattern, tuple(phrases or ()), parse_bytes(memory, "--memory")
    )
    settings = _settings(algorithm, {name: value for name, value in given.items() if value is not None}, vocabulary)
    made = train_vectors(
        files or (), out, settings, corpus=corpus, field=field, errors=errors, format=to, progress=_watch()
    )
    if len(made.punctuated) > 20:
        note(
            f"note: {len(made.punctuated)} of the 1,000 most frequent words carry punctuation, such as "
            f"{' '.join(made.punctuated[:3])}: --pattern words splits it off"
        )
    rate = "" if made.rate is None else f", {made.rate:,.0f} {made.unit}/s"
    emit(
        made,
        as_json,
        f"{made.path}: {made.algorithm}, {made.words:,} words of {made.dimensions} dimensions from {made.tokens:,} "
        f"running words; read in {made.reading_seconds:.1f} s, learnt in {made.training_seconds:.1f} s{rate}\n"
        f"look inside with `trivium vectors similar {made.path} WORD`",
    )


def _settings(algorithm: str, given: dict[str, Any], vocabulary: Any) -> "Settings":
    """The settings of a method from the options that were given; one that it does not have is refused."""
    from trivium.errors import SettingsError
    from trivium.vectors.glove import GloveSettings
    from trivium.vectors.word2vec import Word2VecSettings

    names = _OPTIONS[algorithm]
    foreign = [name for name in given if name not in names]
    if foreign:
        others = [other for other, its in _OPTIONS.items() if foreign[0] in its]
        raise SettingsError(
            f"--{foreign[0]} means nothing to {algorithm}: leave it out, or choose {' or '.join(others)}"
        )
    if algorithm == "onehot":
        chosen: Settings = vocabulary
        return chosen
    values: dict[str, Any] = {names[name]: not value if name in _NEGATED else value for name, value in given.items()}
    if algorithm == "glove":
        return GloveSettings(vocabulary=vocabulary, **values)
    if values.get("hierarchical"):
        values.setdefault("negatives", 0)  # as word2vec's users mean it: the one in the place of the other
    return Word2VecSettings(algorithm="cbow" if algorithm == "cbow" else "skipgram", vocabulary=vocabulary, **values)


def _watch(every: float = 10.0) -> "Callable[[Progress], None]":
    """A line that is written over on a terminal; else a line now and then."""
    last = [time.monotonic()]
    terminal = sys.stderr.isatty()

    def report(news: "Progress") -> None:
        now = time.monotonic()
        ended = news.done >= news.total
        if not terminal and not ended and now - last[0] < every:
            return
        last[0] = now
        if not news.done:  # the loops are being compiled
            return
        loss = "" if news.loss is None else f"  cost {news.loss:.4f}"
        left = (news.total - news.done) / max(news.rate, 1e-9)
        line = f"{news.done / news.total:4.0%}  {news.rate:,.0f} {news.unit}/s{loss}  {left:,.0f} s left"
        print(
            f"\r{line}\033[K" if terminal else line,
            end="\n" if ended or not terminal else "",
            file=sys.stderr,
            flush=True,
        )

    return report
