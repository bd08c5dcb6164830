"""What becomes of each claimed row: one pure function over one page of rules (OUT-5, OUT-6, TYPE-1)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reference_server.envelope import canonical
from reference_server.outbox import append, parked, wire_types
from reference_server.outbox.lifecycle import Move, Status


class Reason(StrEnum):
    """Why a row is parked; the first is lifted by provisioning a key, the others by an operator."""

    NO_SIGNING_KEY = parked.NO_SIGNING_KEY
    UNKNOWN_TYPE = "unknown_type"
    KEY_DESTROYED = "signing_key_destroyed"
    BAD_PAYLOAD = "bad_payload"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One outbox row as claimed; `recipients` are the Nodes still owed.

    `sealed_seed` is the private part of its key, while that exists.
    """

    id: int
    event_id: str
    domain_id: str
    source: str
    recipients: Sequence[str]
    payload: bytes
    key_id: str | None
    envelope: bytes | None
    status: Status
    sealed_seed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A row and its move; `reason` belongs to PARK alone."""

    row: Row
    move: Move
    reason: Reason | None = None


def decide(
    rows: Sequence[Row], domains_with_parked: Collection[str], keys_present: Collection[str]
) -> list[Decision]:
    """The move of each row, in order.

    `domains_with_parked` have rows waiting for a key beyond those in `rows`; `keys_present` can sign. A row
    that cannot leave holds up nobody but, where its Domain has no key, that Domain's later rows (OUT-5).
    """
    waiting = set(domains_with_parked)
    decisions = []
    for row in rows:
        decision = _decide(row, waiting, keys_present)
        if decision.reason is Reason.NO_SIGNING_KEY:
            waiting.add(row.domain_id)
        decisions.append(decision)
    return decisions


def _decide(row: Row, waiting: Collection[str], keys_present: Collection[str]) -> Decision:
    try:
        family = wire_types.family_of(row.source)
    except wire_types.UnknownSource:
        return Decision(row=row, move=Move.PARK, reason=Reason.UNKNOWN_TYPE)
    if family is None or not row.recipients:
        return Decision(row=row, move=Move.SETTLE)  # key or no key (TYPE-1)
    fault = _fault(row, waiting, keys_present)
    return Decision(row=row, move=Move.PUBLISH if fault is None else Move.PARK, reason=fault)


def _fault(row: Row, waiting: Collection[str], keys_present: Collection[str]) -> Reason | None:
    if len(row.payload) > append.MAX_PAYLOAD_BYTES:
        return Reason.TOO_LARGE
    if not canonical.is_compact(row.payload):
        return Reason.BAD_PAYLOAD
    if row.key_id is None or (row.status is Status.PENDING and row.domain_id in waiting):
        return Reason.NO_SIGNING_KEY
    if row.envelope is None and row.key_id not in keys_present:
        return Reason.KEY_DESTROYED
    return None
