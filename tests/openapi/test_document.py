"""The document is valid OpenAPI 3.1, describes every answer, and its examples are true."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from nacl.signing import VerifyKey
from openapi_spec_validator import validate

from reference_server import contract

DOCUMENT = contract.document().content
SCHEMAS: Mapping[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = frozenset({"get", "put", "post", "patch", "delete"})
EXAMPLES = [
    (name, place) for name, schema in SCHEMAS.items() for place in range(len(schema.get("examples", ())))
]


def _operations() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in sorted(METHODS & item.keys()):
            yield f"{method.upper()} {path}", item[method]


OPERATIONS = dict(_operations())


def resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a local reference leads to; the node itself where it is none."""
    reference = node.get("$ref")
    if reference is None:
        return node
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return resolve(found)


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(dict(contract.document().schema(name)), format_checker=FormatChecker())


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


def test_the_served_json_is_the_whole_document() -> None:
    served = json.loads(contract.document().json)

    assert served == DOCUMENT
    assert contract.parse(b"openapi: '3.1.0'").digest != contract.document().digest


@pytest.mark.parametrize("where", OPERATIONS)
def test_every_answer_is_described_with_its_headers_and_shape(where: str) -> None:
    for status, given in OPERATIONS[where]["responses"].items():
        response = resolve(given)
        assert response["description"], (where, status)
        assert {"X-Correlation-Id", "X-Plexsphere-API-Version"} <= response["headers"].keys(), (where, status)
        assert ("content" in response) is (status != "204"), (where, status)


@pytest.mark.parametrize("where", OPERATIONS)
def test_every_refusal_is_a_problem(where: str) -> None:
    operation = OPERATIONS[where]
    for status, given in operation["responses"].items():
        content = resolve(given).get("content", {})
        if int(status) >= 400 and operation["operationId"] != "GetHealth":
            assert set(content) == {"application/problem+json"}, (where, status)
            name = content["application/problem+json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert name in ("Problem", "PermissionDenied"), (where, status)


@pytest.mark.parametrize("where", OPERATIONS)
def test_an_operation_that_makes_something_names_its_limit_and_its_security(where: str) -> None:
    operation = OPERATIONS[where]
    for scheme in (name for entry in operation.get("security", ()) for name in entry):
        assert scheme in DOCUMENT["components"]["securitySchemes"], where
    if "requestBody" in operation:
        assert operation["requestBody"]["x-busproof-body-limit"] > 0, where
        assert "413" in operation["responses"], where


@pytest.mark.parametrize(("name", "place"), EXAMPLES)
def test_a_schema_example_validates(name: str, place: int) -> None:
    _validator(name).validate(SCHEMAS[name]["examples"][place])


def test_the_served_bodies_have_examples() -> None:
    missing = {name for name in _body_schemas(served=True) if not SCHEMAS[name].get("examples")}

    assert len(EXAMPLES) > 50
    assert not missing


def _body_schemas(*, served: bool) -> Iterator[str]:
    """Names of the schemas of JSON bodies, in and out, of operations that are served, or are not."""
    for operation in OPERATIONS.values():
        if operation["x-busproof-served"] is not served:
            continue
        bodies = [operation.get("requestBody", {}), *map(resolve, operation["responses"].values())]
        for body in bodies:
            reference = body.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
            if reference is not None:
                yield reference.rsplit("/", 1)[1]


@pytest.mark.parametrize(
    "name", ["Problem", "NodeStateSnapshot", "HeartbeatRequest", "SigningKeyRotatedPayload"]
)
def test_a_schema_refuses_what_lacks_a_member(name: str) -> None:
    example = dict(SCHEMAS[name]["examples"][0])
    validator = _validator(name)
    for member in SCHEMAS[name]["required"]:
        assert not validator.is_valid({key: value for key, value in example.items() if key != member})


def test_every_payload_type_has_a_schema_with_an_example() -> None:
    envelope = SCHEMAS["SignedEnvelope"]
    payloads = envelope["x-busproof-payloads"]

    assert list(payloads) == envelope["properties"]["type"]["enum"]
    assert len(payloads) == 14
    assert all(SCHEMAS[name]["examples"] for name in payloads.values())


def test_the_example_stream_is_framed_and_signed_as_the_clauses_say() -> None:
    events = DOCUMENT["paths"]["/v1/nodes/{id}/events"]["get"]
    text = events["responses"]["200"]["content"]["text/event-stream"]["example"]
    event, comment, rest = text.split("\n\n")
    lines = dict(line.split(": ", 1) for line in event.split("\n"))
    data = lines["data"]
    canonical, _, signature = data.rpartition(',"signature":')
    envelope = json.loads(data)
    key = base64.b64decode(SCHEMAS["SigningKey"]["examples"][0]["public_key"])

    assert list(lines) == ["id", "event", "data"]
    assert comment == ":keep-alive"
    assert rest == ""
    assert lines["event"] == envelope["type"]
    _validator("SignedEnvelope").validate(envelope)
    _validator(SCHEMAS["SignedEnvelope"]["x-busproof-payloads"][envelope["type"]]).validate(
        envelope["payload"]
    )
    VerifyKey(key).verify(f"{canonical}}}".encode(), base64.b64decode(json.loads(signature[:-1])))


def test_the_example_chain_of_keys_leads_from_the_pinned_one_to_the_active_one() -> None:
    chain = SCHEMAS["NodeSigningKeys"]["examples"][0]
    rotation = chain["rotations"][0]
    canonical = json.dumps(
        {name: value for name, value in rotation.items() if name != "signature"}, separators=(",", ":")
    )

    VerifyKey(base64.b64decode(chain["pinned_public_key"])).verify(
        canonical.encode(), base64.b64decode(rotation["signature"])
    )
    assert rotation["payload"]["previous_key_id"] == chain["pinned_key_id"]
    assert rotation["payload"]["key_id"] == chain["active_key_id"]
    assert rotation["payload"]["public_key"] == chain["active_public_key"]


def test_what_is_defined_is_used() -> None:
    text = contract.document().json.decode()
    payloads = set(SCHEMAS["SignedEnvelope"]["x-busproof-payloads"].values())
    unused = [
        f"{kind}/{name}"
        for kind in ("schemas", "parameters", "responses", "headers")
        for name in DOCUMENT["components"][kind]
        if f'"#/components/{kind}/{name}"' not in text and name not in payloads
    ]

    assert unused == []
