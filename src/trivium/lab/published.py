"""How long published models were trained and on what: tokens by preset, GPT-3's mixture.

Tokens: Brown et al. 2020, tables 2.1 and D.1 (also RoBERTa's); Touvron et al. 2023a, table 2, and 2023b, table 1;
Dubey et al. 2024, section 3; Devlin et al. 2019, appendix A.2 (a million steps of 256 rows, nine tenths of them of
128 tokens).
"""

from trivium.lab.cost import SourceText

_BERT = 256 * (900_000 * 128 + 100_000 * 512)

TOKENS: dict[str, dict[str, int]] = {
    "gpt3": dict.fromkeys(("small", "medium", "large", "xl", "2.7b", "6.7b", "13b", "175b"), 300 * 10**9),
    "bert": {"base": _BERT, "large": _BERT},
    "roberta": {"base": 2000 * 10**9, "large": 2000 * 10**9},
    "llama": {
        "1-7b": 10**12, "1-13b": 10**12, "1-33b": 14 * 10**11, "1-65b": 14 * 10**11, "2-7b": 2 * 10**12,
        "2-13b": 2 * 10**12, "2-70b": 2 * 10**12, "3-8b": 15 * 10**12, "3-70b": 15 * 10**12,
        "3-405b": 156 * 10**11, "3.1-405b": 156 * 10**11,
    },
}  # fmt: skip
"""By family and size."""

GPT3_MIXTURE = (
    SourceText("Common Crawl (filtered)", 410 * 10**9, 0.60),
    SourceText("WebText2", 19 * 10**9, 0.22),
    SourceText("Books1", 12 * 10**9, 0.08),
    SourceText("Books2", 55 * 10**9, 0.08),
    SourceText("Wikipedia", 3 * 10**9, 0.03),
)
"""Table 2.2 of Brown et al. 2020, whose shares add up to 101%. Of its printed epochs (0.44, 2.9, 1.9, 0.43, 3.4 for 300
billion tokens) those of WebText2 and Wikipedia do not follow from its shares and sizes: they give 3.47 and 3.0."""


def published_tokens(family: str, size: str) -> int | None:
    """Where it is known."""
    return TOKENS.get(family, {}).get(size)


def published_mixture(family: str) -> tuple[SourceText, ...]:
    return GPT3_MIXTURE if family == "gpt3" else ()
