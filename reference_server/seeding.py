"""Carries a seed file out, and writes what a client needs to know of it (the credentials file)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from reference_server import files
from reference_server.control import credentials, domains, enrolment, nodes, projects, signing_keys, wireguard
from reference_server.control.enrolment import Minting, Newcomer
from reference_server.control.operators import OperatorRefused, Operators
from reference_server.control.relations import Grant, GrantRefused, grant
from reference_server.envelope.keyring import Keyring
from reference_server.errors import Refusal
from reference_server.ports import Change, Ids, Store
from reference_server.seed import Seed, SeedDomain, SeedNode
from reference_server.settings import SettingsRefused
from reference_server.store import tables

SUBJECT = "seed"
# The slug of the Project that each seeded Domain gets.
PROJECT_SLUG = "default"
_PUBLIC_KEY_BYTES = 32

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What seeding works with. `earlier` is the credentials file of an earlier start, or empty."""

    store: Store
    ids: Ids
    keyring: Keyring
    minting: Minting
    operators: Operators
    earlier: Mapping[str, Any]
    keeps_credentials: bool  # a credentials file is asked for, so every credential must be known


def earlier_credentials(path: str | None) -> Mapping[str, Any]:
    """What an earlier start wrote; empty where there is nothing. Raises SettingsRefused."""
    if path is None or not Path(path).exists():
        return {}
    try:
        found = msgspec.json.decode(Path(path).read_bytes())
    except (OSError, msgspec.DecodeError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(v, dict) for k, v in found.items() if k != "base_url"
    ):
        raise SettingsRefused(f"{path}: is no credentials file of an earlier start")
    return found


def write(path: str, facts: Facts, base_url: str) -> None:
    """Write the credentials file, for its owner alone. Raises SettingsRefused."""
    try:
        files.write_whole(path, msgspec.json.encode({"base_url": base_url} | facts), files.OWNER_ALONE)
    except OSError as trouble:
        raise SettingsRefused(f"{path}: cannot be written: {trouble.strerror}") from None


async def apply(seed: Seed, means: Means) -> Facts:
    """Make what is missing in one transaction, then take the operators in; answers what to tell of both.

    A Node that exists keeps its credential, which can only be told again from the earlier file. Raises
    SettingsRefused where seed, store and earlier file do not fit.
    """
    existing = await means.store.read(
        lambda connection: {row.slug: row.id for row in connection.execute(select(tables.domains))}
    )
    ids = {domain.slug: existing.get(domain.slug) or means.ids.uuid7() for domain in seed.domains}
    facts = await means.store.change(
        tuple(ids.values()), lambda change: _make(change, seed, means, ids, frozenset(existing))
    )
    return {"operators": _enrol(seed, means, facts)} | facts


def _make(
    change: Change, seed: Seed, means: Means, ids: Mapping[str, str], existing: frozenset[str]
) -> Facts:
    made_domains: Facts = {}
    made_nodes: Facts = {}
    table, index = "domains", 0
    try:
        for index, domain in enumerate(seed.domains):
            if domain.slug in existing:
                _check_same(change, seed, index, ids[domain.slug])
            else:
                _create_domain(change, means, domain, ids[domain.slug])
            made_domains[domain.slug] = _domain_facts(change, ids[domain.slug])
        table = "nodes"
        for index, node in enumerate(seed.nodes):
            made_nodes[node.name] = _node(change, seed, means, index, ids[node.domain])
    except Refusal as refusal:
        seed.refuse(table, index, refusal.detail)
    return {"domains": made_domains, "nodes": made_nodes}


def _create_domain(change: Change, means: Means, domain: SeedDomain, domain_id: str) -> None:
    domains.create(
        change,
        domain_id=domain_id,
        draft=domains.Draft(
            name=domain.name,
            slug=domain.slug,
            description="",
            region="",
            mesh_cidr=domain.mesh_cidr,
            reachability=None,
        ),
        provision=None,
        subject=SUBJECT,
    )
    if domain.signing_key == "active":
        signing_keys.provision(change, domain_id, keyring=means.keyring, subject=SUBJECT)
    draft = projects.Draft(
        domain_id=domain_id, name=domain.name, slug=PROJECT_SLUG, description="", sub_range_cidr=None
    )
    projects.create(change, draft=draft, subject=SUBJECT)


