"""What ``trivium generate --template`` prints: what was written after the prompt, or its choices with probabilities."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trivium.cli.output import emit, note, table

if TYPE_CHECKING:
    from trivium.generation.sampling import Sampling


def run_template(
    model: Path, template: str | None, fill: list[str], prompt: str | None, sampling: "Sampling",
    max_tokens: int | None, beams: int | None, samples: int, precision: Literal["float32", "bfloat16"], device: str,
    as_json: bool,
) -> None:  # fmt: skip
    from trivium.errors import SettingsError
    from trivium.text.prompt_templates import fills
    from trivium.verbs.load import load
    from trivium.verbs.templates import choices_of, expected, filled_template, written_from

    if template is None:
        if fill:
            raise SettingsError("--fill is for the blanks of a template: give --template")
        raise SettingsError("there is nothing to go on from: give --prompt, or --template")
    made = filled_template(template, fills(fill), prompt)
    loaded = load(model, precision=precision, device=device)
    if made.choices:
        found = choices_of(loaded, made)
        rows = [(each.text, f"{each.probability:.4f}") for each in found]
        emit(found, as_json, table(rows, ("choice", "probability")))
        return
    written = written_from(loaded, made, sampling, max_tokens, beams, samples)
    shown = "" if loaded.kind == "encoder-decoder" else made.text
    emit(written, as_json, "\n---\n".join(shown + each.text for each in written))
    for each in written:
        for sentence in expected(made, each.text):
            note(sentence)
