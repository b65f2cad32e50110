"""Words per second and quality of word vectors, Trivium against gensim, in one process, and GloVe against its formula.

    TRIVIUM_DATA=... python benchmarks/vectors.py                 # the tables of docs/benchmarks.md; on an idle machine
    python benchmarks/vectors.py --quick                          # does it run at all

Text: the first ``--megabytes`` of TRIVIUM_DATA/novels/train.txt.gz, lower case, one paragraph a line. Both libraries
are given the same sentences of the same words, so that they count the same words, and equal settings. Each seed is a
round; rounds alternate which library comes first, so that a machine that slows down slows both. Only training is timed:
gensim's ``train`` after ``build_vocab``, ours with everything from the text's numbers on. What numba compiles is
compiled before. Both begin with vectors in word2vec.c's range (gensim's own is twice that). Rates are raw words: those
that subsampling drops count, for both.
"""

import argparse
import gzip
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
from glove_formula import compare as compare_glove

from trivium.vectors import glove, word2vec
from trivium.vectors.evaluation import evaluate_analogies, evaluate_similarity, read_analogies, read_pairs
from trivium.vectors.sentences import END, Corpus
from trivium.vectors.vectors import Vectors
from trivium.vectors.vocabulary import VocabularySettings, prepare

SIMILARITY = ("wordsim353", "rg65", "men")
# Student's t, two-sided 95%, for two groups of n runs each (2n - 2 degrees of freedom).
T_95 = {2: 4.303, 3: 2.776, 4: 2.447, 5: 2.306, 6: 2.228, 7: 2.179, 8: 2.145, 9: 2.120, 10: 2.101}


@dataclass(frozen=True)
class Method:
    """One setting of word2vec that both libraries train."""

    name: str
    algorithm: str
    hierarchical: bool = False


METHODS = {
    "skipgram": Method("skip-gram, 5 negatives", "skipgram"),
    "cbow": Method("CBOW, 5 negatives", "cbow"),
    "skipgram-hs": Method("skip-gram, hierarchical softmax", "skipgram", True),
    "cbow-hs": Method("CBOW, hierarchical softmax", "cbow", True),
}


