"""The pages of ``tokenizer show --html`` and ``tokenizer compare --out``: one offline HTML file each."""

from trivium.lab.charts import Series, line_chart
from trivium.lab.report import Cell, Section, Shown, key_figures, note, page, table
from trivium.verbs.tokenizer import TokenizerView
from trivium.verbs.tokenizer_comparison import Compared, TokenizerComparison
from trivium.views.markup import Markup, html, joined
from trivium.views.tokenisation import tokenisation_picture, visible


def tokenisation_page(view: TokenizerView, name: str) -> str:
    """How one text is cut."""
    pieces = view.pieces or []
    figures = {
        "tokens": len(pieces),
        "bytes a token": view.bytes_per_token,
        "tokens a word": view.tokens_per_word,
        "tokens in the vocabulary": view.vocab_size,
    }
    rows = [
        (place, piece.id, piece.piece, visible(piece.text), f"{piece.start}\N{EN DASH}{piece.end}",
         piece.word if piece.word >= 0 else None)
        for place, piece in enumerate(pieces)
    ]  # fmt: skip
    sections = [
        Section("The text in tokens", [tokenisation_picture(pieces), key_figures(figures)]),
        Section(
            "Every token",
            [
                note("Spelling is the vocabulary's own; characters are counted from 0, words likewise."),
                table(["", "id", "spelling", "text", "characters", "word"], rows),
            ],
        ),
        Section("Control tokens", [note("No text yields one of them, whatever it spells."), _controls(view)]),
    ]
    return page(f"A text in the tokens of {name}", sections, subtitle=f"{view.algorithm}, {view.vocab_size:,} tokens")


def _controls(view: TokenizerView) -> Markup:
    items = joined((html("<code>{}</code> {}", name, number) for name, number in view.specials.items()), ", ")
    return html("<p>{}</p>", items or "none")


def comparison_page(made: TokenizerComparison, title: str = "Tokenizers compared") -> str:
    """The table, the curve of length over vocabulary size, what each splits, and the scripts."""
    sections = [
        Section(
            "What a token carries",
            [
                table(
                    ["tokenizer", "vocabulary", "bytes a token", "tokens a word", "unknown words", "MB/s", "training"],
                    [_row(each) for each in made.rows],
                    best={"bytes a token": "max", "tokens a word": "min", "unknown words": "min"},
                ),
                note(f"Measured on {made.measured_on}."),
                *_curves(made),
                *(note(f"Left out: {each}.") for each in made.left_out),
            ],
        ),
        Section(
            "Frequent words that fall into most pieces",
            [
                table(
                    ["tokenizer", "vocabulary", "words"],
                    [(each.name, Shown(each.vocab_size, f"{each.vocab_size:,}"), _split(each)) for each in made.rows],
                )
            ],
        ),
        Section(
            "Scripts",
            [note("Share of the characters that no unknown token hides; tokens a character."), _scripts(made)],
        ),
    ]
    return page(title, sections, subtitle="The same text for all; longer pieces are shorter sequences.")


def _row(each: Compared) -> tuple[str, int, Shown, Shown, Shown, float, Shown | None]:
    report, seconds = each.report, each.training_seconds
    return (
        each.name,
        each.vocab_size,
        Shown(report.bytes_per_token, f"{report.bytes_per_token:.2f}"),
        Shown(report.fertility, f"{report.fertility:.2f}"),
        Shown(report.unknown_words, f"{report.unknown_words:.2%}"),
        report.megabytes_per_second,
        None if seconds is None else Shown(seconds, f"{seconds:.1f} s"),
    )


def _curves(made: TokenizerComparison) -> list[Markup]:
    """Bytes a token over the vocabulary's size, where an algorithm was trained at more than one."""
    trained = [each for each in made.rows if each.training_seconds is not None]  # a saved one learnt other text
    names = dict.fromkeys(each.name for each in trained)
    series = []
    for name in names:
        points = sorted((e.vocab_size, e.report.bytes_per_token) for e in trained if e.name == name)
        if len(points) > 1:
            series.append(Series(name, [x for x, _ in points], [y for _, y in points]))
    if not series:
        return []
    label = "Bytes a token over the size of the vocabulary, a line for each algorithm"
    return [line_chart(series, x_label="tokens in the vocabulary", y_label="bytes a token", label=label, log_x=True)]


def _split(each: Compared) -> Markup:
    return joined(
        (
            html("<code>{}</code> {}", "|".join(w.pieces), f"\N{MULTIPLICATION SIGN}{w.count}")
            for w in each.report.most_split[:5]
        ),
        " ",
    )


def _scripts(made: TokenizerComparison) -> Markup:
    scripts = [each.script for each in made.rows[0].report.scripts][:12]
    rows: list[list[Cell]] = []
    for each in made.rows:
        found = {coverage.script: coverage for coverage in each.report.scripts}
        cells = [
            Shown(found[name].known, f"{found[name].known:.1%} · {found[name].tokens_per_character:.2f}")
            for name in scripts
        ]
        rows.append([f"{each.name} {each.vocab_size:,}", *cells])
    return table(["tokenizer", *scripts], rows)
