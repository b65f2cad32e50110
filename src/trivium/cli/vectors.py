"""Commands on saved vectors: similar, analogy, table, evaluate, convert, map, classify."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from trivium.cli.options import ColumnNames, Json, columns_of
from trivium.cli.output import emit, note, table

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file of vectors: .txt, .vec, .bin, .safetensors, GloVe's.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="Read only the first N words, the frequent ones.")
]
Errors = Annotated[
    Literal["strict", "replace"], typer.Option("--errors", help="What to do with words that are not UTF-8.")
]
Count = Annotated[int, typer.Option("--count", help="How many words are shown.")]
Method = Annotated[Literal["add", "mul"], typer.Option("--method", help="3CosAdd or 3CosMul.")]


def similar(
    file: File,
    words: Annotated[list[str], typer.Argument(metavar="WORD", help="One word or more.")],
    count: Count = 10,
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """The nearest words of a word, by cosine."""
    from trivium.verbs.vectors import similar_words

    found = similar_words(file, words, count, limit=limit, errors=errors)
    parts = [
        table([(near.word, f"{near.similarity:.4f}") for near in each.neighbours], (each.word, "cosine"))
        for each in found
    ]
    emit(found, as_json, "\n\n".join(parts))


def analogy(
    file: File,
    question: Annotated[list[str], typer.Argument(metavar="A - B + C", help="Such as king - man + woman; or B A C.")],
    method: Method = "add",
    count: Count = 10,
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Complete an analogy between words. Write it as king - man + woman, or as man king woman."""
    from trivium.verbs.vectors import word_analogy

    made = word_analogy(file, question, method, count, limit=limit, errors=errors)
    asked = " + ".join(made.plus) + "".join(f" - {word}" for word in made.minus)
    rows = [(each.word, f"{each.similarity:.4f}") for each in made.answers]
    emit(made, as_json, table(rows, (asked, "cosine" if method == "add" else "quotient")))


