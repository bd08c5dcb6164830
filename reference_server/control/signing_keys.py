"""Signing keys of a Domain: its first one, and the rotations from each to the next (KEY-2, KEY-3, KEY-5)."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, insert, select, update

from reference_server.control import audience, audit
from reference_server.envelope import canonical, instant, model, signing
from reference_server.envelope.keyring import Keyring
from reference_server.errors import Refusal
from reference_server.outbox import append, wire_types
from reference_server.outbox.lifecycle import Status
from reference_server.ports import Change, SignedBody
from reference_server.store import tables

# contract_facts 5.2: the form of the example; what follows is fresh, so no id is ever used twice (KEY-2).
_KEY_ID_PREFIX = "did:web:plexsphere.com#key-"

# tables.signing_keys: the first key's place in the chain.
_FIRST_RUNG = 0

_PROVISION_RELATION = "signing_key.provision"
_ROTATE_RELATION = "signing_key.rotate"

# KEY-5, in seconds.
TRANSITION_BOUNDS = range(60, 604_800 + 1)
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """The public part of a key. Instants in microseconds; `retired_at` None: the active one."""

    key_id: str
    rung: int
    public_key: bytes
    created_at: int
    retired_at: int | None
    transition_expires: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation tells. `transition_expires` in microseconds."""

    key_id: str
    public_key: bytes
    previous_key_id: str
    transition_expires: int

    def payload(self) -> bytes:
        """SigningKeyRotatedPayload, of the event and of the operator's answer."""
        return msgspec.json.encode(
            {
                "key_id": self.key_id,
                "public_key": base64.b64encode(self.public_key).decode(),
                "previous_key_id": self.previous_key_id,
                "transition_expires": instant.render(self.transition_expires),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Active:
    key_id: str
    rung: int
    sealed_seed: bytes


def provision(change: Change, domain_id: str, *, keyring: Keyring, subject: str) -> PublicKey:
    """Give a Domain its first key; what waited without one will be signed by it (OUT-11).

    Raises Refusal `domain_not_found`, `signing_key_exists`.
    """
    _refuse_unknown_domain(change.connection, domain_id)
    if _active(change.connection, domain_id) is not None:
        raise Refusal("signing_key_exists")
    key = _insert(change, domain_id, rung=_FIRST_RUNG, keyring=keyring)
    append.stamp_waiting(change, domain_id, key.key_id)
    _audit(change, domain_id, _PROVISION_RELATION, key.key_id, subject)
    return key


def rotate(
    change: Change, domain_id: str, *, transition_seconds: int, keyring: Keyring, subject: str
) -> Rotation:
    """Retire the active key and put a fresh one in force; the outgoing key signs the news of it (KEY-2).

    Raises Refusal `invalid_transition`, `domain_not_found`, `signing_key_missing`.
    """
    if transition_seconds not in TRANSITION_BOUNDS:
        raise Refusal("invalid_transition")
    _refuse_unknown_domain(change.connection, domain_id)
    outgoing = _active(change.connection, domain_id)
    if outgoing is None:
        raise Refusal("signing_key_missing")
    expires = change.now + transition_seconds * _MICROSECONDS
    _retire(change, outgoing.key_id, expires)
    incoming = _insert(change, domain_id, rung=outgoing.rung + 1, keyring=keyring)
    rotation = Rotation(
        key_id=incoming.key_id,
        public_key=incoming.public_key,
        previous_key_id=outgoing.key_id,
        transition_expires=expires,
    )
    _tell(change, _signed(change, domain_id, outgoing, rotation, keyring), incoming.rung)
    _audit(change, domain_id, _ROTATE_RELATION, incoming.key_id, subject)
    destroy_spent(change, domain_id, keyring=keyring)
    return rotation


def list_keys(connection: Connection, domain_id: str) -> list[PublicKey]:
    """The Domain's keys, oldest first. Raises Refusal `domain_not_found`."""
    _refuse_unknown_domain(connection, domain_id)
    keys = tables.signing_keys
    columns = (
        keys.c.key_id,
        keys.c.rung,
        keys.c.public_key,
        keys.c.created_at,
        keys.c.retired_at,
        keys.c.transition_expires,
    )
    statement = select(*columns).where(keys.c.domain_id == domain_id).order_by(keys.c.rung)
    return [PublicKey(**row._mapping) for row in connection.execute(statement)]


def destroy_spent(change: Change, domain_id: str, *, keyring: Keyring) -> int:
    """Destroy the private parts of retired keys that no unsent row names (KEY-3); says how many."""
    keys, rows = tables.signing_keys, tables.outbox_events
    owed = select(rows.c.key_id).where(
        rows.c.domain_id == domain_id,
        rows.c.key_id == keys.c.key_id,
        rows.c.envelope.is_(None),  # a rotation is signed already
        rows.c.status.in_([Status.PENDING, Status.PARKED]),
    )
    spent = (
        update(keys)
        .where(keys.c.domain_id == domain_id, keys.c.retired_at.is_not(None))
        .where(keys.c.sealed_seed.is_not(None), ~owed.exists())
        .values(sealed_seed=None)
        .returning(keys.c.key_id)
    )
    destroyed = change.connection.execute(spent).scalars().all()
    change.after_commit.extend(_forgetting(keyring, key_id) for key_id in destroyed)
    return len(destroyed)


def _forgetting(keyring: Keyring, key_id: str) -> Callable[[], None]:
    return lambda: keyring.forget(key_id)


def _refuse_unknown_domain(connection: Connection, domain_id: str) -> None:
    domains = tables.domains
    if connection.execute(select(domains.c.id).where(domains.c.id == domain_id)).first() is None:
        raise Refusal("domain_not_found")


def _active(connection: Connection, domain_id: str) -> _Active | None:
    keys = tables.signing_keys
    statement = select(keys.c.key_id, keys.c.rung, keys.c.sealed_seed).where(
        keys.c.domain_id == domain_id, keys.c.retired_at.is_(None)
    )
    row = connection.execute(statement).first()
    return None if row is None else _Active(key_id=row.key_id, rung=row.rung, sealed_seed=row.sealed_seed)


def _insert(change: Change, domain_id: str, *, rung: int, keyring: Keyring) -> PublicKey:
    seed = signing.new_seed()
    key = PublicKey(
        key_id=_KEY_ID_PREFIX + change.ids.uuid7(),
        rung=rung,
        public_key=signing.key_pair(seed)[0],
        created_at=change.now,
        retired_at=None,
        transition_expires=None,
    )
    row = {name: getattr(key, name) for name in PublicKey.__slots__}
    statement = insert(tables.signing_keys).values(**row, domain_id=domain_id, sealed_seed=keyring.seal(seed))
    change.connection.execute(statement)
    return key


def _retire(change: Change, key_id: str, expires: int) -> None:
    keys = tables.signing_keys
    retired = {"retired_at": change.now, "transition_expires": expires}
    change.connection.execute(update(keys).where(keys.c.key_id == key_id).values(retired))


def _signed(
    change: Change, domain_id: str, outgoing: _Active, rotation: Rotation, keyring: Keyring
) -> SignedBody:
    return model.build(
        event_id=change.ids.uuid7(),
        event_type=wire_types.WireType.SIGNING_KEY_ROTATED,
        domain_id=domain_id,
        key_id=outgoing.key_id,
        issued_at=change.now,
        payload=canonical.compact(rotation.payload()),
        signing_key=keyring.signing_key(outgoing.key_id, outgoing.sealed_seed),
    )


def _tell(change: Change, body: SignedBody, rung: int) -> None:
    """Append the rotation for all Nodes, keep its bytes for ever (KEY-6) and move the Domain's ladder."""
    nodes = audience.live_nodes(change.connection, body.domain_id)
    row = {
        "domain_id": body.domain_id,
        "rung": rung,
        "event_id": body.event_id,
        "outbox_id": append.append_signed(change, recipients=nodes, body=body),
        "envelope": body.wire,
        "created_at": change.now,
    }
    change.connection.execute(insert(tables.signing_key_rotations).values(row))
    domains = tables.domains
    change.connection.execute(
        update(domains).where(domains.c.id == body.domain_id).values(next_rung=domains.c.next_rung + 1)
    )


def _audit(change: Change, domain_id: str, relation: str, key_id: str, subject: str) -> None:
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=relation,
        object_type="signing_key",
        object_id=key_id,
        subject=subject,
    )
