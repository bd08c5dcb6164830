"""A Domain with its key and its Nodes, put in directly: how they came there is not what is measured."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert

from reference_server.control import credentials
from reference_server.envelope import signing
from reference_server.envelope.keyring import Keyring, Purpose
from reference_server.ports import Change
from reference_server.store import tables
from tests.benchmarks.workload import DOMAIN

KEY_ID = "did:web:busproof.test#key-1"
SEED = b"\x07" * 32
NSK = b"\x05" * 32
PUBLIC_KEY, SIGNING_KEY = signing.key_pair(SEED)


def authorizations(nodes: Sequence[str]) -> dict[str, str]:
    """The header of each Node's agent."""
    return {node: "Bearer " + credentials.render("dev", node, NSK) for node in nodes}


def populate(change: Change, nodes: Sequence[str], keyring: Keyring) -> None:
    """Insert Domain, key, Nodes, peers and credentials."""
    moment = {"created_at": change.now, "updated_at": change.now}
    policy = dict.fromkeys(
        ("heartbeat_interval", "stale_after", "unreachable_after", "endpoint_ttl"), 3 * 10**9
    )
    named = {"id": DOMAIN, "name": "bench", "slug": "bench", "mesh_cidr": "10.0.0.0/8"}
    change.connection.execute(insert(tables.domains), named | policy | moment)
    key = {"key_id": KEY_ID, "domain_id": DOMAIN, "rung": 0, "public_key": PUBLIC_KEY}
    sealed = {"sealed_seed": keyring.seal(SEED), "created_at": change.now}
    change.connection.execute(insert(tables.signing_keys), key | sealed)
    rows: list[dict[str, Any]] = []
    for number, node in enumerate(nodes, 1):
        ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        rows.append({"id": node, "domain_id": DOMAIN, "mesh_ip": ip, "registered_rung": 0})
    standing = {"reachability": "never_reported", "reachability_changed_at": change.now, "reconcile": False}
    change.connection.execute(insert(tables.nodes), [r | standing | {"created_at": change.now} for r in rows])
    peers = [{"id": row["id"], "node_id": row["id"], "public_key": "A" * 43 + "="} for row in rows]
    change.connection.execute(insert(tables.peers), peers)
    hashing = keyring.derived(Purpose.CREDENTIALS)
    secrets = [
        {"node_id": n, "keyed_hash": credentials.keyed_hash(hashing, n, NSK), "created_at": change.now}
        for n in nodes
    ]
    change.connection.execute(insert(tables.node_secret_keys), secrets)
