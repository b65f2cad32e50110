"""A quiz without a script: a choice below each thing to guess, the truth when it is made, the score when all are.

The style sheet counts: a choice that is right raises one counter, and a list of marks of our own (``@counter-style``)
says for each number of right ones which share that is, with Wilson's interval. Choices are required, so the score is
hidden as long as one is not made.
"""

from collections.abc import Sequence

from trivium.metrics import wilson
from trivium.views.markup import Markup, html, joined

_STYLE = (
    "main{counter-reset:right}"
    ".guess{border:1px solid var(--rule);border-radius:8px;padding:.7rem 1rem 1rem;margin:1.2rem 0 0}"
    ".guess legend{padding:0 .4rem;color:var(--soft);font-size:.875rem}"
    ".guess label{display:inline-flex;align-items:center;min-height:44px;padding:0 1.2rem 0 .4rem;cursor:pointer}"
    ".guess input{width:1.15rem;height:1.15rem;accent-color:var(--accent)}"
    ".guess input.right:checked{counter-increment:right}"
    ".guess:has(:checked) label,.guess:has(:checked) input{pointer-events:none}"
    ".guess p{margin:.2rem 0 0;font-weight:600}"
    ".guess .yes,.guess .no{display:none}"
    ".guess .right:checked~div .yes,.guess .wrong:checked~div .no{display:block}"
    ".guess .yes{color:var(--c2)}.guess .no{color:var(--c5)}"
    "main:has(input:invalid) .score,main:not(:has(input:invalid)) .waiting{display:none}"
    '.score::before{content:counter(right) " of %d: " counter(right,shares);font-size:1.35rem;font-weight:600}'
    "@counter-style shares{system:fixed 0;symbols:%s}"
)


def guess(number: int, sources: Sequence[str], true: str) -> Markup:
    """The choice for one thing: which of the ``sources`` is the ``true`` one."""
    choices = joined(
        html(
            '<input type="radio" required name="guess-{0}" id="guess-{0}-{1}" class="{2}">'
            '<label for="guess-{0}-{1}">a {3}</label>',
            *(number, place, "right" if source == true else "wrong", source),
        )
        for place, source in enumerate(sources)
    )
    told = html('<div role="status"><p class="yes">Right: a {0}.</p><p class="no">No: a {0}.</p></div>', true)
    return html('<fieldset class="guess"><legend>Who wrote it?</legend>{}{}</fieldset>', choices, told)


def score(count: int) -> Markup:
    """What the guesses above it came to, once all of ``count`` are made; and the style of them all."""
    shares = []
    for right in range(count + 1):
        share = wilson(right, count)
        shares.append(f'"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"')
    style = Markup(_STYLE % (count, " ".join(shares)))  # only constants and numbers
    return html(
        "<style>{}</style>"
        '<p class="waiting">The score is shown here when a guess is made for each of {}.</p>'
        '<p class="score" role="status"></p>'
        '<p class="note">The interval is Wilson\'s, of 95%: where it holds 50%, the two cannot be told apart by so few '
        "guesses. <code>trivium quiz</code> puts the guesses of several readers together.</p>",
        style, count,
    )  # fmt: skip
