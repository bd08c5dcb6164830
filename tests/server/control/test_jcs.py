"""RFC 8785 for the values of audit rows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.control import jcs

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
WHOLE = st.integers(-jcs.LARGEST_EXACT_INTEGER, jcs.LARGEST_EXACT_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def test_the_example_of_the_rfc() -> None:
    names = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert jcs.encode(names) == (
        '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'.encode()
    )
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"
    assert jcs.encode(text) == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()
    assert jcs.encode([None, True, False, -0, {}, []]) == b"[null,true,false,0,{},[]]"


@given(VALUES)
def test_it_reads_back_and_does_not_depend_on_the_order_of_members(value: object) -> None:
    encoded = jcs.encode(value)  # type: ignore[arg-type]
    again = json.loads(encoded)
    assert again == value
    assert jcs.encode(_reversed(again)) == encoded


@pytest.mark.parametrize(
    ("value", "refusal"), [(1.5, TypeError), (b"x", TypeError), (2**53, ValueError), ("\ud800", ValueError)]
)
def test_what_has_no_place(value: object, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        jcs.encode(value)  # type: ignore[arg-type]


def _reversed(value: object) -> jcs.Value:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(list(value))}
    if isinstance(value, list):
        return [_reversed(item) for item in value]
    return value  # type: ignore[return-value]
