"""Who a bearer is: 401 with the code that GATE-5 asks for, or a Caller."""

import base64
import re

import pytest

from reference_server.control import credentials, nodes
from reference_server.errors import Refusal
from reference_server.ports import Caller, Unavailable
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


async def code_of(server: tenancy.Tenancy, *lines: bytes) -> str | None:
    with pytest.raises(Refusal) as caught:
        await server.resolver.resolve(lines)
    assert caught.value.status == 401
    return caught.value.code


def bearer(token: str) -> bytes:
    return b"Bearer " + token.encode()


async def test_a_node_and_an_operator_are_told_apart_by_content() -> None:
    async with tenancy.opened() as server:
        node = await server.node(await server.domain())
        assert await server.resolver.resolve([bearer(node["credential"])]) == Caller(node_id=node["node_id"])
        assert await server.resolver.resolve([bearer(tenancy.ROOT_TOKEN)]) == Caller(operator="root")


async def test_the_environment_segment_is_not_compared() -> None:
    async with tenancy.opened() as server:
        node = await server.node(await server.domain())
        renamed = re.sub("^nsk_test_", "nsk_elsewhere_", node["credential"])
        assert (await server.resolver.resolve([bearer(renamed)])).node_id == node["node_id"]


async def test_no_or_malformed_credentials() -> None:
    async with tenancy.opened() as server:
        assert await code_of(server) == "unauthenticated"
        assert await code_of(server, b"Basic cm9vdDpyb290") == "unauthenticated"
        assert await code_of(server, bearer("nobodys-token-at-all")) == "unauthenticated"
        both = bearer(tenancy.ROOT_TOKEN)
        assert await code_of(server, both, both) == "unauthenticated"


async def test_nsk_that_resolve_to_nothing() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        node, other = await server.node(domain, "a"), await server.node(domain, "b")
        swapped = credentials.render("test", node["node_id"], base64.b64decode(other["nsk"]))
        unknown = credentials.render("test", STRANGER, bytes(32))
        for token in (swapped, unknown, "nsk_dev_%%%", "nsk_", node["nsk"]):
            assert await code_of(server, bearer(token)) == "nsk_invalid", token


async def test_a_revoked_nsk_says_so_and_a_guess_at_it_does_not() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        node = await server.node(domain)
        assert await server.resolver.resolve([bearer(node["credential"])])
        await server.store.change(
            [domain], lambda change: nodes.revoke_credential(change, node_id=node["node_id"])
        )
        assert await code_of(server, bearer(node["credential"])) == "nsk_revoked"
        guess = credentials.render("test", node["node_id"], bytes(32))
        assert await code_of(server, bearer(guess)) == "nsk_invalid"


async def test_the_hot_path_reads_nothing() -> None:
    async with tenancy.opened() as server:
        node = await server.node(await server.domain())
        lines = [bearer(node["credential"])]
        await server.resolver.resolve(lines)
        before = server.store.reads
        for _ in range(20):
            await server.resolver.resolve(lines)
            assert await server.nodes.find(node["node_id"]) is not None
        assert server.store.reads == before


async def test_an_outage_is_bridged_by_facts_that_are_young_enough() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        node, unseen = await server.node(domain, "a"), await server.node(domain, "b")
        lines = [bearer(node["credential"])]
        await server.resolver.resolve(lines)
        server.store.away = True
        server.clock.advance(299)
        assert (await server.resolver.resolve(lines)).node_id == node["node_id"]
        for token in (unseen["credential"], credentials.render("test", STRANGER, bytes(32))):
            with pytest.raises(Unavailable):
                await server.resolver.resolve([bearer(token)])
        server.clock.advance(2)
        with pytest.raises(Unavailable):
            await server.resolver.resolve(lines)
        server.store.away = False
        assert (await server.resolver.resolve(lines)).node_id == node["node_id"]


async def test_a_fact_is_read_anew_after_a_minute() -> None:
    async with tenancy.opened() as server:
        node = await server.node(await server.domain())
        lines = [bearer(node["credential"])]
        await server.resolver.resolve(lines)
        before = server.store.reads
        server.clock.advance(61)
        await server.resolver.resolve(lines)
        assert server.store.reads == before + 1
