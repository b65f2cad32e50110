"""The table of suites: every field is what a published file calls something, or a convention of its published score.

Numbers in a label's spellings are those of the public copies of the sets. ``files``: where a file is in the folder that
the set is distributed in. ``cnn-dailymail`` and ``wmt-...`` are scored as in T5's paper: no stemming, the tokens of
sacrebleu's ``intl``.
"""

from collections.abc import Mapping

from trivium.errors import DataError
from trivium.evaluation.answers import Answers
from trivium.evaluation.classification import Classification
from trivium.evaluation.cloze import Blank, LastWord
from trivium.evaluation.context_use import ContextUse
from trivium.evaluation.conversations import Conversations
from trivium.evaluation.labels import Labels
from trivium.evaluation.language_modelling import LanguageModelling, MaskedModelling
from trivium.evaluation.limitations import PROBES, Limitations
from trivium.evaluation.minimal_pairs import MinimalPairs
from trivium.evaluation.options import Alternatives, ManyRight, Mentions
from trivium.evaluation.similarity import Similarity
from trivium.evaluation.suite import LabelledSuite, LanguageSuite
from trivium.evaluation.tagging import Tagging
from trivium.evaluation.texts import Summaries, Translations
from trivium.text.fields import text_of
from trivium.text.readers import Row


def _word_in_two(place: str, row: Row) -> dict[str, object]:
    """WiC: does the word mean the same in both sentences? It stands before the first."""
    word, first, second = (text_of(place, row, name) for name in ("word", "sentence1", "sentence2"))
    return {"text": f"{word}: {first}", "text2": second}


def _two_spans(place: str, row: Row) -> dict[str, object]:
    """WSC: does the pronoun mean the noun? Both are marked in the text as for T5: *noun*, #pronoun#."""
    target = row.get("target")
    if not isinstance(target, Mapping):
        raise DataError(f"{place}: 'target' is {type(target).__name__}, not an object, as WSC's files have it")
    words = text_of(place, row, "text").split(" ")
    for span, mark in (("span1", "*"), ("span2", "#")):
        index, spelt = target.get(f"{span}_index"), text_of(place, target, f"{span}_text").split(" ")
        if not isinstance(index, int) or not 0 <= index <= len(words) - len(spelt):
            raise DataError(f"{place}: {span}_index is {index!r}, and the text has {len(words)} words")
        words[index] = mark + words[index]
        words[index + len(spelt) - 1] += mark
    return {"text": " ".join(words)}


ENTAILS: Labels = (("entailment", "0"), ("not_entailment", "1"))
THREE: Labels = (("entailment", "0"), ("neutral", "1"), ("contradiction", "2"))
TRUTH: Labels = (("false", "0"), ("true", "1"))
PREMISES = ("premise", "sentence1", "text")
HYPOTHESES = ("hypothesis", "sentence2", "text2")

GLUE: dict[str, LabelledSuite] = {
    "cola": Classification(
        labels=(("0", "unacceptable"), ("1", "acceptable")),
        text=("sentence", "text"),
        main=("matthews",),
        files=("CoLA/dev.tsv", "cola/dev.tsv"),
        headerless=("source", "label", "mark", "sentence"),
    ),
    "sst2": Classification(
        labels=(("0", "negative", "neg"), ("1", "positive", "pos")),
        text=("sentence", "text"),
        files=("SST-2/dev.tsv", "sst2/dev.tsv"),
    ),
    "mrpc": Classification(
        labels=(("0", "not_equivalent"), ("1", "equivalent")),
        text=("#1 String", "sentence1", "text"),
        text2=("#2 String", "sentence2", "text2"),
        label=("Quality", "label"),
        main=("f1", "accuracy"),
        files=("MRPC/dev.tsv", "MRPC/msr_paraphrase_test.txt", "mrpc/dev.tsv"),
    ),
    "stsb": Similarity(
        text=("sentence1", "text"),
        text2=("sentence2", "text2"),
        label=("score", "label", "value"),
        files=("STS-B/dev.tsv", "stsb/dev.tsv"),
    ),
    "qqp": Classification(
        labels=(("0", "not_duplicate"), ("1", "duplicate")),
        text=("question1", "text"),
        text2=("question2", "text2"),
        label=("is_duplicate", "label"),
        main=("f1", "accuracy"),
        files=("QQP/dev.tsv", "qqp/dev.tsv"),
    ),
    "mnli": Classification(
        labels=THREE,
        text=PREMISES,
        text2=HYPOTHESES,
        label=("gold_label", "label"),
        files=("MNLI/dev_matched.tsv", "mnli/dev_matched.tsv"),
    ),
    "mnli-mm": Classification(
        labels=THREE,
        text=PREMISES,
        text2=HYPOTHESES,
        label=("gold_label", "label"),
        files=("MNLI/dev_mismatched.tsv", "mnli/dev_mismatched.tsv"),
    ),
    "qnli": Classification(
        labels=ENTAILS,
        text=("question", "text"),
        text2=("sentence", "text2"),
        files=("QNLI/dev.tsv", "qnli/dev.tsv"),
    ),
    "rte": Classification(
        labels=ENTAILS,
        text=PREMISES,
        text2=HYPOTHESES,
        files=("RTE/dev.tsv", "rte/dev.tsv", "RTE/val.jsonl"),
    ),
    "wnli": Classification(
        labels=(("0", "not_entailment"), ("1", "entailment")),
        text=PREMISES,
        text2=HYPOTHESES,
        files=("WNLI/dev.tsv", "wnli/dev.tsv"),
    ),
    "ax": Classification(
        labels=THREE,
        text=("Premise", *PREMISES),
        text2=("Hypothesis", *HYPOTHESES),
        label=("Label", "label"),
        main=("matthews",),
        files=("diagnostic/diagnostic-full.tsv", "diagnostic/diagnostic.tsv", "ax/dev.tsv"),
    ),
}

