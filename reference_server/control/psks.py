"""Pre-shared keys, one in force per Node, from which the edges derive theirs (contract_facts 8.2).

Key material is made and sealed here and leaves by no door of this server yet.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from reference_server.ports import Change
from reference_server.store import tables

# WireGuard's preshared keys are 32 bytes.
_PSK_BYTES = 32

# The master key has had one version so far; it is what a PSK is wrapped under.
WRAP_KEY_VERSION = 1

Seal = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Psk:
    """The reference to a PSK."""

    kid: str
    wrap_key_version: int


def replace(change: Change, node_id: str, seal: Seal) -> Psk:
    """Retire the Node's PSK, if it has one, and put a fresh one in force."""
    table = tables.peer_psks
    retired = update(table).where(table.c.node_id == node_id, table.c.retired_at.is_(None))
    change.connection.execute(retired.values(retired_at=change.now))
    psk = Psk(kid=f"psk-{change.ids.uuid7()}", wrap_key_version=WRAP_KEY_VERSION)
    change.connection.execute(
        insert(table).values(
            kid=psk.kid,
            node_id=node_id,
            wrap_key_version=psk.wrap_key_version,
            sealed=seal(secrets.token_bytes(_PSK_BYTES)),
            created_at=change.now,
        )
    )
    return psk


def in_force(connection: Connection, node_id: str) -> Psk | None:
    """The Node's present PSK."""
    table = tables.peer_psks
    statement = select(table.c.kid, table.c.wrap_key_version).where(
        table.c.node_id == node_id, table.c.retired_at.is_(None)
    )
    row = connection.execute(statement).first()
    return None if row is None else Psk(kid=row.kid, wrap_key_version=row.wrap_key_version)
