"""Texts of a prescribed form: whatever a model with random weights prefers, its text has the form; and among the texts
that have it, the model's own probabilities decide."""

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import Completion, complete
from trivium.generation.constraints import LONGEST, Form, guides, read_schema
from trivium.generation.sampling import Sampling
from trivium.generation.speculative import Draft
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.tokenizers import ALGORITHMS, Tokenizer
from trivium.tokenizers.learning import specials_for
from trivium.tokenizers.token_bytes import token_bytes
from trivium.transformer import Inputs, Model, Network, Tokens, TransformerConfig, initialise

pytest.importorskip("llguidance")

TEXTS = ['the cat sat {"name": "Ann", "age": 31} on [1, 2] mats: yes, no 0123456789 é 日本 🌍 a-b/c tags\n'] * 40
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["é", "yes"]}, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
PATTERN = r"(yes|no),? (the|a) [a-c]{1,3}"
CONCATENATING = ["bpe", "unigram", "sentencepiece-bpe", "characters"]


@cache
def tokenizer_of(algorithm: str) -> Tokenizer:
    module, _, name = ALGORITHMS[algorithm].partition(":")
    sizes = {"bpe": 350, "unigram": 350, "sentencepiece-bpe": 370, "words": 68, "characters": 75}
    return getattr(import_module(module), name)(TEXTS, sizes.get(algorithm, 110), specials_for(algorithm))


def model_of(tokenizer: Tokenizer, encoder: int = 0, seed: int = 1, context: int = 200) -> Model:
    config = TransformerConfig(
        vocab_size=tokenizer.vocab_size + 3, width=16, heads=4, ffn_width=32, encoder_layers=encoder, decoder_layers=1,
        context=context, init_std=0.3, start_token=0,
    )  # fmt: skip
    model = Model(config)
    initialise(model, seed)
    return model.eval()


def written(
    algorithm: str, sampling: Sampling, encoder: int = 0, prompts: Sequence[str] = ("the cat", "no", "a yes")
) -> list[Completion]:
    tokenizer = tokenizer_of(algorithm)
    return complete(model_of(tokenizer, encoder), tokenizer, prompts, sampling, 2)


def texts_of(completions: Sequence[Completion]) -> list[str]:
    """The texts that their models finished."""
    done = [each for each in completions if each.finish in ("end", "stop")]
    assert len(done) > len(completions) / 2
    return [each.text for each in done]


def check_schema(text: str) -> None:
    found = json.loads(text)
    assert sorted(found) == ["age", "name", "tags"]
    assert isinstance(found["name"], str) and len(found["name"]) <= 6
    assert isinstance(found["age"], int) and 0 <= found["age"] <= 130
    assert len(found["tags"]) <= 2 and set(found["tags"]) <= {"é", "yes"}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("encoder", [0, 1])
@pytest.mark.parametrize("algorithm", CONCATENATING)
def test_a_text_has_the_form(algorithm: str, encoder: int, temperature: float) -> None:
    sampling = Sampling(120, temperature, top_p=1.0, regex=PATTERN)
    for text in texts_of(written(algorithm, sampling, encoder)):
        assert re.fullmatch(PATTERN, text), text
    for each in written(algorithm, Sampling(20, temperature, choices=("yes", "the cat sat", "no the")), encoder):
        assert each.finish in ("end", "stop")
        assert each.text in ("yes", "the cat sat", "no the")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "characters"])
def test_json_fits_its_schema(algorithm: str, temperature: float) -> None:
    sampling = Sampling(150, temperature, top_p=1.0, json_schema=json.dumps(SCHEMA))
    for encoder in (0, 1):
        for text in texts_of(written(algorithm, sampling, encoder)):
            check_schema(text)


def test_recurrent_models_follow_a_form_too() -> None:
    tokenizer = tokenizer_of("bpe")
    torch.manual_seed(0)
    config = RecurrentConfig(
        vocab_size=tokenizer.vocab_size, width=12, state_width=12, cell="lstm", decoder_layers=1, context=8
    )
    sampling = Sampling(100, 1.0, regex=PATTERN)
    for each in complete(RecurrentModel(config).eval(), tokenizer, ["the", "cat sat"], sampling, 3):
        assert re.fullmatch(PATTERN, each.text)


def test_drafting_keeps_to_the_form_and_greedy_text_stays_the_same() -> None:
    tokenizer = tokenizer_of("bpe")
    model, draft = model_of(tokenizer), Draft(model_of(tokenizer, seed=2), 3)
    for form in ({"regex": PATTERN}, {"json_schema": json.dumps(SCHEMA)}, {"choices": ("yes", "no, no")}):
        greedy = Sampling(150, 0.0, **form)
        plain = complete(model, tokenizer, ["the cat", "no"], greedy)
        drafted = complete(model, tokenizer, ["the cat", "no"], greedy, draft=draft)
        assert [(each.tokens, each.finish) for each in plain] == [(each.tokens, each.finish) for each in drafted]
        drawn = complete(model, tokenizer, ["the cat"], Sampling(150, 1.0, **form), 4, draft=draft)
        for text in texts_of(drawn):
            if "regex" in form:
                assert re.fullmatch(PATTERN, text)
            elif "choices" in form:
                assert text in ("yes", "no, no")
            else:
                check_schema(text)