def _check_same(change: Change, seed: Seed, index: int, domain_id: str) -> None:
    held = domains.read(change.connection, domain_id)._mapping["mesh_cidr"]
    if held != seed.domains[index].mesh_cidr:
        seed.refuse("domains", index, f"the store has this Domain with mesh_cidr {held}")


def _domain_facts(change: Change, domain_id: str) -> Facts:
    domain = domains.read(change.connection, domain_id)._mapping
    key = enrolment.active_signing_key(change.connection, domain_id)
    of_seed = (tables.projects.c.domain_id == domain_id) & (tables.projects.c.slug == PROJECT_SLUG)
    project_id = change.connection.execute(select(tables.projects.c.id).where(of_seed)).scalar_one_or_none()
    return {
        "id": domain_id,
        "project_id": project_id,
        "signing_key_id": None if key is None else key.key_id,
        "signing_public_key": None if key is None else wireguard.text_of(key.public_key),
        "mesh_cidr": domain["mesh_cidr"],
    }


def _node(change: Change, seed: Seed, means: Means, index: int, domain_id: str) -> Facts:
    node = seed.nodes[index]
    known = tables.nodes
    named = select(known.c.id).where(known.c.domain_id == domain_id, known.c.name == node.name)
    node_id = change.connection.execute(named.order_by(known.c.id)).scalars().first()
    if node_id is None:
        return _create_node(change, means, node, domain_id)
    earlier = means.earlier.get("nodes", {}).get(node.name)
    if isinstance(earlier, dict) and earlier.get("id") == node_id:
        return earlier
    if means.keeps_credentials:
        seed.refuse(
            "nodes",
            index,
            f"{node.name!r} exists and its credential cannot be shown again: start with the credentials "
            "file of the first start, without one, or on a new store",
        )
    return {"id": node_id, "domain": node.domain, "domain_id": domain_id, "revoked": node.revoked}


def _create_node(change: Change, means: Means, node: SeedNode, domain_id: str) -> Facts:
    public_key = os.urandom(_PUBLIC_KEY_BYTES)
    registered = enrolment.register_node(
        change,
        newcomer=Newcomer(domain_id=domain_id, public_key=public_key, name=node.name),
        minting=means.minting,
        subject=SUBJECT,
    )
    if node.revoked:
        nodes.deregister(change, node_id=registered.node_id, subject=SUBJECT)
    return {
        "id": registered.node_id,
        "domain": node.domain,
        "domain_id": domain_id,
        "credential": registered.credential,
        "mesh_ip": registered.mesh_ip,
        "public_key": wireguard.text_of(public_key),
        "revoked": node.revoked,
    }


def _enrol(seed: Seed, means: Means, facts: Facts) -> Facts:
    earlier = means.earlier.get("operators", {})
    told: Facts = {}
    for index, operator in enumerate(seed.operators):
        known = earlier.get(operator.name, {}).get("token")
        token = operator.token or known or credentials.fresh_operator_token()
        try:
            grants = [_grant(relation.relation, relation.object, facts) for relation in operator.relations]
            means.operators.enrol(name=operator.name, token=token, grants=grants)
        except (GrantRefused, OperatorRefused) as refusal:
            seed.refuse("operators", index, str(refusal))
        told[operator.name] = {"token": token}
    return told


def _grant(relation: str, target: str, facts: Facts) -> Grant:
    """A grant whose object may be named by the file's own names."""
    kind, _, name = target.partition(":")
    known = facts.get(f"{kind}s", {}).get(name)
    return grant(relation, f"{kind}:{known['id']}" if known else target)
