"""The second bus's own parts, where a mistake would not show on the wire at once."""

import base64
import json
from datetime import UTC, datetime

import pytest
from nacl.signing import SigningKey

from fixtures.second import clock, envelope, spelling
from fixtures.second.log import Log


def filled(count: int) -> Log:
    log = Log()
    for number in range(count):
        log.append("ab"[number % 2], "x", b"{}")
    return log


def test_a_reading_says_how_far_it_came() -> None:
    log = filled(5)
    entries, through = log.read(1, "a")
    assert [each.sequence for each in entries] == [3, 5] and through == 5
    assert log.read(5, "a") == ([], 5)


def test_an_evicted_log_goes_on_counting() -> None:
    log = filled(4)
    log.evict(2)
    assert (log.low, log.high) == (3, 4)
    assert [log.inside(each) for each in range(1, 6)] == [False, True, True, True, False]
    log.evict(99)
    assert (log.low, log.high) == (5, 4) and log.inside(4) and not log.inside(3)
    log.append("a", "x", b"{}")
    assert [each.sequence for each in log.read(4, "a")[0]] == [5]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"\xff"}',
        b'"\\ud800"',
        b'"\\u0000"',
        b'{"a":1,"a":2}',
        b"NaN",
        b"1e999",
        b"{}{}",
        b"[" * 100_000,
    ],
)
def test_what_no_door_admits(data: bytes) -> None:
    with pytest.raises(spelling.NotStrict):
        spelling.read(data)


def test_cutting_the_signature_out_leaves_what_was_signed() -> None:
    key = envelope.Key(id="k", private=SigningKey.generate(), created_at=datetime.now(UTC))
    event = envelope.Event(id="i", type="t", domain_id="d", payload=spelling.write({"a": "<&\u2028é"}))
    wire = envelope.sealed(event, key, "2026-01-01T00:00:00Z")
    signature = json.loads(wire)["signature"]
    canonical = wire.replace(b',"signature":"' + signature.encode() + b'"', b"")
    key.private.verify_key.verify(canonical, base64.b64decode(signature))
    assert b'{"a":"\\u003c\\u0026\\u2028' + "é".encode() in canonical


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "2026-01-02T03:04:05Z"), (250_000, "2026-01-02T03:04:05.25Z"), (1, "05.000001Z")]
)
def test_the_shortest_fraction(micros: int, text: str) -> None:
    assert clock.spelled(datetime(2026, 1, 2, 3, 4, 5, micros, UTC)).endswith(text)