@torch.no_grad()
def after(model: Network, ids: Sequence[int], size: int) -> torch.Tensor:
    logits = model(Inputs(target=Tokens(torch.tensor([list(ids)]))), at="all").logits
    assert logits is not None
    return logits[0, -1, :size].double()


def test_the_models_probabilities_decide_among_what_fits() -> None:
    """Against the definition: of all tokens those after which some text of the form remains, found by trying."""
    tokenizer = tokenizer_of("bpe")
    model, size, end = model_of(tokenizer), tokenizer.vocab_size, tokenizer.end
    forms = ["".join(each) for each in product(("yes", "no", "the"), (" cat", " mats", ""))]
    pieces = token_bytes(tokenizer).pieces
    for prompt in ("a", "the cat sat", "yes, no"):
        (found,) = complete(model, tokenizer, [prompt], Sampling(20, 0.0, choices=tuple(forms)))
        ids, text = tokenizer.encode(prompt).ids, b""
        while True:
            scores = after(model, ids, size)
            fits = [
                (token == end and text.decode() in forms)
                or (bool(piece) and any(each.encode().startswith(text + piece) for each in forms))
                for token, piece in enumerate(pieces)
            ]
            token = int(scores.masked_fill(~torch.tensor(fits), -torch.inf).argmax())
            if token == end:
                break
            ids, text = [*ids, token], text + pieces[token]
            if text.decode() in forms and not any(each != text.decode() and each.startswith(text.decode())
                                                  for each in forms):  # fmt: skip
                break
        assert found.text == text.decode()


def test_a_text_without_an_end_token_ends_with_its_form() -> None:
    tokenizer = tokenizer_of("bpe")
    files = GenerationConfig(ends=frozenset({tokenizer.vocab_size - 1}))
    (each,) = complete(model_of(tokenizer), tokenizer, ["a"], Sampling(30, 1.0, regex="[a-c]{4}"), files=files)
    assert each.finish == "stop" and re.fullmatch("[a-c]{4}", each.text)
    (each,) = complete(model_of(tokenizer), tokenizer, ["a"], Sampling(3, 1.0, regex="[a-c]{40}"), files=files)
    assert each.finish == "length" and re.fullmatch("[a-c]+", each.text)


def test_tokens_that_files_force_do_not_get_in_the_way() -> None:
    """BART's first token is no part of the text, and its last would cut it."""
    tokenizer = tokenizer_of("bpe")
    assert tokenizer.end is not None
    files = GenerationConfig(first=tokenizer.end, last=tokenizer.end)
    for size in (60, 2):
        (each,) = complete(
            model_of(tokenizer, 1), tokenizer, ["a"], Sampling(size, 1.0, regex="[a-c]{9}yes"), files=files
        )
        assert each.finish == ("stop" if size == 60 else "length")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CONCATENATING), st.data())
def test_a_text_is_its_tokens_bytes(algorithm: str, data: st.DataObject) -> None:
    tokenizer = tokenizer_of(algorithm)
    table = token_bytes(tokenizer)
    usable = [number for number, piece in enumerate(table.pieces) if piece]
    assert {number for number in range(tokenizer.vocab_size) if number not in tokenizer.controls} == set(usable)
    ids = data.draw(st.lists(st.sampled_from(usable), min_size=1, max_size=12))
    text = b"".join(table.pieces[number] for number in ids).decode(errors="replace")
    assume("\ufffd" not in text)  # bytes that are no characters are shown in several ways
    assert tokenizer.decode(ids) == (text.removeprefix(" ") if table.swallows else text)


@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - set(CONCATENATING)))
def test_a_tokenizer_that_puts_the_blanks_itself_is_refused(algorithm: str) -> None:
    with pytest.raises(SettingsError, match="puts blanks between words by itself: use a model with"):
        written(algorithm, Sampling(5, regex="a"))


def nested(depth: int) -> str:
    return '{"items":' * depth + '{"type":"integer"}' + "}" * depth


