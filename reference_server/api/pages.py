"""Pages of lists: `limit`, and opaque signed cursors bound to their caller and list (contract_facts 1.4).

A cursor is base64url(version byte ‖ JSON of list, binding and position) + "." + base64url(HMAC-SHA-256).
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from reference_server.errors import Refusal
from reference_server.wire.messages import Request

R = TypeVar("R")

# contract_facts 1.4: 1..200, default 50; out of range is refused, never clamped.
DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_LIMIT = re.compile(r"[0-9]{1,3}")

# The first byte under the signature; another one is refused as if it were tampered with.
_VERSION = b"\x01"
# No cursor of ours is longer: a slug holds 64 characters, a list's name with its filter under 128.
_LONGEST_CURSOR = 1024


class _Content(msgspec.Struct, array_like=True):
    list_name: str
    binding: str
    position: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the request asks for: at most `limit` rows after `after` (None: from the start)."""

    limit: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled(Generic[R]):
    """The visible rows of a page. `last` is where the next one starts; `hidden`: rows were filtered out."""

    rows: Sequence[R]
    last: str | None
    hidden: bool


class Pages:
    """Makes and reads cursors with one key of the server."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def read(self, request: Request, *, list_name: str, caller: str) -> Page:
        """The page that the query asks for.

        `list_name` names the list with its filters. Raises Refusal: `invalid_limit`, `invalid_cursor`, or
        `cursor_binding_mismatch` where another caller's cursor is sent.
        """
        return Page(limit=_limit(request.query), after=self._after(request.query, list_name, caller))

    def cursor(self, *, list_name: str, caller: str, position: str) -> str:
        """The cursor after `position`."""
        content = _Content(list_name, self._binding(caller), position)
        signed = _VERSION + msgspec.json.encode(content)
        return f"{_text(signed)}.{_text(self._mac(signed))}"

    def _after(self, query: Mapping[str, tuple[str, ...]], list_name: str, caller: str) -> str | None:
        given = query.get("cursor", ())
        if not given:
            return None
        content = self._opened(given[0]) if len(given) == 1 else None
        if content is None or content.list_name != list_name:
            raise Refusal("invalid_cursor")
        if not hmac.compare_digest(content.binding, self._binding(caller)):
            raise Refusal("cursor_binding_mismatch")
        return content.position

    def _opened(self, cursor: str) -> _Content | None:
        signed_text, _, mac_text = cursor.partition(".")
        if len(cursor) > _LONGEST_CURSOR:
            return None
        signed, mac = _octets(signed_text), _octets(mac_text)
        if not hmac.compare_digest(mac, self._mac(signed)) or signed[:1] != _VERSION:
            return None
        return msgspec.json.decode(signed[1:], type=_Content)

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, hashlib.sha256)

    def _binding(self, caller: str) -> str:
        return hmac.new(self._key, b"caller\0" + caller.encode(), hashlib.sha256).hexdigest()[:32]


async def fill(
    page: Page,
    *,
    read: Callable[[str | None, int], Awaitable[Sequence[R]]],
    position: Callable[[R], str],
    visible: Callable[[R], Awaitable[bool]],
) -> Filled[R]:
    """Collect rows that the caller may see until the page is full or the list ends.

    `read(after, count)` answers up to `count` rows in order. No position of a hidden row becomes a cursor, so
    a cursor tells nothing of what its caller may not see.
    """
    rows: list[R] = []
    after, hidden = page.after, False
    while True:
        chunk = await read(after, MAX_LIMIT)
        for row in chunk:
            if not await visible(row):
                hidden = True
            elif len(rows) == page.limit:
                return Filled(rows=rows, last=position(rows[-1]), hidden=hidden)
            else:
                rows.append(row)
        if len(chunk) < MAX_LIMIT:
            return Filled(rows=rows, last=None, hidden=hidden)
        after = position(chunk[-1])


async def everything(_row: object) -> bool:
    """`visible` for a list whose caller was admitted to all of it."""
    return True


def _limit(query: Mapping[str, tuple[str, ...]]) -> int:
    given = query.get("limit", ())
    if not given:
        return DEFAULT_LIMIT
    if len(given) != 1 or not _LIMIT.fullmatch(given[0]) or not 1 <= int(given[0]) <= MAX_LIMIT:
        raise Refusal("invalid_limit")
    return int(given[0])


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes:
    """What a text of ours decodes to; for any other text, bytes that no signature covers."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return octets if _text(octets) == text else b""
