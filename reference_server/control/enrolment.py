"""How a Node comes into a Domain, by either door: one function, one transaction (PROD-1, KEY-1, KEY-6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from reference_server.control import (
    addresses,
    audience,
    audit,
    blocks,
    credentials,
    domains,
    projects,
    psks,
    reachability,
    wireguard,
)
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Minting:
    """How this server makes what a Node gets: the key of NSK hashes (CRED-2), the `<env>` segment (CRED-1).

    `seal` wraps the Node's first PSK.
    """

    key: bytes
    environment: str
    seal: psks.Seal

    def __repr__(self) -> str:
        return f"Minting(environment={self.environment!r})"  # CRED-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A Node to be let in; `public_key` is 32 bytes. Without a Project it takes of the Domain's pool."""

    domain_id: str
    public_key: bytes
    project_id: str | None = None
    resource_id: str | None = None
    name: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The public half of a Domain's active key; `public_key` is 32 bytes."""

    key_id: str
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A Node once it is registered. `nsk` and `credential` are shown once and stored nowhere."""

    node_id: str
    domain_id: str
    mesh_ip: str
    mesh_cidr: str
    nsk: bytes
    credential: str
    signing_key: SigningKey | None

    def __repr__(self) -> str:
        return f"Registered(node_id={self.node_id!r})"  # CRED-4


def register_node(change: Change, *, newcomer: Newcomer, minting: Minting, subject: str) -> Registered:
    """Create the Node, its address, credential and Peer, and tell the Domain's other Nodes (PROD-1).

    Raises Refusal: domain_not_found, project_not_found, pool_exhausted, subrange_exhausted; the caller's
    transaction then leaves nothing.
    """
    domain = domains.read(change.connection, newcomer.domain_id)._mapping
    mesh_ip = _address(change.connection, newcomer, domain["mesh_cidr"])
    others = audience.live_nodes(change.connection, newcomer.domain_id)
    node_id = change.ids.uuid7()
    _store_node(change, node_id, newcomer, mesh_ip, registered_rung=domain["next_rung"])
    public_key = wireguard.text_of(newcomer.public_key)
    _store_peer(change, node_id, public_key)
    nsk = _issue_nsk(change, node_id, minting)
    psks.replace(change, node_id, minting.seal)
    append.append(
        change,
        domain_id=newcomer.domain_id,
        source="NodeRegistered",
        recipients=others,
        payload=blocks.peer(node_id, mesh_ip, public_key),
    )
    audit.append_entry(
        change,
        chain_id=newcomer.domain_id,
        relation="node.register",
        object_type="node",
        object_id=node_id,
        subject=subject,
    )
    return Registered(
        node_id=node_id,
        domain_id=newcomer.domain_id,
        mesh_ip=mesh_ip,
        mesh_cidr=domain["mesh_cidr"],
        nsk=nsk,
        credential=credentials.render(minting.environment, node_id, nsk),
        signing_key=active_signing_key(change.connection, newcomer.domain_id),
    )


def active_signing_key(connection: Connection, domain_id: str) -> SigningKey | None:
    """The key that a Node pins at its registration; None while the Domain has none (KEY-1, KEY-6)."""
    keys = tables.signing_keys
    row = connection.execute(
        select(keys.c.key_id, keys.c.public_key).where(
            keys.c.domain_id == domain_id, keys.c.retired_at.is_(None)
        )
    ).one_or_none()
    return None if row is None else SigningKey(key_id=row.key_id, public_key=row.public_key)


def peers_of(connection: Connection, domain_id: str, node_id: str) -> Sequence[bytes]:
    """The other live Nodes for `peer_snapshot`, in node_id order: the pull's own entries (PULL-2)."""
    nodes, peers = tables.nodes, tables.peers
    statement = (
        select(nodes.c.id, nodes.c.mesh_ip, peers.c.public_key)
        .join_from(nodes, peers, peers.c.node_id == nodes.c.id)
        .where(nodes.c.domain_id == domain_id, nodes.c.deregistered_at.is_(None), nodes.c.id != node_id)
        .order_by(nodes.c.id)
    )
    return [blocks.peer(*row) for row in connection.execute(statement)]


def _address(connection: Connection, newcomer: Newcomer, mesh_cidr: str) -> str:
    sub_range = None
    if newcomer.project_id is not None:
        project = projects.read(connection, newcomer.project_id)._mapping
        if project["domain_id"] != newcomer.domain_id:
            raise Refusal("project_not_found")
        sub_range = project["sub_range_cidr"]
    if newcomer.project_id is None or sub_range is None:
        pool, exhausted = addresses.domain_pool(connection, newcomer.domain_id, mesh_cidr), "pool_exhausted"
    else:
        pool = addresses.project_pool(newcomer.domain_id, newcomer.project_id, sub_range)
        exhausted = "subrange_exhausted"
    mesh_ip = addresses.allocate(connection, pool)
    if mesh_ip is None:
        raise Refusal(exhausted)
    return mesh_ip


def _store_node(
    change: Change, node_id: str, newcomer: Newcomer, mesh_ip: str, *, registered_rung: int
) -> None:
    change.connection.execute(
        insert(tables.nodes).values(
            id=node_id,
            domain_id=newcomer.domain_id,
            project_id=newcomer.project_id,
            resource_id=newcomer.resource_id,
            name=newcomer.name,
            kind=newcomer.kind,
            mesh_ip=mesh_ip,
            registered_rung=registered_rung,
            created_at=change.now,
            reachability=reachability.INITIAL,
            reachability_changed_at=change.now,
        )
    )


def _store_peer(change: Change, node_id: str, public_key: str) -> None:
    change.connection.execute(
        insert(tables.peers).values(id=change.ids.uuid7(), node_id=node_id, public_key=public_key)
    )


def _issue_nsk(change: Change, node_id: str, minting: Minting) -> bytes:
    nsk = credentials.fresh_nsk()
    change.connection.execute(
        insert(tables.node_secret_keys).values(
            node_id=node_id,
            keyed_hash=credentials.keyed_hash(minting.key, node_id, nsk),
            created_at=change.now,
        )
    )
    return nsk
