"""The master key at the start: found, made beside a new store, or refused in one line (KEY-4)."""

import base64
import binascii
import os
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from reference_server import files
from reference_server.envelope.keyring import MASTER_KEY_BYTES, Keyring, SealBroken
from reference_server.ports import Change, Store
from reference_server.settings import MEMORY, Settings, SettingsRefused
from reference_server.store import tables

# Beside the store, so that a backup of the directory holds both.
FILE_NAME = "master.key"
# `server_facts` row: this text, sealed. Whoever can open it holds the right key.
_PROOF_FACT = "master_key_proof"
_PROOF = b"busproof master key"
# Processes that start together prove their key one after the other.
_LOCK = "master_key"


async def unlock(settings: Settings, store: Store) -> Keyring:
    """The keyring for this store. Raises SettingsRefused: missing, malformed, or another store's key."""
    proof, bound = await store.read(lambda connection: (_proof(connection), _is_bound(connection)))
    keyring = Keyring(_given(settings) or _beside(settings, bound=bound))
    if proof is not None and _opens(keyring, proof):
        return keyring
    if bound:
        raise SettingsRefused(f"the master key is not the one that sealed the keys of {settings.store}")
    await store.change([_LOCK], lambda change: _prove(change, keyring))
    return keyring


def _given(settings: Settings) -> bytes | None:
    if settings.master_key is not None:
        return _decoded(settings.master_key, "the master key of the environment")
    if settings.master_key_file is not None:
        return _from_file(Path(settings.master_key_file))
    return None


def _beside(settings: Settings, *, bound: bool) -> bytes:
    """The key beside the store; made where nothing hangs on one yet (protocol.md 10a)."""
    if settings.database_url is not None:
        raise SettingsRefused(
            "replicas share one master key: give it as master_key_file or master_key (KEY-4)"
        )
    if settings.data == MEMORY:
        return os.urandom(MASTER_KEY_BYTES)
    place = Path(settings.data).with_name(FILE_NAME)
    if place.exists():
        return _from_file(place)
    if bound:
        raise SettingsRefused(f"{settings.data} holds sealed keys and their master key {place} is missing")
    key = os.urandom(MASTER_KEY_BYTES)
    try:
        files.write_whole(place, base64.b64encode(key) + b"\n", files.OWNER_ALONE)
    except OSError as trouble:
        raise SettingsRefused(f"the master key {place} cannot be written: {trouble.strerror}") from None
    return key


def _from_file(place: Path) -> bytes:
    try:
        text = place.read_text(encoding="ascii")
    except OSError as trouble:
        raise SettingsRefused(f"the master key {place} cannot be read: {trouble.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    return _decoded(text.strip(), f"the master key {place}")


def _decoded(text: str, what: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise SettingsRefused(f"{what} is not the base64 of {MASTER_KEY_BYTES} bytes")
    return key


def _proof(connection: Connection) -> bytes | None:
    facts = tables.server_facts
    found = select(facts.c.value).where(facts.c.name == _PROOF_FACT)
    proof: bytes | None = connection.execute(found).scalar_one_or_none()
    return proof


def _is_bound(connection: Connection) -> bool:
    """Whether anything in the store would be lost under another key: a sealed key, or a credential's hash."""
    sealed = select(tables.signing_keys.c.key_id).where(tables.signing_keys.c.sealed_seed.is_not(None))
    hashed = select(tables.node_secret_keys.c.node_id)
    return any(connection.execute(found.limit(1)).first() is not None for found in (sealed, hashed))


def _opens(keyring: Keyring, proof: bytes) -> bool:
    try:
        return keyring.unseal(proof) == _PROOF
    except SealBroken:
        return False


def _prove(change: Change, keyring: Keyring) -> None:
    facts = tables.server_facts
    proof = keyring.seal(_PROOF)
    known = _proof(change.connection) is not None
    statement = (
        update(facts).where(facts.c.name == _PROOF_FACT).values(value=proof)
        if known
        else insert(facts).values(name=_PROOF_FACT, value=proof)
    )
    change.connection.execute(statement)
