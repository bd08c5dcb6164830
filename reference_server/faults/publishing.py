"""The `publish` verb: any schema-valid event but a key rotation, through the ordinary outbox."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from reference_server.control import audience, audit
from reference_server.faults.refused import FaultRefused
from reference_server.outbox import append, wire_types
from reference_server.ports import Change, Store, Unavailable
from reference_server.store import tables

# The widest broadcast of the benchmark, with room; each recipient costs 16 bytes of the row.
MAX_RECIPIENTS = 20_000


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The event to raise; the payload's bytes are kept as they came (ENV-5)."""

    domain_id: str
    node_ids: list[str]
    type: str
    payload: msgspec.Raw


async def publish(store: Store, wanted: Publish) -> str:
    """Append the row in a transaction of its own; answers the event id.

    Raises FaultRefused for what no producer could raise.
    """
    source = _source_of(wanted.type)
    if not wanted.node_ids or len(wanted.node_ids) > MAX_RECIPIENTS:
        raise FaultRefused("invalid_parameters", f"node_ids names 1 to {MAX_RECIPIENTS} Nodes")
    try:
        return await store.change([wanted.domain_id], lambda change: _append(change, wanted, source))
    except append.AppendRefused as refusal:
        raise FaultRefused("event_refused", str(refusal)) from None
    except Unavailable as trouble:
        raise FaultRefused("unavailable", str(trouble)) from None


def _source_of(name: str) -> str:
    try:
        wire = wire_types.WireType(name)
    except ValueError:
        raise FaultRefused("unknown_type", f"{name!r} is none of {', '.join(wire_types.WireType)}") from None
    if wire is wire_types.WireType.SIGNING_KEY_ROTATED:
        raise FaultRefused("unknown_type", "a rotation is made by the verb signing_key")
    return wire_types.source_for(wire)


def _append(change: Change, wanted: Publish, source: str) -> str:
    _check_recipients(change, wanted.domain_id, wanted.node_ids)
    event_id = append.append(
        change,
        domain_id=wanted.domain_id,
        source=source,
        recipients=wanted.node_ids,
        payload=bytes(wanted.payload),
    )
    audit.append_entry(
        change,
        chain_id=wanted.domain_id,
        relation="fault_channel.publish",
        object_type="domain",
        object_id=wanted.domain_id,
    )
    return event_id


def _check_recipients(change: Change, domain_id: str, node_ids: Sequence[str]) -> None:
    domains = tables.domains
    known = change.connection.execute(select(domains.c.id).where(domains.c.id == domain_id)).first()
    if known is None:
        raise FaultRefused("unknown_domain", f"there is no Domain {domain_id!r}")
    strangers = set(node_ids) - set(audience.live_nodes(change.connection, domain_id))
    if strangers or len(set(node_ids)) != len(node_ids):
        raise FaultRefused("unknown_node", "node_ids are Nodes of the Domain, each named once")
