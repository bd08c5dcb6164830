"""The strict reader of JSON against the standard library's, and where it says that things stand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.agent import lexemes

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_every_value_is_read_to_its_end(value: Any, indent: int | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    assert list(lexemes.lexemes(text))[-1].end == len(text)


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 1]))
def test_members_are_where_they_stand(value: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    found, end = lexemes.members(text)
    assert end == len(text)
    assert [json.loads(each.name) for each in found] == list(value)
    assert [json.loads(text[each.value_at : each.value_end]) for each in found] == list(value.values())
    assert all(text[each.at : each.at + len(each.name)] == each.name for each in found)
    assert all(
        text[each.value_at : each.value_end].strip() == text[each.value_at : each.value_end] for each in found
    )


@given(st.lists(VALUES), st.sampled_from([None, 1]))
def test_items_as_spelled(value: list[Any], indent: int | None) -> None:
    found = lexemes.items(json.dumps(value, indent=indent).encode())
    assert [json.loads(each) for each in found] == value
    assert all(each.strip() == each for each in found)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        (b"", 0, "value"),
        (b"  ", 2, "value"),
        (b"}", 0, "value"),
        (b"]", 0, "value"),
        (b"{]", 1, "name_or_end"),
        (b"[}", 1, "value_or_end"),
        (b"[1}", 2, "the end of the container that was opened last"),
        (b'{"a":1]', 6, "the end of the container that was opened last"),
        (b"[1,]", 3, "value"),
        (b"[,1]", 1, "value_or_end"),
        (b"[1 2]", 3, "next"),
        (b'{"a":1,}', 7, "name"),
        (b'{"a" 1}', 5, "colon"),
        (b'{"a","b"}', 4, "colon"),
        (b"{1:2}", 1, "name_or_end"),
        (b'{"a":}', 5, "value"),
        (b'{"a"::1}', 5, "value"),
        (b'{"a":1:2}', 6, "next"),
        (b'{"a":1 "b":2}', 7, "next"),
        (b'{"a":1,2:3}', 7, "name"),
        (b"[01]", 2, "next"),
        (b"nul", 0, "value"),
        (b"+1", 0, "value"),
        (b'"\\x"', 0, "value"),
        (b'"\x01"', 0, "value"),
        (b"[[1]", 4, "next"),
    ],
)
def test_what_does_not_fit_and_where(text: bytes, at: int, expected: str) -> None:
    with pytest.raises(lexemes.NotJson) as refused:
        list(lexemes.lexemes(text))
    assert (refused.value.at, str(refused.value)) == (at, f"expected {expected} at byte {at}")


def test_one_value_ends_where_it_ends() -> None:
    assert [
        (each.at, each.end, each.kind, each.depth) for each in lexemes.lexemes(b' [7,{"a":true}] x', 0)
    ] == [
        (1, 2, "[", 0),
        (2, 3, "number", 1),
        (3, 4, ",", 1),
        (4, 5, "{", 1),
        (5, 8, "string", 2),
        (8, 9, ":", 2),
        (9, 13, "word", 2),
        (13, 14, "}", 2),
        (14, 15, "]", 1),
    ]


def test_as_deep_as_it_goes_and_no_deeper() -> None:
    deepest = b"[" * 512 + b"]" * 512
    assert list(lexemes.lexemes(deepest))[-1].end == 1024
    with pytest.raises(lexemes.NotJson, match="at most 512 levels at byte 512"):
        list(lexemes.lexemes(b"[" + deepest + b"]"))


@pytest.mark.parametrize("text", [b"[1]", b'"a"', b"7", b" null"])
def test_members_are_an_objects(text: bytes) -> None:
    with pytest.raises(lexemes.NotJson, match="expected an object"):
        lexemes.members(text)


@pytest.mark.parametrize("text", [b'{"a":1}', b'"a"', b"7", b"{}"])
def test_items_are_an_arrays(text: bytes) -> None:
    with pytest.raises(lexemes.NotJson, match="expected an array"):
        lexemes.items(text)


def test_a_place_in_a_longer_text() -> None:
    text = b'xx {"a": [1, {"b":2}] , "c":"d"} yy'
    found, end = lexemes.members(text, 2)
    assert end == 32
    assert [(each.name, each.at, text[each.value_at : each.value_end]) for each in found] == [
        (b'"a"', 4, b'[1, {"b":2}]'),
        (b'"c"', 24, b'"d"'),
    ]
    assert lexemes.items(text, 9) == (b"1", b'{"b":2}')
    assert lexemes.skip(text, 2) == 3 and lexemes.skip(text, 3) == 3
    assert lexemes.members(b"  {}", 1) == ((), 4) and lexemes.items(b" []", 0) == ()


def test_a_member_by_its_path() -> None:
    text = b'{"a":{"b":{"c":7}},"b":{"a":1}}'
    assert lexemes.member(text, "a", "b", "c") == b"7" and lexemes.member(text) == text
    assert lexemes.member(text, "b", "a") == b"1"
    assert lexemes.member(text, "a", "c") is None and lexemes.member(text, "z", "b") is None
