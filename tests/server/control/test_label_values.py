"""Value schemas of labels: each kind, and what is no schema."""

import time

import msgspec
import pytest

from reference_server.control import label_values
from reference_server.control.label_values import ValueSchema


def schema(**members: object) -> ValueSchema:
    return msgspec.convert(members, ValueSchema)


@pytest.mark.parametrize(
    ("members", "good", "bad"),
    [
        ({"kind": "string", "max_len": 3}, ["", "abc", "éü漢"], ["abcd", 1, None, ["a"]]),
        ({"kind": "string"}, ["x" * 4096], ["x" * 4097]),
        ({"kind": "enum", "values": ["a", "b"]}, ["a", "b"], ["c", "", 1]),
        ({"kind": "numeric", "min": 1, "max": 2.5}, [1, 2, 2.5], [0.99, 3, "1", True]),
        ({"kind": "numeric"}, [-5, 1e300], ["x", False]),
        ({"kind": "regex", "pattern": "a+|b"}, ["aa", "b"], ["ab", "", "a\n", "xa", 1]),
        ({"kind": "regex", "pattern": "a*", "max_len": 2}, ["aa"], ["aaa"]),
        ({"kind": "boolean"}, [True, False], [0, "true", None]),
    ],
)
def test_kinds(members: dict[str, object], good: list[object], bad: list[object]) -> None:
    label_values.check(schema(**members))
    assert [value for value in good if not label_values.admits(schema(**members), value)] == []
    assert [value for value in bad if label_values.admits(schema(**members), value)] == []


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "colour"},
        {"kind": "enum"},
        {"kind": "enum", "values": []},
        {"kind": "enum", "values": ["a", "a"]},
        {"kind": "numeric", "min": 2, "max": 1},
        {"kind": "string", "max_len": 0},
        {"kind": "string", "max_len": 5000},
        {"kind": "string", "pattern": "a"},
        {"kind": "regex"},
        {"kind": "regex", "pattern": "("},
        {"kind": "regex", "pattern": "a)|(b"},
        {"kind": "regex", "pattern": "(?=a)"},
        {"kind": "regex", "pattern": "a" * 513},
        {"kind": "boolean", "values": ["a"]},
    ],
)
def test_no_schemas(members: dict[str, object]) -> None:
    with pytest.raises(label_values.BadValueSchema):
        label_values.check(schema(**members))


def test_a_pattern_made_to_blow_up_takes_no_time() -> None:
    began = time.perf_counter()
    assert not label_values.admits(schema(kind="regex", pattern="(a+)+"), "a" * 4000 + "b")
    assert time.perf_counter() - began < 1
