"""Contract_facts 8.4, row by row: what a client generated from the published contract needs of the server."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reference_server import contract
from tests.server.contract.served import Served

SCHEMAS = contract.document().content["components"]["schemas"]
ABSENT = "0198c0de-0000-7000-8000-00000000dead"
# The schemas that the generated client types as non-nullable, though the contract allows null.
NON_NULLABLE = ("policy", "bridge", "state", "reports")


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as made:
        yield made


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _node(served: Served, name: str) -> dict[str, Any]:
    node: dict[str, Any] = served.credentials["nodes"][name]
    return node


def _snapshot(client: httpx.Client, served: Served, name: str = "one") -> dict[str, Any]:
    node = _node(served, name)
    answer = client.get(f"/v1/nodes/{node['id']}/state", headers=_bearer(node["credential"]))
    assert answer.status_code == 200, answer.text
    snapshot: dict[str, Any] = answer.json()
    return snapshot


def test_no_block_of_a_snapshot_is_null(client: httpx.Client, served: Served) -> None:
    snapshot = _snapshot(client, served)

    assert all(snapshot[name] is not None for name in NON_NULLABLE)
    assert b"null" not in json.dumps(snapshot).encode()


def test_empty_blocks_are_spelled_as_the_client_reads_them(client: httpx.Client, served: Served) -> None:
    snapshot = _snapshot(client, served)

    assert snapshot["bridge"] == {}
    assert snapshot["policy"] == {
        "revision_id": "00000000-0000-0000-0000-000000000000",
        "fingerprint": base64.b64encode(hashlib.sha256(b"").digest()).decode(),
        "rules": [],
    }
    for name in ("state", "reports"):
        assert all(isinstance(snapshot[name][bucket], list) for bucket in ("metadata", "data", "reports"))


def test_executions_and_sessions_are_there_though_empty(client: httpx.Client, served: Served) -> None:
    snapshot = _snapshot(client, served)
    required = SCHEMAS["NodeStateSnapshot"]["required"]

    assert snapshot["executions"] == []
    assert snapshot["sessions"] == []
    assert [name for name in snapshot if name in required] == required


REFUSED = [
    ("GET", "/v1/nodes/{node}/state", {}, 401),
    ("GET", "/v1/nodes/{node}/state", {"token": "nonsense"}, 401),
    ("GET", "/v1/nodes/{node}/events", {"token": "operator", "cursor": "x"}, 400),
    ("GET", "/v1/nodes/" + ABSENT + "/state", {"token": "operator"}, 404),
    ("GET", "/v1/nodes/" + ABSENT + "/state", {"token": "node"}, 403),
    ("GET", "/v1/nodes/not-a-uuid/state", {"token": "operator"}, 400),
    ("GET", "/v1/nodes/{node}/secrets/db", {}, 501),
    ("GET", "/v1/nothing", {}, 404),
    ("DELETE", "/v1/health", {}, 405),
    ("POST", "/v1/domains", {"token": "operator", "body": "{"}, 400),
    ("POST", "/v1/domains", {"token": "operator", "body": " " * 9000}, 413),
    ("POST", "/v1/domains", {"token": "unrelated", "body": "{}"}, 403),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: f"{refused[3]} {refused[0]} {refused[1]}")
def test_every_problem_has_a_correlation_id(
    client: httpx.Client, served: Served, refused: tuple[str, str, dict[str, str], int]
) -> None:
    method, path, given, status = refused
    tokens = {
        "operator": served.operator,
        "unrelated": served.credentials["operators"]["nobody"]["token"],
        "node": _node(served, "one")["credential"],
    }
    headers: dict[str, str] = {}
    if "token" in given:
        headers |= _bearer(tokens.get(given["token"], given["token"]))
    if "cursor" in given:
        headers["Last-Event-ID"] = given["cursor"]
    path = path.format(node=_node(served, "one")["id"])

    answer = client.request(method, path, headers=headers, content=given.get("body"))
    problem = answer.json()

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]
    assert problem["instance"] == path
    assert set(SCHEMAS["Problem"]["required"]) <= problem.keys()


def test_a_correlation_id_is_fresh_each_time(client: httpx.Client) -> None:
    seen = [client.get("/v1/nothing").json()["correlation_id"] for _ in range(5)]

    assert len(set(seen)) == 5


def test_one_bearer_header_serves_both_schemes(client: httpx.Client, served: Served) -> None:
    node = _node(served, "one")
    path = f"/v1/nodes/{node['id']}/state"
    as_node = client.get(path, headers=_bearer(node["credential"]))
    as_operator = client.get(path, headers=_bearer(served.operator))

    assert (as_node.status_code, as_operator.status_code) == (200, 200)
    assert as_node.content == as_operator.content


def test_a_revoked_or_unknown_node_credential_is_told_apart_from_an_operators(
    client: httpx.Client, served: Served
) -> None:
    gone, one = _node(served, "gone"), _node(served, "one")
    path = f"/v1/nodes/{one['id']}/state"
    bare_nsk = base64.b64encode(bytes(32)).decode()
    codes = {
        name: client.get(path, headers=_bearer(token)).json()["code"]
        for name, token in {
            "revoked": gone["credential"],
            "unknown": "nsk_test_" + "A" * 64,
            "bare": bare_nsk,
            "other": "an-opaque-token-of-nobody",
        }.items()
    }

    assert codes == {
        "revoked": "nsk_revoked",
        "unknown": "nsk_invalid",
        "bare": "nsk_invalid",
        "other": "unauthenticated",
    }


def test_members_beyond_the_published_ones_stand_beside_them_only(
    client: httpx.Client, served: Served
) -> None:
    """A generated client keeps unknown members apart, so ours may be there and may replace nothing."""
    snapshot = _snapshot(client, served)
    extra = snapshot.keys() - set(SCHEMAS["NodeStateSnapshot"]["required"])
    properties = SCHEMAS["NodeStateSnapshot"]["properties"]

    assert extra == {"sources"}
    assert all(properties[name].get("x-busproof-extension") for name in extra)


def test_a_client_that_does_not_read_to_the_end_can_stream(client: httpx.Client, served: Served) -> None:
    """The plain method of a generated client would wait for the end; the other one gets the head at once."""
    node = _node(served, "two")
    path = f"/v1/nodes/{node['id']}/events"
    with client.stream("GET", path, headers=_bearer(node["credential"])) as answer:
        assert answer.status_code == 200
        entry = {"value": "here"}
        written = client.put(
            f"/v1/nodes/{node['id']}/state/metadata/mark", headers=_bearer(served.operator), json=entry
        )
        assert written.status_code == 200
        lines = iter(answer.iter_lines())
        event = next(line for line in lines if line.startswith("event: "))

    assert event == "event: node_state_updated"


def test_an_edge_without_relay_is_never_sent_as_null() -> None:
    """The topology is not served yet; what the document promises of it allows the null that it needs."""
    relay = SCHEMAS["MeshEdge"]["properties"]["relay_node_id"]

    assert "null" in relay["type"]
