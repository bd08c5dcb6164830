"""A strict reader of JSON text that keeps places: what a value is matters less than where its bytes stand.

Standard library parsers throw the spelling away, and the spelling is what is signed (ENV-5). RFC 8259.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

_SPACE = re.compile(rb"[ \t\n\r]*")
_TOKEN = re.compile(
    rb'(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    rb"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    rb"|(?P<word>true|false|null)"
    rb"|(?P<mark>[{}\[\],:])"
)

# Far deeper than any payload of the contract; a deeper one is refused, never followed.
MAX_DEPTH = 512


class NotJson(ValueError):
    """The bytes are not JSON text; `at` is the offset of the first byte that does not fit."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(f"expected {expected} at byte {at}")
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexeme:
    """One token: `kind` is string, number, word or the mark itself; `depth` counts the open containers."""

    at: int
    end: int
    kind: str
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an object: offsets into the text; `name` is the raw string with its quotes."""

    name: bytes
    at: int
    value_at: int
    value_end: int


class _Want(Enum):
    VALUE = auto()
    VALUE_OR_END = auto()  # after [
    NAME_OR_END = auto()  # after {
    NAME = auto()  # after , in an object
    COLON = auto()
    NEXT = auto()  # a comma or the end of the container


# What may stand where; an absent kind is the syntax error. Containers open in place of any value.
_ALLOWED = MappingProxyType(
    {
        _Want.VALUE: frozenset({"string", "number", "word", "{", "["}),
        _Want.VALUE_OR_END: frozenset({"string", "number", "word", "{", "[", "]"}),
        _Want.NAME_OR_END: frozenset({"string", "}"}),
        _Want.NAME: frozenset({"string"}),
        _Want.COLON: frozenset({":"}),
        _Want.NEXT: frozenset({",", "}", "]"}),
    }
)
_OPENS = MappingProxyType({"{": _Want.NAME_OR_END, "[": _Want.VALUE_OR_END})
_CLOSES = MappingProxyType({"}": "{", "]": "["})
_AFTER_COMMA = MappingProxyType({"{": _Want.NAME, "[": _Want.VALUE})


def lexemes(text: bytes, at: int = 0) -> Iterator[Lexeme]:
    """The tokens of the one value at `at`, checked against the grammar as they come; raises NotJson."""
    open_marks: list[str] = []
    want = _Want.VALUE
    while True:
        lexeme = _next(text, at, want, len(open_marks))
        at = lexeme.end
        kind = lexeme.kind
        if kind in _CLOSES and (not open_marks or open_marks.pop() != _CLOSES[kind]):
            raise NotJson(lexeme.at, "the end of the container that was opened last")
        yield lexeme
        if kind in _OPENS:
            open_marks.append(kind)
            want = _OPENS[kind]
        else:
            want = _wanted_after(kind, want, open_marks)
        if len(open_marks) > MAX_DEPTH:
            raise NotJson(lexeme.at, f"at most {MAX_DEPTH} levels")
        if not open_marks:
            return


def members(text: bytes, at: int = 0) -> tuple[tuple[Member, ...], int]:
    """The members of the object at `at`, in order, and the offset behind it; raises NotJson."""
    found: list[Member] = []
    name: Lexeme | None = None
    value_at = end = at
    first = True
    for lexeme in lexemes(text, at):
        if first and lexeme.kind != "{":
            raise NotJson(lexeme.at, "an object")
        first = False
        if lexeme.depth == 1 and name is None and lexeme.kind == "string":
            name, value_at = lexeme, -1
        elif name is not None and lexeme.kind != ":" and value_at < 0:
            value_at = lexeme.at
        elif name is not None and lexeme.depth == 1 and lexeme.kind in (",", "}"):
            found.append(_member(text, name, value_at, end))
            name = None
        end = lexeme.end
    return tuple(found), end


def items(text: bytes, at: int = 0) -> tuple[bytes, ...]:
    """The bytes of each item of the array at `at`, as spelled; raises NotJson."""
    found: list[bytes] = []
    start: int | None = None
    end = at
    for lexeme in lexemes(text, at):
        if lexeme.depth == 0 and lexeme.kind not in ("[", "]"):
            raise NotJson(lexeme.at, "an array")
        if lexeme.depth == 1 and lexeme.kind in (",", "]") and start is not None:
            found.append(text[start:end])
            start = None
        elif lexeme.depth >= 1 and start is None:
            start = lexeme.at
        end = lexeme.end
    return tuple(found)


def member(text: bytes, *path: str) -> bytes | None:
    """The bytes of the member at that path of nested objects, as spelled, or None; raises NotJson."""
    for name in path:
        wanted = f'"{name}"'.encode()
        found = next((each for each in members(text)[0] if each.name == wanted), None)
        if found is None:
            return None
        text = text[found.value_at : found.value_end]
    return text


def skip(text: bytes, at: int) -> int:
    """The offset of the first byte from `at` that is no white space."""
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _member(text: bytes, name: Lexeme, value_at: int, end: int) -> Member:
    return Member(name=text[name.at : name.end], at=name.at, value_at=value_at, value_end=end)


def _next(text: bytes, at: int, want: _Want, depth: int) -> Lexeme:
    at = skip(text, at)
    match = _TOKEN.match(text, at)
    if match is None:
        raise NotJson(at, want.name.lower())
    group = match.lastgroup or ""
    kind = match.group().decode("ascii") if group == "mark" else group
    if kind not in _ALLOWED[want]:
        raise NotJson(at, want.name.lower())
    return Lexeme(at=at, end=match.end(), kind=kind, depth=depth)


def _wanted_after(kind: str, want: _Want, open_marks: list[str]) -> _Want:
    if kind == ",":
        return _AFTER_COMMA[open_marks[-1]]
    if kind == ":":
        return _Want.VALUE
    return _Want.COLON if want in (_Want.NAME, _Want.NAME_OR_END) and kind == "string" else _Want.NEXT
