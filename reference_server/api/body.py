"""Request bodies: strict JSON first, then the shape that an operation asks for (ENV-5)."""

from typing import TypeVar

import msgspec

from reference_server.envelope import strict
from reference_server.errors import Refusal

T = TypeVar("T")


def document(body: bytes, *, code: str) -> object:
    """The parsed body. Raises Refusal(`code`) for what no door admits: bad JSON or UTF-8, repeated names,
    lone surrogates, U+0000, numbers that are not finite (ENV-5)."""
    try:
        return strict.parse(body)
    except strict.PayloadRefused:
        raise Refusal(code) from None


def decode(body: bytes, kind: type[T], *, code: str) -> T:
    """The body as `kind` (a msgspec Struct). Raises Refusal(`code`), also where the shape does not fit."""
    return shaped(document(body, code=code), kind, code=code)


def shaped(value: object, kind: type[T], *, code: str) -> T:
    """A parsed value as `kind`, without any coercion. Raises Refusal(`code`)."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise Refusal(code) from None
