"""Templates of ``trivium generate``: what is filled, which choice fits, and whether a text has the words it should."""

from typing import TYPE_CHECKING

from trivium.cli.output import emit, note, table

if TYPE_CHECKING:
    from trivium.generation.completion import Completion
    from trivium.text.prompt_templates import PromptTemplate
    from trivium.verbs.load import LanguageModel


def opened_template(template: str | None, fill: list[str], prompt: str | None) -> "PromptTemplate":
    from trivium.errors import SettingsError
    from trivium.text.prompt_templates import fills
    from trivium.verbs.templates import filled_template

    if template is None:
        if fill:
            raise SettingsError("--fill is for the blanks of a template: give --template")
        raise SettingsError("there is nothing to go on from: give --prompt, --template or --requests")
    return filled_template(template, fills(fill), prompt)


def show_choices(model: "LanguageModel", template: "PromptTemplate", as_json: bool) -> None:
    from trivium.verbs.templates import choices_of

    found = choices_of(model, template)
    rows = [(each.text, f"{each.probability:.4f}") for each in found]
    emit(found, as_json, table(rows, ("choice", "probability")))


def show_written(
    model: "LanguageModel", template: "PromptTemplate", made: "list[Completion]", as_json: bool
) -> None:
    from trivium.verbs.templates import expected, kept

    written = kept(template, made)
    shown = "" if model.kind == "encoder-decoder" else template.text
    emit(written, as_json, "\n---\n".join(shown + each.text for each in written))
    for each in written:
        for sentence in expected(template, each.text):
            note(sentence)