def cosines(
    file: File,
    words: Annotated[list[str], typer.Argument(metavar="WORD", help="Two words or more.")],
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """A table of the cosines of every two words."""
    from trivium.verbs.vectors import word_table

    made = word_table(file, words, limit=limit, errors=errors)
    rows = [(word, *(f"{value:.6f}" for value in row)) for word, row in zip(made.words, made.cosines, strict=True)]
    emit(made, as_json, table(rows, ("", *made.words)))


def evaluate(
    file: File,
    analogies: Annotated[
        Path | None, typer.Option("--analogies", metavar="F", help="Analogies in the form of questions-words.txt.")
    ] = None,
    similarity: Annotated[
        list[Path] | None,
        typer.Option("--similarity", metavar="F", help="Lines of two words and people's score. Repeatable."),
    ] = None,
    method: Method = "add",
    restrict: Annotated[
        int, typer.Option("--restrict", metavar="N", help="Answer analogies from the N most frequent words.")
    ] = 300_000,
    exact_case: Annotated[bool, typer.Option("--exact-case", help="Greece and greece are two words.")] = False,
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Score vectors on analogies and judgements of similarity."""
    from trivium.verbs.vectors import evaluate_vectors

    made = evaluate_vectors(
        file,
        analogies,
        similarity or (),
        method=method,
        restrict=restrict,
        case="exact" if exact_case else "fold",
        limit=limit,
        errors=errors,
    )
    parts = []
    if made.analogies is not None:
        found = made.analogies
        scores = [*found.sections, found.semantic, found.syntactic, found.total]
        rows = [(each.name, _percent(each.accuracy), each.right, each.asked, each.skipped) for each in scores]
        searched = f"3Cos{'Add' if found.method == 'add' else 'Mul'} among {found.words:,} words"
        parts.append(table(rows, ("analogies", "accuracy", "right", "asked", "skipped")) + f"\n{searched}")
    if made.similarity:
        pairs = [
            (each.name, None if each.spearman is None else f"{each.spearman:.4f}", each.pairs, each.skipped)
            for each in made.similarity
        ]
        parts.append(table(pairs, ("similarity", "Spearman", "pairs", "skipped")))
    emit(made, as_json, "\n\n".join([*parts, "skipped: a word of the question is not among those of the vectors"]))


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A file of vectors.")],
    out: Annotated[Path, typer.Argument(metavar="DST", help="A new file: .txt, .vec, .bin or .safetensors.")],
    to: Annotated[
        Literal["text", "binary", "glove", "trivium"] | None,
        typer.Option("--to", help="The format, where the name of DST does not tell it."),
    ] = None,
    decimals: Annotated[
        int | None, typer.Option("--decimals", metavar="N", help="Cut the numbers of a text; the C tools write 6.")
    ] = None,
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Write vectors in another format, and check the copy."""
    from trivium.verbs.vectors import convert_vectors

    made = convert_vectors(source, out, to, limit=limit, decimals=decimals, errors=errors)
    proof = "read back bit for bit" if made.exact else f"numbers cut to {decimals} decimals"
    emit(
        made,
        as_json,
        f"{made.path}: {made.format}, {made.words:,} words of {made.dimensions} dimensions, {made.bytes:,} bytes; "
        f"{proof}",
    )


def draw(
    file: File,
    out: Annotated[Path, typer.Option("--out", metavar="HTML", help="The page to write.")],
    words: Annotated[
        list[str] | None, typer.Option("--words", metavar="A,B,C", help="Words of one colour. Repeatable.")
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--pairs", metavar="A:B,C:D", help="Words to join by lines. Repeatable.")
    ] = None,
    count: Annotated[int, typer.Option("--count", help="Without --words: this many of the most frequent words.")] = 100,
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Draw words as points on an offline page. Their places are the first two principal components of their vectors."""
    from trivium.errors import SettingsError
    from trivium.verbs.vector_map import map_words

    groups = [[word for word in each.split(",") if word] for each in words or ()]
    joined = [tuple(each.split(":")) for listed in pairs or () for each in listed.split(",") if each]
    if wrong := next((":".join(each) for each in joined if len(each) != 2 or not all(each)), None):
        raise SettingsError(f"--pairs {wrong}: write two words with a colon between, such as man:king,woman:queen")
    made = map_words(
        file, groups, out, pairs=[(each[0], each[1]) for each in joined], count=count, limit=limit, errors=errors
    )
    note(f"wrote {out}")
    rows = [(word, f"{x:.4f}", f"{y:.4f}") for word, (x, y) in zip(made.words, made.points, strict=True)]
    first, second = made.shares
    emit(
        made,
        as_json,
        f"{table(rows, ('word', 'across', 'up'))}\nthe axes show {first:.0%} and {second:.0%} of the variance",
    )


def classify(
    file: File,
    train: Annotated[Path, typer.Option("--train", metavar="F", help="Examples: .jsonl, .csv or .tsv.")],
    dev: Annotated[Path, typer.Option("--dev", metavar="F", help="Examples to choose settings by.")],
    test: Annotated[Path | None, typer.Option("--test", metavar="F", help="Examples to score on; dev if none.")] = None,
    column: ColumnNames = None,
    limit: Limit = None,
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Classify texts by averaged word vectors. A bag of words and the majority class stand beside them."""
    from trivium.verbs.vector_classifier import classify_with_vectors

    columns = columns_of(column)
    made = classify_with_vectors(file, train, dev, test, columns=columns, limit=limit, errors=errors)
    rows = [
        (
            each.name,
            _percent(each.scores["accuracy"]),
            f"{100 * each.interval.low:.1f} to {100 * each.interval.high:.1f}",
            f"{each.scores['macro_f1']:.3f}",
            each.chosen,
        )
        for each in made.rivals
    ]
    scored = (
        f"{made.test} test examples" if made.test else f"{made.dev} dev examples, by which settings were chosen too"
    )
    emit(
        made,
        as_json,
        f"{table(rows, ('method', 'accuracy', '95 %', 'macro F1', 'chosen'))}\n{made.train} training examples with "
        f"{len(made.labels)} labels, scored on {scored}; {made.known:.1%} of the words have a vector",
    )


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f} %"