def novels(megabytes: float) -> list[str]:
    """Paragraphs of the novels, up to so many million characters."""
    path = Path(os.environ.get("TRIVIUM_DATA", "../shared/data")) / "novels" / "train.txt.gz"
    if not path.is_file():
        raise SystemExit(f"{path} is not there: set TRIVIUM_DATA to a folder that has novels/train.txt.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read(int(megabytes * 1e6)).split("\n")


def machine() -> str:
    """Processor, cores and the versions that matter."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {version(name)}" for name in ("gensim", "numba", "numpy"))
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def spelt(corpus: Corpus) -> Iterator[list[str]]:
    """The sentences that the numbers stand for, one str object a word, as gensim is fed."""
    ends = np.flatnonzero(corpus.ids == END)
    for start, stop in zip(np.append(0, ends[:-1] + 1), ends, strict=True):
        if stop > start:
            yield [corpus.words[n] for n in corpus.ids[start:stop].tolist()]


def settings_of(method: Method, options: argparse.Namespace, seed: int) -> word2vec.Word2VecSettings:
    return word2vec.Word2VecSettings(
        algorithm=method.algorithm,  # type: ignore[arg-type]
        dimensions=options.dimensions,
        window=5,
        negatives=0 if method.hierarchical else 5,
        hierarchical=method.hierarchical,
        sample=1e-3,
        epochs=options.epochs,
        threads=options.threads,
        seed=seed,
    )


def train_ours(corpus: Corpus, settings: word2vec.Word2VecSettings) -> tuple[Vectors, float]:
    begun = time.perf_counter()
    vectors = word2vec.train_on(corpus, settings)
    return vectors, time.perf_counter() - begun


def train_gensim(
    corpus: Corpus, sentences: list[list[str]], settings: word2vec.Word2VecSettings
) -> tuple[Vectors, float]:
    """The same settings in gensim's names. The learning rate falls to the same 1e-4 of its start."""
    from gensim.models import Word2Vec

    rate = settings.start_rate
    model = Word2Vec(
        vector_size=settings.dimensions,
        window=settings.window,
        negative=settings.negatives,
        hs=int(settings.hierarchical),
        sg=int(settings.algorithm == "skipgram"),
        cbow_mean=1,
        sample=settings.sample,
        ns_exponent=settings.noise_power,
        min_count=1,
        alpha=rate,
        min_alpha=rate * 1e-4,
        workers=settings.threads,
        seed=settings.seed + 1,
    )
    model.build_vocab(sentences)
    model.wv.vectors *= 0.5  # gensim begins with twice the range of word2vec.c, which a short training still shows
    begun = time.perf_counter()
    model.train(sentences, total_examples=len(sentences), epochs=settings.epochs)
    seconds = time.perf_counter() - begun
    counts = np.array([model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key], np.int64)
    assert counts.sum() == corpus.tokens, "gensim has not seen the same words"
    return Vectors(model.wv.index_to_key, model.wv.vectors, counts), seconds


def scores(vectors: Vectors, folder: Path) -> dict[str, float]:
    """Analogies among the 30,000 most frequent words, as the C tool does, and rank correlations, in per cent."""
    found: dict[str, float] = {}
    questions = folder / "questions-words.txt"
    if questions.is_file():
        analogies = evaluate_analogies(vectors, read_analogies(questions), restrict=30_000)
        for part in (analogies.semantic, analogies.syntactic, analogies.total):
            if part.accuracy is not None:
                found[f"analogy {part.name}"] = 100 * part.accuracy
    for name in SIMILARITY:
        if (folder / f"{name}.tsv").is_file():
            value = evaluate_similarity(vectors, read_pairs(folder / f"{name}.tsv"), name).spearman
            if value is not None:
                found[name] = 100 * value
    return found


def measure(options: argparse.Namespace) -> dict:
    folder = Path(os.environ.get("TRIVIUM_DATA", "../shared/data")) / "word_vectors"
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"load average {load:.1f}: another process runs, and these numbers will mean little", file=sys.stderr)
    text = novels(options.megabytes)
    begun = time.perf_counter()
    corpus = prepare(text, VocabularySettings(lowercase=True, pattern="words", min_count=5))
    reading = time.perf_counter() - begun
    sentences = list(spelt(corpus))
    result: dict = {
        "machine": machine(),
        "load_average": load,
        "settings": {name: str(value) for name, value in vars(options).items()},
        "words": corpus.tokens,
        "vocabulary": len(corpus.words),
        "reading_seconds": reading,
        "methods": {},
    }
    small = prepare(text[:200], VocabularySettings(min_count=1))
    for name in options.methods:
        method = METHODS[name]
        word2vec.train_on(small, replace(settings_of(method, options, 0), epochs=1))  # compiles
        runs: dict[str, list[dict]] = {"trivium": [], "gensim": []}
        for seed in range(options.seeds):
            settings = settings_of(method, options, seed)
            trainers: dict[str, Callable[[], tuple[Vectors, float]]] = {
                "trivium": lambda settings=settings: train_ours(corpus, settings),
                "gensim": lambda settings=settings: train_gensim(corpus, sentences, settings),
            }
            for engine in ("trivium", "gensim") if seed % 2 == 0 else ("gensim", "trivium"):
                vectors, seconds = trainers[engine]()
                rate = corpus.tokens * options.epochs / seconds
                runs[engine].append({"words_per_second": rate, "scores": scores(vectors, folder)})
                print(f"{method.name}, seed {seed}: {engine} {rate:,.0f} words/s", file=sys.stderr, flush=True)
        result["methods"][name] = runs
    if not options.no_glove:
        result["glove"] = measure_glove(corpus, text, options, folder)
    return result


def measure_glove(corpus: Corpus, text: list[str], options: argparse.Namespace, folder: Path) -> dict:
    """GloVe on the whole text in both of its rules, and on a small one against a plain program of the formula."""
    whole = {}
    for name, compat in (("AdaGrad as defined", False), ("the C code's AdaGrad", True)):
        settings = glove.GloveSettings(
            dimensions=options.dimensions,
            iterations=options.glove_iterations,
            threads=options.threads,
            glove_c_compat=compat,
            unknown=False,
        )
        begun = time.perf_counter()
        shuffled = glove.records(corpus, settings)
        counting = time.perf_counter() - begun
        model = glove.Glove.start(len(corpus.words), settings)
        glove.fit(model, shuffled[:1000], replace(settings, iterations=1))  # compiles
        model = glove.Glove.start(len(corpus.words), settings)
        begun = time.perf_counter()
        costs = glove.fit(model, shuffled, settings)
        seconds = time.perf_counter() - begun
        print(f"GloVe, {name}: cost {costs[0]:.4f} to {costs[-1]:.4f} in {seconds:.0f} s", file=sys.stderr, flush=True)
        whole[name] = {
            "pairs": len(shuffled),
            "counting_seconds": counting,
            "pairs_per_second": len(shuffled) * settings.iterations / seconds,
            "costs": costs,
            "scores": scores(Vectors(corpus.words, model.vectors()), folder),
        }
    small = prepare(
        text[: options.glove_paragraphs],
        VocabularySettings(lowercase=True, pattern="words", min_count=5, max_words=1000),
    )
    return {"whole": whole, "formula": compare_glove(small, lambda vectors: scores(vectors, folder))}


