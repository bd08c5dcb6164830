"""What no door admits, and what each of them keeps (ENV-5)."""

import pytest

from reference_server.envelope import canonical, strict


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"\\u0062":2}}',
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b'"\\ud83dx"',
        b'"\\u0000"',
        b'{"a":["\\u0000"]}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"NaN",
        b"[-Infinity]",
        b"1e999",
        b"9" * 400,
        b"1" * 5000,
        b"[1,]",
        b"01",
        b"",
        b"{} {}",
        b'"a\x01b"',
        b"\xef\xbb\xbf{}",
        b"[" * (strict.MAX_DEPTH + 1) + b"]" * (strict.MAX_DEPTH + 1),
        b'{"a":' * 100_000,
    ],
)
def test_refused(payload: bytes) -> None:
    with pytest.raises(canonical.PayloadRefused):
        canonical.compact(payload)


@pytest.mark.parametrize(
    ("payload", "compact"),
    [
        (b' { "b" : 1.0 ,\n"a":\t[ 1e3, -0 ] } ', b'{"b":1.0,"a":[1e3,-0]}'),
        (b'{"a b":"c  d\\n \\" e"}', b'{"a b":"c  d\\n \\" e"}'),
        (b'"<&>"', b'"\\u003c\\u0026\\u003e"'),
        ('"\u2028\u2029"'.encode(), b'"\\u2028\\u2029"'),
        ('"\u00e9\u6771"'.encode(), '"\u00e9\u6771"'.encode()),
        (b'"\\u00e9\\/\\ud83d\\ude00"', b'"\\u00e9\\/\\ud83d\\ude00"'),
        (b'"\\\\u0000"', b'"\\\\u0000"'),
        (b"[" * strict.MAX_DEPTH + b"]" * strict.MAX_DEPTH, b"[" * 128 + b"]" * 128),
        (b'"[[[[' + b"[" * 200 + b'"', b'"[[[[' + b"[" * 200 + b'"'),
        (b"12345678901234567890123", b"12345678901234567890123"),
    ],
)
def test_kept(payload: bytes, compact: bytes) -> None:
    assert canonical.compact(payload) == compact


@pytest.mark.parametrize(
    "payload", [b'{"a": 1}', b"1 ", b'"<"', '"\u2028"'.encode(), b'"\xff"', b"", b"1,2", b'{"a":1}x']
)
def test_not_compact(payload: bytes) -> None:
    assert not canonical.is_compact(payload)


def test_repeated_inner_names_are_a_matter_of_the_doors() -> None:
    assert canonical.is_compact(b'{"k":1,"k":2}')


def test_messages_carry_the_place_and_not_the_payload() -> None:
    with pytest.raises(canonical.PayloadRefused) as refused:
        canonical.compact(b'{"secret":"hunter2",}')
    assert "hunter2" not in str(refused.value)
    assert refused.value.where.startswith("at character")
