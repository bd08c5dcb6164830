"""Finds the master key of a store, and makes sure that it is the one it was sealed under (KEY-4)."""

import base64
import binascii
import os
from pathlib import Path

from sqlalchemy import Connection, delete, insert, or_, select

from reference_server.envelope.keyring import MASTER_KEY_BYTES, Keyring, SealBroken
from reference_server.ports import Store
from reference_server.store.engine import MEMORY
from reference_server.store.refusals import StoreRefused
from reference_server.store.tables import node_secret_keys, peer_psks, server_facts, signing_keys

KEY_FILE = "master.key"

_FACT = "seal_check"
_CHECK = b"busproof: the seal of this store opens"


async def open_keyring(store: Store, path: str, *, key: str | None, key_file: str | None) -> Keyring:
    """The keyring of the store at `path`, under the first of: `key` (base64), `key_file`, the file beside it.

    Where none is given and nothing depends on one yet, a key is made: in `master.key` (mode 600) beside the
    store, or for MEMORY nowhere. Raises StoreRefused: malformed, missing, or not this store's.
    """
    in_use = await store.read(_in_use)
    keyring = Keyring(_master_key(path, key, key_file, in_use=in_use))
    await store.change((), lambda change: _check(change.connection, keyring, in_use=in_use))
    return keyring


def _in_use(connection: Connection) -> bool:
    tables = (signing_keys, node_secret_keys, peer_psks)
    any_row = or_(*(select(table).exists() for table in tables))
    return bool(connection.execute(select(any_row)).scalar_one())


def _master_key(path: str, key: str | None, key_file: str | None, *, in_use: bool) -> bytes:
    if key is not None:
        return _decoded(key.encode(), "BUSPROOF_MASTER_KEY")
    if key_file is not None:
        return _read(Path(key_file))
    if path == MEMORY:
        return os.urandom(MASTER_KEY_BYTES)
    beside = Path(path).with_name(KEY_FILE)
    if beside.exists():
        return _read(beside)
    if in_use:
        raise StoreRefused(f"the master key of the store {path} is missing: give it, or restore {beside}")
    return _made(beside)


def _read(file: Path) -> bytes:
    try:
        return _decoded(file.read_bytes(), str(file))
    except OSError as failure:
        raise StoreRefused(f"the master key file {file} cannot be read: {failure.strerror}") from None


def _decoded(text: bytes, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise StoreRefused(f"the master key in {place} is not 32 bytes in base64")
    return key


def _made(file: Path) -> bytes:
    key = os.urandom(MASTER_KEY_BYTES)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(base64.b64encode(key) + b"\n")
            written.flush()
            os.fsync(written.fileno())
    except OSError as failure:
        raise StoreRefused(f"the master key file {file} cannot be made: {failure.strerror}") from None
    return key


def _check(connection: Connection, keyring: Keyring, *, in_use: bool) -> None:
    facts = server_facts.c
    sealed = connection.execute(select(facts.value).where(facts.name == _FACT)).scalar_one_or_none()
    try:
        if sealed is not None and keyring.unseal(sealed) == _CHECK:
            return
    except SealBroken:
        pass
    if in_use:
        raise StoreRefused("the master key is not the one that this store was sealed under")
    connection.execute(delete(server_facts).where(facts.name == _FACT))
    connection.execute(insert(server_facts).values(name=_FACT, value=keyring.seal(_CHECK)))