def verdict(ours: list[float], theirs: list[float]) -> str:
    """The difference of the means, and whether seeds alone explain it (two-sample t, 95%)."""
    difference = mean(ours) - mean(theirs)
    if len(ours) < 2 or len(ours) not in T_95:
        return f"{difference:+.1f}"
    noise = T_95[len(ours)] * ((stdev(ours) ** 2 + stdev(theirs) ** 2) / len(ours)) ** 0.5
    said = "within noise" if abs(difference) <= noise else "beyond noise"
    return f"{difference:+.1f} ({said}, ±{noise:.1f})"


def spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def markdown(result: dict) -> str:
    lines = [
        f"{result['machine']}; load average at the start {result['load_average']:.1f}.",
        f"Text: {result['words']:,} words in use, {result['vocabulary']:,} different; read, counted and numbered in "
        f"{result['reading_seconds']:.1f} s. {result['settings']['threads']} threads of either library, "
        f"{result['settings']['epochs']} epochs, {result['settings']['dimensions']} dimensions; scores are means and "
        f"standard deviations of {result['settings']['seeds']} seeds.",
        "",
        "| method | Trivium, words/s | gensim, words/s | Trivium is | of each round |",
        "|---|---:|---:|---:|---|",
    ]
    for name, runs in result["methods"].items():
        ours, theirs = ([run["words_per_second"] for run in runs[engine]] for engine in ("trivium", "gensim"))
        rounds = ", ".join(f"{a / b:.2f}x" for a, b in zip(ours, theirs, strict=True))
        lines.append(
            f"| {METHODS[name].name} | {median(ours):,.0f} | {median(theirs):,.0f} | "
            f"{median(ours) / median(theirs):.2f}x | {rounds} |"
        )
    lines += ["", "| method | score, % | Trivium | gensim | difference |", "|---|---|---:|---:|---|"]
    for name, runs in result["methods"].items():
        for score in runs["trivium"][0]["scores"]:
            ours, theirs = ([run["scores"][score] for run in runs[engine]] for engine in ("trivium", "gensim"))
            lines.append(
                f"| {METHODS[name].name} | {score} | {spread(ours)} | {spread(theirs)} | {verdict(ours, theirs)} |"
            )
    if "glove" in result:
        lines += glove_lines(result["glove"])
    return "\n".join(lines)


def glove_lines(found: dict) -> list[str]:
    formula = found["formula"]
    lines = [
        "",
        f"GloVe against a plain NumPy program of the formula, {formula['pairs']:,} pairs, "
        f"{len(formula['costs'])} iterations: the costs differ by at most {formula['worst_cost']:.1e} of themselves, "
        f"the vectors by at most {formula['worst_vector']:.1e}; {formula['pairs_per_second']:,.0f} pairs/s against "
        f"{formula['plain_pairs_per_second']:,.0f}.",
        "",
        "| GloVe | cost, first | cost, last | pairs/s | " + " | ".join(_first(found["whole"])["scores"]) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(_first(found["whole"])["scores"]),
    ]
    for name, run in found["whole"].items():
        numbers = " | ".join(f"{value:.1f}" for value in run["scores"].values())
        lines.append(
            f"| {name} | {run['costs'][0]:.4f} | {run['costs'][-1]:.4f} | {run['pairs_per_second']:,.0f} | {numbers} |"
        )
    for engine in ("scores", "plain_scores"):
        said = ", ".join(f"{name} {value:.2f}" for name, value in formula[engine].items())
        lines.append(f"\nSmall text, {'compiled' if engine == 'scores' else 'plain program'}: {said or 'no scores'}.")
    return lines


def _first(runs: dict) -> dict:
    return next(iter(runs.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=60.0, help="of text; the whole is 55")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["skipgram", "cbow"])
    parser.add_argument("--glove-iterations", type=int, default=25)
    parser.add_argument("--glove-paragraphs", type=int, default=1500, help="of text for the plain program")
    parser.add_argument("--no-glove", action="store_true")
    parser.add_argument("--out", type=Path, help="a JSON file with every number")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.megabytes, options.epochs, options.seeds, options.glove_iterations = 3.0, 1, 2, 2
        options.glove_paragraphs = 300
    result = measure(options)
    print(markdown(result))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
