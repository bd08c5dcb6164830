"""JSON as every door of the server admits it: nothing that two readers understand differently (ENV-5)."""

import json
import math
import re
from typing import Never

# Deep enough for every published payload (the vectors go to 64), far from any reader's recursion limit.
MAX_DEPTH = 128

# Longer integers than this may be infinite as IEEE 754 doubles, whose largest has 309 digits.
_SURELY_FINITE_DIGITS = 308

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE_OR_NUL = re.compile("[\ud800-\udfff\x00]")


class PayloadRefused(ValueError):
    """Bytes that no door admits: `reason` says what is wrong, `where` the place."""

    def __init__(self, reason: str, *, where: str) -> None:
        super().__init__(f"{reason} {where}")
        self.reason = reason
        self.where = where


def parse(document: bytes) -> object:
    """The value of a JSON document. Raises PayloadRefused for the list in ENV-5."""
    try:
        text = document.decode()
    except UnicodeDecodeError as failure:
        raise PayloadRefused("invalid UTF-8", where=f"at byte {failure.start}") from None
    _check_depth(document)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as failure:
        raise PayloadRefused("malformed JSON", where=f"at character {failure.pos}") from None
    except RecursionError:  # the limit counts the caller's frames too
        raise PayloadRefused("nesting too deep", where="in the document") from None
    if _SUSPICIOUS_ESCAPE.search(text) is not None:
        _check_texts(value)
    return value


def _check_depth(document: bytes) -> None:
    if document.count(b"[") + document.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for byte in _STRING.sub(b"", document):
        if byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise PayloadRefused("nesting too deep", where=f"below level {MAX_DEPTH}")
        elif byte in b"]}":
            depth -= 1


def _check_texts(value: object) -> None:
    if isinstance(value, str):
        found = _SURROGATE_OR_NUL.search(value)
        if found is not None:
            raise PayloadRefused(
                "a lone surrogate or U+0000", where=f"at character {found.start()} of a string"
            )
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in members if names.count(name) > 1)
        raise PayloadRefused("a repeated member name", where=f"({twice[:64]!r})")
    return members


def _finite(lexeme: str) -> float:
    number = float(lexeme)
    if math.isinf(number):
        raise PayloadRefused("a number that is not finite", where=f"({lexeme[:32]})")
    return number


def _integer(lexeme: str) -> int | float:
    return int(lexeme) if len(lexeme) <= _SURELY_FINITE_DIGITS else _finite(lexeme)


def _no_constant(name: str) -> Never:
    raise PayloadRefused("a number that is not finite", where=f"({name})")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_finite, parse_int=_integer, parse_constant=_no_constant
)
