"""Every operation once over real HTTP; openapi-core judges each request and each answer by the document."""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

from reference_server import contract
from reference_server.api.operations import OPERATIONS, Operation
from tests.server.contract.served import Served

DOCUMENT = contract.document().content
ABSENT = "0198c0de-0000-7000-8000-00000000dead"
BY_ID = {operation.id: operation for operation in OPERATIONS}
# Answered by a test of their own: a stream has no end, and openapi-core reads JSON and text only.
STREAMED = frozenset({"GetNodeEvents"})


@pytest.fixture(scope="module")
def specification() -> OpenAPI:
    config = Config(extra_media_type_deserializers={"application/problem+json": json.loads})
    return OpenAPI.from_dict(dict(DOCUMENT), config=config)


@dataclass
class _Asked:
    """A request of httpx as openapi-core wants it."""

    sent: httpx.Request
    parameters: RequestParameters = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(self.sent.url.params.multi_items()),
            header=Headers(list(self.sent.headers.items())),
        )

    @property
    def host_url(self) -> str:
        return f"{self.sent.url.scheme}://{self.sent.url.netloc.decode()}"

    @property
    def path(self) -> str:
        return self.sent.url.path

    @property
    def method(self) -> str:
        return self.sent.method.lower()

    @property
    def content_type(self) -> str:
        return str(self.sent.headers.get("content-type", ""))

    @property
    def body(self) -> bytes | None:
        return self.sent.content or None


@dataclass
class _Answered:
    """An answer of httpx as openapi-core wants it."""

    received: httpx.Response

    @property
    def status_code(self) -> int:
        return self.received.status_code

    @property
    def content_type(self) -> str:
        return str(self.received.headers.get("content-type", ""))

    @property
    def headers(self) -> Headers:
        return Headers(list(self.received.headers.items()))

    @property
    def data(self) -> bytes:
        return self.received.content


class Driver:
    """Asks by operation id and has every exchange judged."""

    def __init__(self, served: Served, specification: OpenAPI) -> None:
        self.served = served
        self.specification = specification
        self.driven: set[str] = set()
        self._client = httpx.Client(base_url=served.url, trust_env=False, timeout=30)

    def close(self) -> None:
        self._client.close()

    def ask(
        self,
        operation_id: str,
        status: int,
        *,
        token: str | None = None,
        body: object = None,
        query: dict[str, str] | None = None,
        judge_request: bool = True,
        **parameters: str,
    ) -> Any:
        """The parsed answer to an operation, whose status is as expected and which the document describes."""
        operation = BY_ID[operation_id]
        path = operation.path.format(**{name.rstrip("_"): value for name, value in parameters.items()})
        bearer = self.served.operator if token is None else token
        request = self._client.build_request(
            operation.method,
            path,
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
        )
        response = self._client.send(request)
        assert response.status_code == status, (operation_id, response.status_code, response.text)
        if judge_request:
            self.specification.validate_request(_Asked(request))
        self.specification.validate_response(_Asked(request), _Answered(response))
        self.driven.add(operation_id)
        is_json = response.headers.get("content-type", "").partition(";")[0].endswith("json")
        answer: Any = response.json() if is_json else response.content
        if status >= 400 and "code" in answer:
            described = DOCUMENT["paths"][operation.path][operation.method.lower()]["x-busproof-codes"]
            assert answer["code"] in described[str(status)], operation_id
        return answer


@pytest.fixture(scope="module")
def driver(served: Served, specification: OpenAPI) -> Iterator[Driver]:
    made = Driver(served, specification)
    yield made
    made.close()


