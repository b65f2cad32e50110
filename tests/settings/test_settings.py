"""Settings: strict types, nearest names, kinds, layers with origins, and round trips through TOML."""

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.settings import Layer, build, defaults, dump, leaves, merge, override, read_toml, schema, to_toml


@dataclass(frozen=True)
class Sun:
    """Bright."""

    kind: Literal["sun"] = "sun"
    heat: float = 5.0


@dataclass(frozen=True)
class Rain:
    kind: Literal["rain"] = "rain"
    amount: int = 3
    drops: int | None = None


@dataclass(frozen=True)
class Place:
    name: str
    height: float = 0.0


@dataclass(frozen=True)
class Walk:
    steps: int | None = None
    minutes: float | None = None
    limit: float | None = 1.0
    shoes: tuple[str, ...] = ()
    mood: Literal["calm", "brisk"] = "calm"
    alone: bool = False
    log: str | None = None
    weather: Sun | Rain = field(default_factory=Sun)
    places: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps <= 0:
            raise SettingsError(f"walk.steps is {self.steps}: it must be above 0")


@dataclass(frozen=True)
class Day:
    """A day."""

    walk: Walk
    sky: object = field(default_factory=Rain, metadata={"kinds": {"sun": Sun, "rain": f"{__name__}:Rain"}})
    hours: int = 24