REFUSED = [
    ({"json_schema": '{"type": "objekt"}'}, "the JSON schema cannot be followed: Invalid type: objekt"),
    ({"json_schema": '{"type": '}, "the JSON schema is not valid JSON"),
    ({"json_schema": ""}, "the JSON schema is not valid JSON"),
    ({"json_schema": "[1]"}, r"the JSON schema is \[1\]: it must be an object"),
    ({"json_schema": "false"}, "the JSON schema is False: it must be an object"),
    ({"json_schema": '{"not": {"type": "string"}}'}, "Unimplemented keys"),
    ({"json_schema": '{"$ref": "https://example.com/x.json"}'}, "the JSON schema cannot be followed"),
    ({"json_schema": '{"type": "integer", "minimum": 5, "maximum": 3}'}, "Unsatisfiable schema"),
    ({"json_schema": nested(200)}, "it nests too deep: make it flatter"),
    ({"json_schema": nested(60_000)}, "nests too deep"),
    ({"json_schema": " " * LONGEST + "{}"}, "json_schema has 1,048,578 characters: it must be at most 1,048,576"),
    ({"json_schema": '{"$ref": "#"}'}, "the JSON schema cannot be followed: no text has this form"),
    ({"json_schema": '{"const": "\\ud800"}'}, "the JSON schema cannot be followed: unexpected end of hex escape"),
    ({"regex": "\ud800"}, "regex holds half a character"),
    ({"choices": ("a", "\ud800")}, "choices holds half a character"),
    ({"regex": "((a?){50}a{50}){50}"}, "cannot be followed: lexer error: too many expressions"),
    ({"regex": "[a-"}, r"the regular expression '\[a-' cannot be followed: unclosed character class"),
    ({"regex": "(?=a)b"}, "look-ahead"),
    ({"regex": "(" * 60_000 + "a" + ")" * 60_000}, "cannot be followed"),
    ({"regex": "語+"}, None),
    ({"choices": ("a", "")}, "each must be a text that is not empty"),
    ({"choices": ("a",), "regex": "b"}, "regex and choices are both given: a text can have one form"),
]


@pytest.mark.parametrize(("form", "says"), REFUSED, ids=range(len(REFUSED)))
def test_a_form_that_cannot_be_followed_is_refused_in_one_sentence(form: dict, says: str | None) -> None:
    if says is None:  # bytes are tokens: any character can be written
        assert re.fullmatch("語+", written("bpe", Sampling(12, 1.0, **form), prompts=["a"])[0].text.rstrip("\ufffd"))
        return
    with pytest.raises(SettingsError, match=says) as caught:
        written("bpe", Sampling(5, **form))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_many_choices_are_one_form() -> None:
    choices = tuple(f"cat {number}" for number in range(20_000))
    for each in written("bpe", Sampling(20, 1.0, choices=choices)):
        assert each.text in choices


def test_characters_that_no_token_writes_are_refused() -> None:
    with pytest.raises(SettingsError, match="'Q' cannot be followed here: no token of this model writes"):
        written("characters", Sampling(5, regex="Q"))


def test_a_schema_may_be_given_as_what_it_says() -> None:
    assert Sampling(json_schema=SCHEMA) == Sampling(json_schema=json.dumps(SCHEMA))  # type: ignore[arg-type]
    deep: dict = {}
    for _ in range(60_000):
        deep = {"items": deep}
    with pytest.raises(SettingsError, match="cannot be written as JSON"):
        Sampling(json_schema=deep)  # type: ignore[arg-type]
    while deep:  # taken apart by hand: freeing it all at once goes as deep
        deep = deep["items"]
    with pytest.raises(SettingsError, match="cannot be written as JSON"):
        Sampling(json_schema={"enum": [object()]})  # type: ignore[arg-type]


def test_a_rule_may_leave_nothing() -> None:
    with pytest.raises(SettingsError, match="the form of the text, min_tokens.*rule out every one"):
        written("characters", Sampling(30, 1.0, regex="aQ?", min_tokens=25))


def test_guides_fork_and_do_not_touch_each_other() -> None:
    tokenizer = tokenizer_of("characters")
    end = tokenizer.end
    assert end is not None
    first, second = guides(tokenizer, Form(regex="ab?"), frozenset({end}), 2, False)
    letters = [tokenizer.encode(letter).ids[0] for letter in "ab"]
    first.take(letters[0])
    assert [int(i) for i in second.allowed().nonzero()] == [letters[0]]
    assert {int(i) for i in first.allowed().nonzero()} == {letters[1], end}
    third = first.fork()
    third.take(letters[1])
    assert third.complete and not first.complete


def test_a_schema_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    assert json.loads(read_schema(path)) == SCHEMA
    wrong = {
        b"\xff": "cannot be read", b"": "not valid JSON", b"[]": "must be an object",
        b"[" * 60_000: "nests too deep", b" " * (LONGEST + 1): "bytes: a schema has",
    }  # fmt: skip
    for content, says in wrong.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"schema.json.*{says}"):
            read_schema(path)
    with pytest.raises(DataError, match="missing.json cannot be read"):
        read_schema(tmp_path / "missing.json")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(SettingsError, match=r"need llguidance: pip install -e '\.\[constrain\]'"):
        guides(tokenizer_of("bpe"), Form(regex="a"), frozenset(), 1, False)

