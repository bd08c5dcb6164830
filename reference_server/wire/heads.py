"""What a request head must not contain, and what its target says; stricter than h11 where that is safer."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote_to_bytes

from reference_server.errors import Refusal

Headers = Sequence[tuple[bytes, bytes]]

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_LENGTHS = re.compile(rb"\ncontent-length[ \t]*:", re.IGNORECASE)
_VERSIONS = frozenset({b"1.0", b"1.1"})
# More parameters than any operation reads.
_QUERY_FIELDS = 64

_NO_QUERY: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def check_bytes(head: bytes) -> None:
    """Refuse what two readers may take for different things: bare line ends, foldings, a second length.

    Raises Refusal (400). RFC 9112 sections 2.2, 5.2, 6.3.
    """
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise Refusal(None, status=400)
    if b"\n " in head or b"\n\t" in head or len(_LENGTHS.findall(head)) > 1:
        raise Refusal(None, status=400)


def check_headers(headers: Headers, http_version: bytes) -> None:
    """Refuse two ways to find the body's end (RFC 9112 section 6.1), a Host that is none, other versions.

    Raises Refusal: 400, 505.
    """
    if http_version not in _VERSIONS:
        raise Refusal(None, status=505)
    names = [name for name, _ in headers]
    if b"transfer-encoding" in names and (b"content-length" in names or http_version != b"1.1"):
        raise Refusal(None, status=400)
    for name, value in headers:
        if name == b"host" and _HOST.fullmatch(value) is None:
            raise Refusal(None, status=400)


def split_target(target: bytes) -> tuple[list[bytes], bytes]:
    """The path's segments, still escaped, and the query of a request target. Raises Refusal (400)."""
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        target = target[absolute.end() :] or b"/"
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or b"#" in target or _BAD_ESCAPE.search(target):
        raise Refusal(None, status=400)
    return path[1:].split(b"/"), query


def segment_text(segment: bytes) -> str:
    """One path segment, unescaped. Raises Refusal (400) for what is not UTF-8 or holds NUL."""
    if b"%" not in segment:
        return segment.decode("ascii")
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Refusal(None, status=400) from None
    if "\0" in text:
        raise Refusal(None, status=400)
    return text


def query_of(query: bytes) -> Mapping[str, tuple[str, ...]]:
    """The query's parameters, each with its values in order. Raises Refusal (400)."""
    if not query:
        return _NO_QUERY
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_QUERY_FIELDS
        )
    except ValueError:
        raise Refusal(None, status=400) from None
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found
