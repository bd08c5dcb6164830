"""Each way of breaking an envelope: its clause, its place among the bytes, and what is said of it."""

import base64

import pytest

from conformance.agent import envelope, mint

SEED = bytes(range(32))
KEYS = {"key-1": envelope.public_key(SEED)}
HEADER = {
    "id": "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a2",
    "type": "node_state_updated",
    "scope": "node",
    "key_id": "key-1",
    "issued_at": "2026-01-02T03:04:05.6Z",
}
GOOD = mint.wire(HEADER, b'{"a":1}', SEED)
PAYLOAD_AT = GOOD.index(b'{"a":1}')
SIGNATURE_AT = GOOD.index(b'"signature":') + 12


def told(data: bytes) -> list[tuple[str, int, str]]:
    return [(each.clause, each.at, each.seen) for each in envelope.judge(data, KEYS).violations]


def signed(payload: bytes = b'{"a":1}', **header: str) -> bytes:
    return mint.wire({**HEADER, **header}, payload, SEED)


def about(data: bytes, at: int) -> str:
    return f"…{data[max(at - 24, 0) : at + 24].decode('utf-8', 'replace')}…"


def test_a_good_one() -> None:
    reading = envelope.judge(GOOD, KEYS)
    assert reading.violations == () and reading.envelope is not None
    assert reading.envelope.payload == b'{"a":1}'
    assert reading.envelope.canonical == GOOD[: GOOD.rindex(b",")] + b"}"
    assert {name: getattr(reading.envelope, name) for name in HEADER} == HEADER


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}\xff", ("SSE-5", 2, "bytes that are no UTF-8")),
        (b'{"a":1 2', ("ENV-1", 7, "expected next at byte 7")),
        (b"[1]", ("ENV-1", 0, "expected an object at byte 0")),
        (b"{}", ("ENV-1", 0, "members none")),
        (b'{"a":1,"b":2}', ("ENV-1", 0, "members a, b")),
        (GOOD + b"xyz", ("ENV-1", len(GOOD), "3 bytes after the object")),
    ],
)
def test_unreadable(data: bytes, expected: tuple[str, int, str]) -> None:
    assert told(data) == [expected] and envelope.read(data).envelope is None


@pytest.mark.parametrize(
    ("was", "becomes", "clause", "offset", "seen"),
    [
        (b'"node",', b' "node",', "ENV-2", 0, "white space: {about}"),
        (b'{"a":1}', b'{ "a":1}', "ENV-5", 1, "white space: {about}"),
        (b'{"a":1}', b'{"a":1 }', "ENV-5", 6, "white space: {about}"),
        (b'{"a":1}', b'{"a":1} ', "ENV-2", 7, "white space: {about}"),
        (b'{"a":1}', b' {"a":1}', "ENV-2", 0, "white space: {about}"),
        (b'"node",', b"7,", "ENV-1", 0, "scope that is no string"),
        (b'"node",', b'"nod\\u0065",', "ENV-4", 0, "scope spelled otherwise: {about}"),
        (b'{"a":1}', b'{"a":"<"}', "ENV-4", 6, "raw '<' in the payload: {about}, where \\u003c should stand"),
        (
            b'{"a":1}',
            '{"a":"\u2028"}'.encode(),
            "ENV-4",
            6,
            "raw '\\u2028' in the payload: {about}, where \\u2028 should stand",
        ),
        (b"05.6Z", b"05.60Z", "ENV-6", -20, "issued_at '2026-01-02T03:04:05.60Z'"),
    ],
)
def test_spelling(was: bytes, becomes: bytes, clause: str, offset: int, seen: str) -> None:
    at = GOOD.index(was) + offset
    if clause == "ENV-6":
        at = GOOD.index(b'"2026')
    data = GOOD.replace(was, becomes)
    assert (clause, at, seen.replace("{about}", about(data, at))) in told(data)