SUPERGLUE: dict[str, LabelledSuite] = {
    "boolq": Classification(
        labels=TRUTH,
        text=("question", "text"),
        text2=("passage", "text2"),
        format="jsonl",
        files=("BoolQ/val.jsonl", "boolq/val.jsonl"),
    ),
    "cb": Classification(
        labels=(("entailment", "0"), ("contradiction", "1"), ("neutral", "2")),
        text=PREMISES,
        text2=HYPOTHESES,
        main=("macro_f1", "accuracy"),
        format="jsonl",
        files=("CB/val.jsonl", "cb/val.jsonl"),
    ),
    "copa": Alternatives(files=("COPA/val.jsonl", "copa/val.jsonl")),
    "multirc": ManyRight(files=("MultiRC/val.jsonl", "multirc/val.jsonl")),
    "record": Mentions(files=("ReCoRD/val.jsonl", "record/val.jsonl")),
    "superglue-rte": Classification(
        labels=ENTAILS,
        text=PREMISES,
        text2=HYPOTHESES,
        format="jsonl",
        files=("RTE/val.jsonl", "rte/val.jsonl"),
    ),
    "wic": Classification(
        labels=TRUTH, format="jsonl", files=("WiC/val.jsonl", "wic/val.jsonl"), inputs=_word_in_two
    ),
    "wsc": Classification(
        labels=TRUTH, format="jsonl", files=("WSC/val.jsonl", "wsc/val.jsonl"), inputs=_two_spans
    ),
}

LABELLED: dict[str, LabelledSuite] = {
    **GLUE,
    **SUPERGLUE,
    "squad1": Answers(files=("dev-v1.1.json",)),
    "squad2": Answers(unanswerable=True, files=("dev-v2.0.json",)),
    "conll2003": Tagging(scores="entities"),
    "conll2000": Tagging(scores="entities"),
    "ud-pos": Tagging(scores="words", tags=("upos", "tags"), format="conllu"),
    "summarisation": Summaries(),
    "translation": Translations(),
    "cnn-dailymail": Summaries(stem=False, files=("cnn-dailymail.jsonl",)),
    "wmt-ende": Translations("intl", files=("wmt-ende.tsv", "wmt-ende.jsonl")),
    "wmt-enfr": Translations("intl", files=("wmt-enfr.tsv", "wmt-enfr.jsonl")),
    "wmt-enro": Translations("intl", files=("wmt-enro.tsv", "wmt-enro.jsonl")),
}

LANGUAGE: dict[str, LanguageSuite] = {
    "text": LanguageModelling(),
    "wikitext2": LanguageModelling(
        "wikitext", ends=True, headline="word_perplexity", files=("wikitext2.txt", "wikitext-2/wiki.test.tokens")
    ),
    "wikitext103": LanguageModelling(
        "wikitext", ends=True, headline="word_perplexity", files=("wikitext103.txt", "wikitext-103/wiki.test.tokens")
    ),
    "ptb": LanguageModelling("ptb", ends=True, headline="word_perplexity", files=("ptb.txt", "ptb/ptb.test.txt")),
    "1bw": LanguageModelling("ptb", ends=True, headline="word_perplexity", files=("1bw.txt",)),
    "enwik8": LanguageModelling(headline="bits_per_byte", files=("enwik8.txt",)),
    "text8": LanguageModelling(headline="bits_per_character", files=("text8.txt",)),
    "masked": MaskedModelling(),
    "context": ContextUse(),
    "blimp": MinimalPairs(files=("blimp", "blimp.jsonl")),
    "crows-pairs": MinimalPairs(
        ("bias_type",), "sent_more", "sent_less", "stereotype", ("crows_pairs_anonymized.csv",)
    ),
    "coqa": Conversations(files=("coqa-dev-v1.0.json",)),
    "limitations": Limitations(),
    "lambada": LastWord(files=("lambada.jsonl", "lambada_test.jsonl", "lambada_test_plain_text.txt")),
    "cbt-cn": Blank(files=("cbt-cn.txt", "cbtest_CN_valid_2000ex.txt", "data/cbtest_CN_valid_2000ex.txt")),
    "cbt-ne": Blank(files=("cbt-ne.txt", "cbtest_NE_valid_2000ex.txt", "data/cbtest_NE_valid_2000ex.txt")),
}

EMBEDDED = {"limitations": PROBES}
"""Suites that come with their data."""

SUITES: dict[str, LabelledSuite | LanguageSuite] = {**LABELLED, **LANGUAGE}