def _key(name: str) -> str:
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def test_every_served_operation_is_as_the_document_says(driver: Driver) -> None:
    ask = driver.ask
    domain = _tenancy(driver)
    project, first, second = _enrolment(driver, domain)
    node, bearer = str(first["node_id"]), str(first["credential"])
    _node_surface(driver, node, bearer)
    _labels(driver, node)
    _signing_keys(driver, node, bearer)
    _meta(driver)

    ask("ListNodes", 200, query={"domain_id": domain, "limit": "1"})
    snapshot = ask("GetNodeState", 200, token=bearer, id=node)
    assert [peer["node_id"] for peer in snapshot["peers"]] == [second["node_id"]]
    ask("DeleteNode", 204, id=str(second["node_id"]))
    refused = ask("DeleteDomain", 409, id=domain)
    assert refused["child_counts"]["nodes"] == 1
    ask("GetProject", 200, id=project)

    served_ids = {operation.id for operation in OPERATIONS if operation.served_by is not None}
    assert served_ids - driver.driven == STREAMED


def _tenancy(driver: Driver) -> str:
    ask = driver.ask
    body = {"name": "Driven", "slug": "driven", "mesh_cidr": "10.201.0.0/16"}
    domain = ask("CreateDomain", 201, body=body)
    ask("CreateDomain", 409, body=body)
    spare = ask("CreateDomain", 201, body={"name": "S", "slug": "spare", "mesh_cidr": "10.202.0.0/16"})
    ask("DeleteDomain", 204, id=spare["id"])
    ask("GetDomain", 200, id=domain["id"])
    ask("PatchDomain", 200, id=domain["id"], body={"description": "driven by a test"})
    page = ask("ListDomains", 200, query={"limit": "1"})
    ask("ListDomains", 200, query={"limit": "1", "cursor": page["next_cursor"]})
    return str(domain["id"])


