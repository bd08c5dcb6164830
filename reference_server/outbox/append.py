"""The one door into the outbox, inside the producer's transaction (OUT-1, OUT-6, OUT-10, OUT-11)."""

from collections.abc import Sequence

from sqlalchemy import Insert, bindparam, insert, select, update

from reference_server.envelope import canonical, model
from reference_server.outbox import schemas, wire_types
from reference_server.outbox.lifecycle import Status
from reference_server.ports import Change, SignedBody
from reference_server.store import node_bytes
from reference_server.store.tables import outbox_events, signing_keys

# OUT-6: the largest wire form that ever leaves.
MAX_WIRE_BYTES = 512 * 1024

# What the wire form adds to a payload: member names, id, type, scope, time, signature: under 400 bytes; and a
# key id, which may come later than the row (OUT-11) and is under 100.
_ENVELOPE_BYTES = 512
MAX_PAYLOAD_BYTES = MAX_WIRE_BYTES - _ENVELOPE_BYTES

_ROTATION = wire_types.source_for(wire_types.WireType.SIGNING_KEY_ROTATED)

# Built once: building a statement costs more than running it. A Domain's lock keeps its active key as it is.
_SIGNED = insert(outbox_events).returning(outbox_events.c.id)
_ACTIVE_KEY = select(signing_keys.c.key_id).where(
    signing_keys.c.domain_id == bindparam("of_domain"), signing_keys.c.retired_at.is_(None)
)
_TO_SIGN = _SIGNED.values(domain_id=bindparam("of_domain"), key_id=_ACTIVE_KEY.scalar_subquery())


class AppendRefused(ValueError):
    """A row that could never leave, or that its producer must not write: a defect of the caller."""


def append(change: Change, *, domain_id: str, source: str, recipients: Sequence[str], payload: bytes) -> str:
    """Write one row for some Nodes of a Domain whose lock is held; answers its event id.

    `source` is an outbox type of wire_types, `payload` JSON that satisfies its schema. The Domain's active
    key is stamped on the row; without one it waits (OUT-5). Raises AppendRefused, and the producer's
    transaction falls with it.
    """
    if source == _ROTATION:
        raise AppendRefused("a rotation is appended signed")
    family, compact = _checked(change, domain_id, source, payload)
    event_id = change.ids.uuid7()
    recipients = recipients if family is not None else ()
    row = _row(change, event_id=event_id, source=source, recipients=recipients, payload=compact)
    _insert(change, _TO_SIGN, row | {"of_domain": domain_id})
    return event_id


def append_signed(change: Change, *, recipients: Sequence[str], body: SignedBody) -> int:
    """Write the row of a `signing_key_rotated` that its outgoing key has signed (KEY-2); answers its row id.

    Raises AppendRefused where the body is not such an envelope of a Domain whose lock is held.
    """
    envelope = model.parse(body.wire)
    if (envelope.id, envelope.type, envelope.key_id, envelope.scope) != (
        body.event_id,
        wire_types.WireType.SIGNING_KEY_ROTATED,
        body.key_id,
        model.scope_of(body.domain_id),
    ):
        raise AppendRefused("not a signed rotation of this Domain")
    _checked(change, body.domain_id, _ROTATION, envelope.payload)
    row = _row(
        change, event_id=body.event_id, source=_ROTATION, recipients=recipients, payload=envelope.payload
    )
    signed = {"domain_id": body.domain_id, "key_id": body.key_id, "envelope": body.wire}
    return _insert(change, _SIGNED, row | signed)


def stamp_waiting(change: Change, domain_id: str, key_id: str) -> int:
    """Have the rows that waited without a key signed by the Domain's first one (OUT-11); answers how many."""
    waiting = (
        update(outbox_events)
        .where(
            outbox_events.c.domain_id == domain_id,
            outbox_events.c.key_id.is_(None),
            outbox_events.c.status.in_([Status.PENDING, Status.PARKED]),
        )
        .values(key_id=key_id)
    )
    change.outbox_written = True
    return change.connection.execute(waiting).rowcount


def _checked(
    change: Change, domain_id: str, source: str, payload: bytes
) -> tuple[wire_types.Family | None, bytes]:
    if domain_id not in change.domains:
        raise AppendRefused("the Domain's lock is not held")  # OUT-1
    try:
        family = wire_types.family_of(source)
        value, compact = canonical.read(payload)
    except (wire_types.UnknownSource, canonical.PayloadRefused) as failure:
        raise AppendRefused(str(failure)) from None
    fault = None if family is None else schemas.fault_of(family.schema, value)
    if fault is not None:
        raise AppendRefused(f"the payload of {source} does not satisfy its schema at {fault}")
    if len(compact) > MAX_PAYLOAD_BYTES:
        raise AppendRefused(f"the payload of {source} is too large to leave")
    return family, compact


def _row(
    change: Change, *, event_id: str, source: str, recipients: Sequence[str], payload: bytes
) -> dict[str, object]:
    if not isinstance(recipients, Sequence) or isinstance(recipients, str):
        raise AppendRefused("recipients are a sequence of Node ids")
    return {
        "event_id": event_id,
        "source": source,
        "recipients": node_bytes.pack(recipients),
        "payload": payload,
        "status": Status.PENDING.value,
        "transaction_id": change.transaction_id,
        "created_at": change.now,
    }


def _insert(change: Change, statement: Insert, row: dict[str, object]) -> int:
    change.outbox_written = True
    return int(change.connection.execute(statement, row).scalar_one())
