"""The operators that configuration names: their token hashes and what they were granted (CRED-3)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reference_server.control import credentials
from reference_server.control.relations import Grant

# A bearer must be sendable as one header value (RFC 9110 token68 and a little more), and worth guessing at.
_TOKEN = re.compile(r"[!-~]{16,512}")


class OperatorRefused(ValueError):
    """An operator that cannot be taken as configured; the text names it and never its token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator: a name, the keyed hash of the token, the grants."""

    name: str
    token_hash: bytes
    grants: tuple[Grant, ...]


class Operators:
    """Every operator, by token or name; as many as configuration lists, nobody enrols at run time."""

    __slots__ = ("_by_name", "_by_token", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._by_name: dict[str, Operator] = {}
        self._by_token: dict[bytes, Operator] = {}

    def enrol(self, *, name: str, token: str, grants: Sequence[Grant]) -> Operator:
        """Take an operator in. Raises OperatorRefused for a name or token in use or of a wrong form."""
        if not name or name in self._by_name:
            raise OperatorRefused(f"operator {name!r} is named twice or not at all")
        if not _TOKEN.fullmatch(token):
            raise OperatorRefused(f"the token of {name!r} is not 16 to 512 printable ASCII characters")
        if token.startswith(credentials.NSK_PREFIX.decode()) or credentials.is_bare_nsk(token.encode()):
            raise OperatorRefused(f"the token of {name!r} looks like a Node credential")
        hashed = credentials.token_hash(self._key, token.encode())
        if hashed in self._by_token:
            raise OperatorRefused(f"the token of {name!r} is another operator's")
        operator = Operator(name=name, token_hash=hashed, grants=tuple(grants))
        self._by_name[name] = self._by_token[hashed] = operator
        return operator

    def of_token(self, token: bytes) -> Operator | None:
        """Whose token this is. It is found by a keyed hash, so the time tells nothing about the token."""
        return self._by_token.get(credentials.token_hash(self._key, token))

    def grants_of(self, name: str) -> tuple[Grant, ...]:
        """What the operator of this name was granted; nothing where there is none."""
        operator = self._by_name.get(name)
        return () if operator is None else operator.grants

    def __iter__(self) -> Iterator[Operator]:
        return iter(self._by_name.values())
