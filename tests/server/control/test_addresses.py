"""Mesh addresses: order, gaps, ranges of Projects, exhaustion."""

from ipaddress import ip_address, ip_network

import pytest
from sqlalchemy import insert

from reference_server.control import addresses
from reference_server.ports import Change
from reference_server.store import tables
from tests.server import tenancy


async def mesh_ips(server: tenancy.Tenancy, domain: str, seeds: str, **more: object) -> list[str]:
    return [str((await server.node(domain, seed, **more))["mesh_ip"]) for seed in seeds]


async def test_network_and_broadcast_are_skipped_and_the_pool_ends() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain(cidr="10.0.0.0/29")
        assert await mesh_ips(server, domain, "abcdef") == [f"10.0.0.{n}" for n in range(1, 7)]
        body = {"public_key": tenancy.public_key("g")}
        refused = await server.call("enrolment.create_domain_node", body=body, id=domain)
        assert refused.outcome == (503, "pool_exhausted")


async def test_a_freed_address_comes_back_only_after_the_others() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain(cidr="10.0.0.0/29")
        first = await server.node(domain, "a")
        await mesh_ips(server, domain, "bc")
        await server.call("nodes.delete_node", id=first["node_id"])
        assert await mesh_ips(server, domain, "def") == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
        assert await mesh_ips(server, domain, "g") == ["10.0.0.1"]


async def test_a_projects_range_is_its_own_and_strict() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain(cidr="10.0.0.0/28")
        project = await server.project(domain, sub_range_cidr="10.0.0.4/30")
        plain = await server.project(domain, "plain")
        assert await mesh_ips(server, domain, "ab", project_id=project) == ["10.0.0.5", "10.0.0.6"]
        body = {"public_key": tenancy.public_key("c"), "project_id": project}
        refused = await server.call("enrolment.create_domain_node", body=body, id=domain)
        assert refused.outcome == (503, "subrange_exhausted")
        assert await mesh_ips(server, domain, "de", project_id=plain) == ["10.0.0.1", "10.0.0.2"]
        assert await mesh_ips(server, domain, "fg") == ["10.0.0.3", "10.0.0.8"]


@pytest.mark.parametrize(
    ("cidr", "addresses_of_it"),
    [
        ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.7/32", ["10.0.0.7"]),
        ("fd00::/126", ["fd00::1", "fd00::2", "fd00::3"]),
    ],
)
async def test_small_ranges(cidr: str, addresses_of_it: list[str]) -> None:
    async with tenancy.opened() as server:
        domain = await server.domain(cidr=cidr)
        seeds = "abc"[: len(addresses_of_it)]
        assert await mesh_ips(server, domain, seeds) == addresses_of_it
        body = {"public_key": tenancy.public_key("z")}
        refused = await server.call("enrolment.create_domain_node", body=body, id=domain)
        assert refused.outcome == (503, "pool_exhausted")


async def test_past_many_taken_addresses_the_first_gap_is_found() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain(cidr="10.0.0.0/24")
        gap = 77

        def fill(change: Change) -> str | None:
            for last in (*range(1, gap), *range(gap + 1, 255)):
                change.connection.execute(
                    insert(tables.nodes).values(**_node(domain, f"10.0.0.{last}", last))
                )
            pool = addresses.domain_pool(change.connection, domain, "10.0.0.0/24")
            return addresses.allocate(change.connection, pool)

        found = await server.store.change([domain], fill)
        assert found is not None and ip_address(found) in ip_network("10.0.0.0/24")
        assert found == f"10.0.0.{gap}"


def _node(domain: str, mesh_ip: str, number: int) -> dict[str, object]:
    return {
        "id": f"0198c0de-0000-7000-8000-{number:012x}",
        "domain_id": domain,
        "mesh_ip": mesh_ip,
        "registered_rung": 0,
        "created_at": 0,
        "reachability": "never_reported",
        "reachability_changed_at": 0,
    }
