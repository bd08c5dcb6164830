"""The rules of the relay (OUT-5, OUT-6, TYPE-1)."""

from collections.abc import Callable

import pytest

from reference_server.outbox.append import MAX_PAYLOAD_BYTES
from reference_server.outbox.lifecycle import Move, Status
from reference_server.relay.decide import Decision, Reason, Row, decide


def _row(
    number: int = 1,
    *,
    domain: str = "d",
    source: str = "NodeRegistered",
    recipients: tuple[str, ...] = ("n",),
    payload: bytes = b"{}",
    key: str | None = "k",
    envelope: bytes | None = None,
    status: Status = Status.PENDING,
) -> Row:
    return Row(
        id=number,
        event_id=f"e{number}",
        domain_id=domain,
        source=source,
        recipients=recipients,
        payload=payload,
        key_id=key,
        envelope=envelope,
        status=status,
    )


def _moves(decisions: list[Decision]) -> list[tuple[Move, Reason | None]]:
    return [(decision.move, decision.reason) for decision in decisions]


PUBLISH = (Move.PUBLISH, None)
SETTLE = (Move.SETTLE, None)
NO_KEY = (Move.PARK, Reason.NO_SIGNING_KEY)

ONE_ROW: list[tuple[str, Callable[[], Row], tuple[Move, Reason | None]]] = [
    ("ordinary", _row, PUBLISH),
    ("no type on the wire", lambda: _row(source="DomainCreated", recipients=(), key=None), SETTLE),
    ("nobody to tell", lambda: _row(recipients=(), key=None), SETTLE),
    ("unknown type", lambda: _row(source="Mystery"), (Move.PARK, Reason.UNKNOWN_TYPE)),
    ("no key yet", lambda: _row(key=None), NO_KEY),
    ("key gone", lambda: _row(key="gone"), (Move.PARK, Reason.KEY_DESTROYED)),
    ("signed already", lambda: _row(key="gone", envelope=b"{}"), PUBLISH),
    ("too large", lambda: _row(payload=b"1" * (MAX_PAYLOAD_BYTES + 1)), (Move.PARK, Reason.TOO_LARGE)),
    ("bad payload", lambda: _row(payload=b'{"a": 1}'), (Move.PARK, Reason.BAD_PAYLOAD)),
    ("released", lambda: _row(status=Status.PARKED), PUBLISH),
]


@pytest.mark.parametrize(("row", "expected"), [c[1:] for c in ONE_ROW], ids=[c[0] for c in ONE_ROW])
def test_one_row(row: Callable[[], Row], expected: tuple[Move, Reason | None]) -> None:
    assert _moves(decide([row()], set(), {"k"})) == [expected]


def test_later_rows_of_a_domain_without_key_wait_and_other_domains_go() -> None:
    rows = [_row(1, key=None), _row(2, domain="other"), _row(3), _row(4, source="DomainCreated"), _row(5)]
    assert _moves(decide(rows, set(), {"k"})) == [NO_KEY, PUBLISH, NO_KEY, SETTLE, NO_KEY]


def test_rows_wait_behind_those_parked_earlier() -> None:
    assert _moves(decide([_row(1), _row(2, domain="other")], {"d"}, {"k"})) == [NO_KEY, PUBLISH]


def test_released_rows_go_before_newer_ones_of_their_domain() -> None:
    rows = [_row(1, status=Status.PARKED), _row(2, status=Status.PARKED), _row(3)]
    assert _moves(decide(rows, set(), {"k"})) == [PUBLISH] * 3
    assert _moves(decide(rows, {"d"}, {"k"})) == [PUBLISH, PUBLISH, NO_KEY]


@pytest.mark.parametrize("bad", [_row(1, source="Mystery"), _row(1, key="gone"), _row(1, payload=b"x")])
def test_a_bad_row_is_parked_alone(bad: Row) -> None:
    assert _moves(decide([bad, _row(2)], set(), {"k"}))[1] == PUBLISH
