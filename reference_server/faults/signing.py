"""The verb `signing_key`: a key provisioned, withheld for a while, or rotated (OUT-5, KEY-2, KEY-5)."""

from collections.abc import Mapping

from sqlalchemy import delete, insert, select, update

from reference_server.control import audit, signing_keys
from reference_server.envelope.keyring import Keyring
from reference_server.errors import Refusal
from reference_server.faults.refused import FaultRefused
from reference_server.outbox import append
from reference_server.ports import Change, Store, Unavailable
from reference_server.store import tables

SUBJECT = "fault_channel"
# The shortest transition that KEY-5 allows.
_TRANSITION_SECONDS = 60
# `server_facts` row of a withheld key: its seed stays sealed there, so that a restart forgets nothing.
_WITHHELD_FACT = "withheld_signing_key:"

Result = Mapping[str, object]


class StoredSigning:
    """Acts through the Store, in one transaction under the Domain's lock."""

    def __init__(self, *, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._acts = {"provision": self._provision, "withhold": self._withhold, "rotate": self._rotate}
        self._keyring = keyring

    async def act(self, domain_id: str, action: str) -> Result:
        """See Keys. `provision` brings a withheld key back; a Domain that never had one gets its first."""
        act = self._acts[action]
        try:
            return await self._store.change([domain_id], lambda change: act(change, domain_id))
        except Refusal as refusal:
            raise FaultRefused(refusal.code or "refused", refusal.detail) from None
        except Unavailable as trouble:
            raise FaultRefused("unavailable", str(trouble)) from None

    def _provision(self, change: Change, domain_id: str) -> Result:
        restored = _restore(change, domain_id)
        if restored is None:
            key = signing_keys.provision(change, domain_id, keyring=self._keyring, subject=SUBJECT)
            return {"key_id": key.key_id}
        append.stamp_waiting(change, domain_id, restored)
        _audit(change, domain_id, "provision", restored)
        return {"key_id": restored}

    def _withhold(self, change: Change, domain_id: str) -> Result:
        """The Domain looks as if it never had an active key; what was stamped before still goes out."""
        keys = tables.signing_keys
        active = (keys.c.domain_id == domain_id) & keys.c.retired_at.is_(None)
        row = change.connection.execute(select(keys.c.key_id, keys.c.sealed_seed).where(active)).first()
        if row is None:
            raise FaultRefused("signing_key_missing", "the Domain has no active signing key")
        fact = {"name": _WITHHELD_FACT + domain_id, "value": row.key_id.encode() + b"\n" + row.sealed_seed}
        change.connection.execute(insert(tables.server_facts).values(fact))
        change.connection.execute(update(keys).where(active).values(retired_at=change.now))
        _audit(change, domain_id, "withhold", row.key_id)
        return {"key_id": row.key_id}

    def _rotate(self, change: Change, domain_id: str) -> Result:
        rotation = signing_keys.rotate(
            change,
            domain_id,
            transition_seconds=_TRANSITION_SECONDS,
            keyring=self._keyring,
            subject=SUBJECT,
        )
        return {"key_id": rotation.key_id, "previous_key_id": rotation.previous_key_id}


def _restore(change: Change, domain_id: str) -> str | None:
    """Put a withheld key back in force, with its private part; None where none is withheld."""
    facts, keys = tables.server_facts, tables.signing_keys
    named = facts.c.name == _WITHHELD_FACT + domain_id
    value: bytes | None = change.connection.execute(select(facts.c.value).where(named)).scalar_one_or_none()
    if value is None:
        return None
    key_id, _, sealed_seed = value.partition(b"\n")
    found = update(keys).where(keys.c.key_id == key_id.decode())
    change.connection.execute(found.values(retired_at=None, sealed_seed=sealed_seed))
    change.connection.execute(delete(facts).where(named))
    return key_id.decode()


def _audit(change: Change, domain_id: str, action: str, key_id: str) -> None:
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=f"fault_channel.signing_key.{action}",
        object_type="signing_key",
        object_id=key_id,
        subject=SUBJECT,
    )
