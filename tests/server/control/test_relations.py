"""Grants and what they imply (CRED-3, GATE-6, GATE-7)."""

import pytest

from reference_server.control import operators, relations
from reference_server.control.relations import GrantRefused, Kind, grant, implies
from reference_server.ports import Caller
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


@pytest.mark.parametrize(
    ("held", "asked", "yes"),
    [
        ("manage", "read", True),
        ("manage", "deploy", True),
        ("manage", "node-operate", True),
        ("manage", "manage", True),
        ("manage", "node-agent", False),
        ("manage", "auditor", False),
        ("read", "manage", False),
        ("node-agent", "node-agent", True),
        ("auditor", "read", False),
    ],
)
def test_manage_implies_all_but_two(held: str, asked: str, yes: bool) -> None:
    assert implies(held, asked) is yes


@pytest.mark.parametrize(
    ("relation", "on"),
    [
        ("owner", "*"),
        ("manage", "domain:acme"),
        ("manage", f"project:{STRANGER}"),
        ("manage", ""),
        ("manage", f"domain:{STRANGER.upper()}"),
    ],
)
def test_grants_that_mean_nothing_are_refused(relation: str, on: str) -> None:
    with pytest.raises(GrantRefused):
        grant(relation, on)


async def test_node_agent_by_node_domain_and_everything() -> None:
    async with tenancy.opened() as server:
        domain, elsewhere = await server.domain(), await server.domain("other", "10.2.0.0/24")
        node = (await server.node(domain))["node_id"]
        for name, on in (("one", f"node:{node}"), ("two", f"domain:{domain}"), ("all", "*")):
            server.operator(name, ("node-agent", on))
        server.operator("wrong", ("node-agent", f"domain:{elsewhere}"))
        server.operator("manager", ("manage", "*"))

        async def agents_of(node_id: str) -> set[str]:
            names = ("one", "two", "all", "wrong", "manager")
            return {
                name
                for name in names
                if await server.relations.check(Caller(operator=name), "node-agent", Kind.NODE, node_id)
            }

        assert await agents_of(node) == {"one", "two", "all"}
        assert await agents_of(STRANGER) == {"all"}
        assert (await server.call("nodes.delete_node", id=node)).outcome == (204, None)
        assert await agents_of(node) == {"one", "all"}


async def test_a_grant_that_names_an_unknown_node_passes() -> None:
    async with tenancy.opened() as server:
        server.operator("seer", ("node-agent", f"node:{STRANGER}"))
        assert await server.relations.check(Caller(operator="seer"), "node-agent", Kind.NODE, STRANGER)


async def test_manage_on_a_domain_reaches_what_is_in_it_and_no_more() -> None:
    async with tenancy.opened() as server:
        domain, elsewhere = await server.domain(), await server.domain("other", "10.2.0.0/24")
        project, foreign = await server.project(domain), await server.project(elsewhere)
        resource = await server.resource(project)
        server.operator("lead", ("manage", f"domain:{domain}"))
        asked = [
            (Kind.DOMAIN, domain, True),
            (Kind.DOMAIN, elsewhere, False),
            (Kind.PROJECT, project, True),
            (Kind.PROJECT, foreign, False),
            (Kind.PROJECT, STRANGER, False),
            (Kind.RESOURCE, resource, True),
            (Kind.PLATFORM, "*", False),
        ]
        for kind, object_id, yes in asked:
            found = await server.relations.check(Caller(operator="lead"), "manage", kind, object_id)
            assert found is yes, (kind, object_id)


async def test_a_node_is_its_own_agent_and_nothing_else() -> None:
    async with tenancy.opened() as server:
        node = (await server.node(await server.domain()))["node_id"]
        caller = Caller(node_id=node)
        assert await server.relations.check(caller, "node-agent", Kind.NODE, node)
        assert not await server.relations.check(caller, "node-agent", Kind.NODE, STRANGER)
        assert not await server.relations.check(caller, "read", Kind.NODE, node)


async def test_no_look_up_where_no_domain_grant_could_decide() -> None:
    async with tenancy.opened() as server:
        server.operator("one", ("node-agent", f"node:{STRANGER}"))
        server.store.away = True
        assert await server.relations.check(Caller(operator="one"), "node-agent", Kind.NODE, STRANGER)
        other = STRANGER.replace("ff", "fe")
        assert not await server.relations.check(Caller(operator="one"), "node-agent", Kind.NODE, other)


@pytest.mark.parametrize(
    "token", ["short", "nsk_dev_" + "A" * 64, "with a blank in it, long", "A" * 43 + "="]
)
def test_tokens_that_could_be_mistaken_are_refused(token: str) -> None:
    known = operators.Operators(b"k" * 32)
    with pytest.raises(operators.OperatorRefused) as caught:
        known.enrol(name="x", token=token, grants=[])
    assert token not in str(caught.value)


def test_names_and_tokens_are_unique() -> None:
    known = operators.Operators(b"k" * 32)
    known.enrol(name="x", token="a-token-long-enough", grants=[])
    for name, token in (("x", "another-token-long"), ("y", "a-token-long-enough"), ("", "some-token-long-x")):
        with pytest.raises(operators.OperatorRefused):
            known.enrol(name=name, token=token, grants=[])


def test_relation_names_are_the_published_ones() -> None:
    assert (relations.NODE_AGENT, relations.AUDITOR, relations.MANAGE) == ("node-agent", "auditor", "manage")