@pytest.fixture(autouse=True)
def named_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The "module:name" entry above must be importable under the name that pytest gave this file."""
    import sys

    module = type(sys)(__name__)
    module.Rain = Rain
    monkeypatch.setitem(sys.modules, __name__, module)


def test_values_of_every_type_are_read() -> None:
    walk = build(
        Walk,
        {
            "steps": 8,
            "limit": 2,
            "shoes": ["a", "b"],
            "mood": "brisk",
            "alone": True,
            "weather": {"kind": "rain", "amount": 4},
            "places": [{"name": "top", "height": 3.5}, {"name": "sea"}],
        },
    )
    assert walk == Walk(
        8, None, 2.0, ("a", "b"), "brisk", True, None, Rain(amount=4), (Place("top", 3.5), Place("sea"))
    )
    assert isinstance(walk.limit, float)


@pytest.mark.parametrize("value", ["8", 8.0, 8.5, True, math.nan, math.inf, [8], {"a": 1}])
def test_an_integer_field_takes_only_integers(value: object) -> None:
    with pytest.raises(SettingsError, match=r"walk\.steps"):
        build(Day, {"walk": {"steps": value}})


@pytest.mark.parametrize("value", ["1.5", math.nan, -math.inf, True, [1.0]])
def test_a_float_field_takes_only_finite_numbers(value: object) -> None:
    with pytest.raises(SettingsError, match=r"walk\.minutes"):
        build(Day, {"walk": {"minutes": value}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"walk": {"stesp": 1}}, "there is no setting walk.stesp: did you mean walk.steps?"),
        ({"wlak": {}}, "there is no setting wlak: did you mean walk?"),
        ({"walk": {}, "steps": 3}, "there is no setting steps: did you mean walk.steps?"),
        ({"walk": {"hours": 3}}, "there is no setting walk.hours: did you mean hours?"),
        ({"walk": {"weather": {"kind": "rian"}}}, "walk.weather.kind = 'rian' does not exist: did you mean rain?"),
        ({"walk": {"weather": {"kind": "rain", "heat": 1.0}}}, "there is no setting walk.weather.heat"),
        ({"walk": {"weather": {"kind": ["rain"]}}}, "walk.weather.kind = ['rain'] does not exist"),
        ({"walk": {"zzz": 3}}, "there is no setting walk.zzz: choose one of alone, limit"),
        ({"walk": {"weather": 3}}, "walk.weather = 3 must be a table"),
        ({"walk": {"mood": "happy"}}, "walk.mood = 'happy'"),
        ({"walk": {"shoes": "left"}}, "walk.shoes = 'left'"),
        ({"walk": {"places": [{"height": 1.0}]}}, r"walk.places[0].name is missing"),
        ({"walk": {"places": {"name": "x"}}}, "must be a list of tables"),
        ({"walk": {"alone": None}}, "walk.alone cannot be none"),
        ({"walk": {"steps": 0}}, "walk.steps is 0: it must be above 0"),
        ({"hours": 1}, "walk is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(values: dict, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(Day, values)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_kind_is_chosen_by_name_alone_by_table_or_by_default() -> None:
    assert build(Walk, {"weather": "rain"}).weather == Rain()
    assert build(Walk, {"weather": {"heat": 2.0}}).weather == Sun(heat=2.0)
    assert build(Day, {"walk": {}, "sky": {"kind": "rain", "amount": 1}}).sky == Rain(amount=1)
    assert build(Day, {"walk": {}}).sky == Rain()


days = st.builds(
    Day,
    walk=st.builds(
        Walk,
        steps=st.none() | st.integers(1, 2**62),
        minutes=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        shoes=st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
        mood=st.sampled_from(["calm", "brisk"]),
        alone=st.booleans(),
        log=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        weather=st.builds(Sun) | st.builds(Rain, amount=st.integers(-9, 9), drops=st.none() | st.integers(0, 9)),
        places=st.lists(st.builds(Place, name=st.text(st.characters(exclude_categories=["Cs"])))).map(tuple),
    ),
    sky=st.builds(Sun) | st.builds(Rain),
    hours=st.integers(-(2**62), 2**62),
)


@given(days)
def test_a_dataclass_survives_toml(day: Day) -> None:
    text = to_toml(dump(day))
    assert build(Day, tomllib.loads(text)) == day


@given(days)
def test_a_dataclass_survives_json(day: Day) -> None:
    assert build(Day, json.loads(json.dumps(dump(day)))) == day


@given(days)
def test_what_is_left_out_for_it_is_the_default_makes_the_same_dataclass(day: Day) -> None:
    """``defaults`` has of ``dump`` what a file need not say: without it the rest builds the same."""

    def rest(table: dict, unset: dict) -> dict:
        kept = {}
        for name, value in table.items():
            if name == "kind" or name not in unset:
                kept[name] = value
            elif isinstance(value, dict) and isinstance(unset[name], dict):
                kept[name] = rest(value, unset[name])
            elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
                kept[name] = [rest(*both) for both in zip(value, unset[name], strict=True)]
            else:
                assert value == (list(unset[name]) if isinstance(value, list) else unset[name])
        return kept

    said, unset = dump(day), defaults(day)
    assert build(Day, rest(said, unset)) == day
    assert ("hours" in unset) == (day.hours == 24) and ("alone" in unset["walk"]) == (not day.walk.alone)


@pytest.mark.parametrize(
    ("assignment", "values"),
    [
        ("walk.steps=100", {"walk": {"steps": 100}}),
        ("walk.steps = 1_000", {"walk": {"steps": 1000}}),
        ("walk.steps=none", {"walk": {"steps": None}}),
        ("walk.minutes=.5", {"walk": {"minutes": 0.5}}),
        ("walk.minutes=3e-4", {"walk": {"minutes": 3e-4}}),
        ("walk.log=8", {"walk": {"log": "8"}}),
        ("walk.log=a=b", {"walk": {"log": "a=b"}}),
        ("walk.shoes=a.txt, b.txt", {"walk": {"shoes": ["a.txt", "b.txt"]}}),
        ('walk.shoes=["a, b"]', {"walk": {"shoes": ["a, b"]}}),
        ("walk.mood=brisk", {"walk": {"mood": "brisk"}}),
        ("walk.alone=true", {"walk": {"alone": True}}),
        ("walk.weather=rain", {"walk": {"weather": "rain"}}),
        ("walk.weather.kind=rain", {"walk": {"weather": {"kind": "rain"}}}),
        ("walk.weather.amount=2", {"walk": {"weather": {"amount": 2}}}),
        ("sky.heat=2", {"sky": {"heat": 2}}),
    ],
)
def test_an_override_is_read_by_the_type_of_its_field(assignment: str, values: dict) -> None:
    assert override(Day, assignment) == values


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("walk.steps", "must look like"),
        ("=3", "must look like"),
        ("walk.stesp=3", "did you mean walk.steps?"),
        ("steps=3", "did you mean walk.steps?"),
        ("walk.weather.hats=3", "there is no setting walk.weather.hats"),
        ("hours.x=3", "hours has no parts"),
    ],
)
def test_an_override_of_nothing_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        override(Day, assignment)
    assert message in str(caught.value)


@pytest.mark.parametrize("assignment", ["walk.steps=many", 'walk.steps="8"', "walk.alone=yes", "walk.minutes=nan"])
def test_an_override_of_the_wrong_type_fails_when_it_is_built(assignment: str) -> None:
    with pytest.raises(SettingsError, match=assignment.partition("=")[0]):
        build(Day, override(Day, assignment))


def test_layers_cover_each_other_and_keep_their_origin() -> None:
    values, origins = merge(
        [
            Layer(
                "file", {"hours": 1, "walk": {"minutes": 2.0, "alone": True, "weather": {"kind": "sun", "heat": 9.0}}}
            ),
            Layer("--set", {"walk": {"steps": 5, "weather": {"kind": "rain"}}}),
        ],
        {"walk": ("steps", "minutes")},
    )
    assert values == {"hours": 1, "walk": {"steps": 5, "alone": True, "weather": {"kind": "rain"}}}
    assert origins == {
        "hours": "file",
        "walk.alone": "file",
        "walk.steps": "--set",
        "walk.weather.kind": "--set",
    }


def test_alternatives_of_one_layer_are_both_kept_for_the_dataclass_to_refuse() -> None:
    values, _ = merge([Layer("a", {"walk": {"steps": 1, "minutes": 1.0}})], {"walk": ("steps", "minutes")})
    assert values == {"walk": {"steps": 1, "minutes": 1.0}}


def test_a_word_over_a_table_of_a_kind_changes_the_kind() -> None:
    values, origins = merge([Layer("a", {"sky": {"kind": "sun", "heat": 1.0}}), Layer("b", {"sky": "rain"})])
    assert values == {"sky": {"kind": "rain"}}
    assert origins == {"sky.kind": "b"}
    values, _ = merge([Layer("a", {"sky": "sun"}), Layer("b", {"sky": {"heat": 1.0}})])
    assert values == {"sky": {"kind": "sun", "heat": 1.0}}


def test_leaves_are_dotted() -> None:
    assert list(leaves({"a": {"b": 1, "c": {"d": [2]}}, "e": 3})) == [("a.b", 1), ("a.c.d", [2]), ("e", 3)]


def test_the_schema_names_every_field_and_refuses_others() -> None:
    made = schema(Day)
    assert made["required"] == ["walk"] and made["additionalProperties"] is False
    walk = made["properties"]["walk"]
    assert list(walk["properties"]) == [f.name for f in dataclasses.fields(Walk)]
    assert walk["properties"]["weather"]["anyOf"][1]["properties"]["kind"] == {"const": "rain"}
    assert walk["properties"]["mood"]["enum"] == ["calm", "brisk"]
    assert made["properties"]["hours"] == {"type": "integer", "default": 24}
    json.dumps(made)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="missing.toml does not exist"):
        read_toml(tmp_path / "missing.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("a = \n")
    with pytest.raises(SettingsError, match=r"bad.toml is not valid TOML: .*line 1"):
        read_toml(bad)
    bad.write_bytes(b"a = '\xff'")
    with pytest.raises(SettingsError, match="bad.toml cannot be read"):
        read_toml(bad)