def _enrolment(driver: Driver, domain: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    ask = driver.ask
    project = ask("CreateProject", 201, body={"domain_id": domain, "name": "P", "slug": "p"})["id"]
    ask("ListProjects", 200, query={"domain_id": domain})
    handle = {"origin": "adopted", "kind": "vm", "external_ref": "edge-7"}
    ask("CreateResource", 201, project_id=project, body=handle)
    other = ask("CreateResource", 201, project_id=project, body={**handle, "external_ref": "edge-8"})
    ask("ListProjectResources", 200, project_id=project)
    ask("GetResource", 200, id=other["id"])
    ask("DeleteResource", 204, id=other["id"])
    wanted = {"kind": "node", "env_prefix": "test", "ttl_seconds": 300}
    token = ask("IssueBootstrapToken", 201, project_id=project, body=wanted)
    spare = ask("IssueBootstrapToken", 201, project_id=project, body=wanted)
    ask("ListBootstrapTokens", 200, project_id=project)
    ask("RevokeBootstrapToken", 204, project_id=project, id=spare["token_id"])
    ask("GetBootstrapTokenMetadata", 200, project_id=project, id=spare["token_id"])
    registration = {
        "project_id": project,
        "resource_handle": "edge-7",
        "bootstrap_token": token["token"],
        "nonce": "first",
        "public_key": _key("first"),
    }
    first = ask("PostRegister", 201, token="", body=registration)
    ask("PostRegister", 403, token="", body=registration)
    second = ask("CreateDomainNode", 201, id=domain, body={"public_key": _key("second"), "name": "second"})
    return str(project), first, second


def _node_surface(driver: Driver, node: str, bearer: str) -> None:
    ask = driver.ask
    heartbeat = {
        "client_now": _now(),
        "binary_checksum": _key("binary"),
        "binary_version": "1.0",
        "nat_summary": {},
    }
    ask("PostNodeHeartbeat", 200, token=bearer, id=node, body=heartbeat)
    ask("PostNodeHeartbeat", 403, token=bearer, id=ABSENT, body=heartbeat)
    ask("GetNodeReachability", 200, token=bearer, id=node)
    endpoint = {"endpoint": "203.0.113.7:51820", "nat_type": "full_cone", "reported_at": _now()}
    ask("PutNodeEndpoint", 200, token=bearer, id=node, body=endpoint)
    ask("PutNodeStateReport", 200, token=bearer, id=node, key="web", body={"value": "up"})
    ask("DeleteNodeStateReport", 204, token=bearer, id=node, key="web")
    ask("DeleteNodeStateReport", 404, token=bearer, id=node, key="web")
    ask("PutNodeStateEntry", 200, id=node, bucket="metadata", key="rack", body={"value": "b-12"})
    ask("DeleteNodeStateEntry", 204, id=node, bucket="metadata", key="rack")
    ask("GetNodeKeysRotatePreview", 200, id=node)
    ask("PostNodeKeysRotate", 200, id=node)
    ask("PostKeysRotate", 200, token=bearer, body={"new_public_key": _key("rotated")})
    ask("GetNodeState", 401, token="", id=node, judge_request=False)
    ask("GetNodeState", 404, id=ABSENT)


def _labels(driver: Driver, node: str) -> None:
    ask = driver.ask
    definition = {
        "scope": "platform",
        "local_key": "env",
        "value_schema": {"kind": "enum", "values": ["test", "live"]},
        "applicable_kinds": ["node"],
    }
    made = ask("CreateLabelDefinition", 201, body=definition)
    assignment = {"definition_id": made["id"], "value": "test"}
    ask("PutObjectLabel", 200, kind="node", id=node, body=assignment)
    ask("ListObjectLabels", 200, kind="node", id=node)
    ask("DeleteObjectLabel", 204, kind="node", id=node, query={"qualified_key": made["qualified_key"]})


def _signing_keys(driver: Driver, node: str, bearer: str) -> None:
    ask = driver.ask
    bare = {"name": "B", "slug": "bare", "mesh_cidr": "10.203.0.0/16", "signing_key": "none"}
    domain = ask("CreateDomain", 201, body=bare)["id"]
    ask("CreateDomainNode", 201, id=domain, body={"public_key": _key("unsigned")})
    ask("RotateSigningKey", 409, id=domain, body={"transition_seconds": 60})
    ask("ProvisionSigningKey", 201, id=domain)
    ask("ProvisionSigningKey", 409, id=domain)
    ask("RotateSigningKey", 200, id=domain, body={"transition_seconds": 60})
    ask("ListSigningKeys", 200, id=domain)
    ask("GetNodeSigningKeys", 200, token=bearer, id=node)


def _meta(driver: Driver) -> None:
    for operation_id in ("GetHealth", "GetVersion", "GetOpenAPI", "GetDocs", "GetMetrics"):
        driver.ask(operation_id, 200, token="")
    driver.ask("GetDocsAsset", 404, token="", asset="app.js")


UNSERVED = [operation for operation in OPERATIONS if operation.served_by is None]


@pytest.mark.parametrize("operation", UNSERVED, ids=lambda operation: operation.id)
def test_what_is_not_served_yet_says_so(driver: Driver, operation: Operation) -> None:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    fitting = {"name": "db", "slug": "a", "seq": "1"}
    body: object = {} if operation.method in ("POST", "PUT", "PATCH") else None
    parameters: dict[str, Any] = {name: fitting.get(name, ABSENT) for name in names}
    answer = driver.ask(operation.id, 501, token="", body=body, judge_request=False, **parameters)

    assert answer["code"] == operation.unwired


def test_a_stream_has_the_head_that_the_document_describes(served: Served) -> None:
    node = served.credentials["nodes"]["one"]
    headers = {"Authorization": f"Bearer {node['credential']}", "Accept": "text/event-stream"}
    described = DOCUMENT["paths"]["/v1/nodes/{id}/events"]["get"]["responses"]["200"]
    with (
        httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client,
        client.stream("GET", f"/v1/nodes/{node['id']}/events", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] in described["content"]
        assert response.headers["x-plexsphere-api-version"] == "v1"
        assert "no-cache" in response.headers["cache-control"]
        assert all(name.lower() in response.headers for name in described["headers"])


def test_a_refused_cursor_is_a_problem(driver: Driver, served: Served) -> None:
    node = served.credentials["nodes"]["one"]
    answer = httpx.get(
        f"{served.url}/v1/nodes/{node['id']}/events",
        headers={"Authorization": f"Bearer {node['credential']}", "Last-Event-ID": "18446744073709551615"},
        trust_env=False,
    )

    assert (answer.status_code, answer.json()["code"]) == (410, "last_event_id_outside_replay_window")
    driver.specification.validate_response(_Asked(answer.request), _Answered(answer))
