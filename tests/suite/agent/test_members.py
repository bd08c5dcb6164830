"""A member is found by its name, whatever stands before it."""

import pytest

from conformance.agent import lexemes

TEXT = b'{"z":1,"a":{"y":2,"x":"3"},"ab":4}'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("z",), b"1"),
        (("a",), b'{"y":2,"x":"3"}'),
        (("a", "x"), b'"3"'),
        (("ab",), b"4"),
        (("b",), None),
        (("a", "w"), None),
    ],
)
def test_by_name_and_path(path: tuple[str, ...], found: bytes | None) -> None:
    assert lexemes.member(TEXT, *path) == found