def test_a_lone_surrogate_is_no_string() -> None:
    data = GOOD.replace(b'"node",', b'"\\ud800",')
    assert ("ENV-1", GOOD.index(b'"node",'), "scope that is no string") in told(data)


def test_a_signature_spelled_otherwise() -> None:
    text = GOOD[SIGNATURE_AT:-1]
    escaped = text.replace(text[1:2], b"\\u%04x" % text[1], 1)
    assert told(GOOD.replace(text, escaped)) == [
        ("ENV-3", SIGNATURE_AT, f"signature spelled {escaped.decode()}")
    ]


@pytest.mark.parametrize("text", [b'"abc"', b"7", b'"' + b"A" * 200 + b'"', b'"' + b"A" * 88 + b'"'])
def test_no_signature_at_all(text: bytes) -> None:
    data = GOOD.replace(GOOD[SIGNATURE_AT:-1], text)
    assert told(data) == [("ENV-7", SIGNATURE_AT, f"signature {text[:120].decode()}")]


def test_another_ones_signature() -> None:
    assert told(signed(key_id="key-2")) == [("ENV-8", 0, "key_id 'key-2', which is not trusted")]
    forged = GOOD.replace(b'{"a":1}', b'{"a":2}')
    assert told(forged) == [("ENV-7", 0, "a signature that is not 'key-1''s")]
    assert envelope.judge(forged, KEYS).envelope is not None


def test_base64_has_one_spelling() -> None:

    raw = bytes(range(64))
    text = base64.b64encode(raw).decode()
    assert envelope.signature_bytes(text) == raw
    loose = text[:-3] + chr(ord(text[-3]) + 1) + "=="  # the same bytes, unused bits set
    assert base64.b64decode(loose, validate=True) == raw
    tight = text[:-3] + chr(ord(text[-3]) - 1) + "=="
    for other in (loose, tight, text[:-1], base64.b64encode(raw + b"1").decode(), text + "\n", "\u00e9"):
        assert envelope.signature_bytes(other) is None, other


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02T03:04:05.6Z", 600_000),
        ("2026-01-02T03:04:05.123456Z", 123_456),
        ("2026-01-02T03:04:05.123456789Z", 123_456),
        ("2026-01-02T03:04:05.000000001Z", 0),
        ("2026-01-02T03:04:05.0Z", None),
        ("2026-01-02T03:04:05.1234567891Z", None),
        ("2026-02-30T03:04:05Z", None),
        ("2026-01-02T03:04:05+00:00", None),
    ],
)
def test_instants(text: str, microsecond: int | None) -> None:
    found = envelope.instant(text)
    assert (None if found is None else found.microsecond) == microsecond


def test_strings_of_the_canonical_bytes() -> None:
    plain = "".join(
        map(chr, (*range(0x20, 0x22), *range(0x23, 0x26), 0x27, 0x3B, 0x3D, 0x3F, 0x5B, 0x7F, 0x2027, 0x202A))
    )
    assert envelope.spelled(plain) == f'"{plain}"'
    assert envelope.spelled('"\\\b\f\n\r\t') == '"\\"\\\\\\b\\f\\n\\r\\t"'
    assert envelope.spelled("\0\x1f<>&\u2028\u2029") == '"\\u0000\\u001f\\u003c\\u003e\\u0026\\u2028\\u2029"'


def test_what_stands_about_an_offset() -> None:
    data = bytes(range(65, 65 + 60))
    assert envelope.around(data, 30) == f"…{data[6:54].decode()}…"
    assert envelope.around(data, 3) == f"…{data[:27].decode()}…"


def test_keys_that_are_none() -> None:
    assert not envelope.signed(b"m", envelope.sign(b"m", SEED), b"short")
    assert not envelope.signed(b"m", b"short", KEYS["key-1"])
    assert envelope.signed(b"m", envelope.sign(b"m", SEED), KEYS["key-1"])
