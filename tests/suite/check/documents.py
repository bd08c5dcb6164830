"""A small OpenAPI document and exchanges made of it, for tests of the contract profile."""

import json
from typing import Any

from conformance.check.contract_document import Document
from conformance.probe.transcript import Ending, Exchange, Head, Received

THING = "0198c0de-0000-7000-8000-00000000a001"

_PROBLEM = {"application/problem+json": {"schema": {"type": "object", "required": ["status"]}}}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_LIMIT = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}}
_BODY = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "domain_id": {"type": "string", "format": "uuid"},
    },
    "examples": [{"name": "one"}],
}


def _operation(name: str, *parameters: object, **more: object) -> dict[str, object]:
    answers = {
        "200": {"content": {"application/json": {"schema": {"type": "object", "required": ["id"]}}}},
        "400": {"content": _PROBLEM},
        "404": {"content": _PROBLEM},
    }
    return {"operationId": name, "parameters": list(parameters), "responses": answers, **more}


_SENDS = {"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}}

RAW: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "small", "version": "1"},
    "security": [{"operatorBearer": []}],
    "paths": {
        "/v1/things": {
            "get": _operation("ListThings", _LIMIT),
            "post": _operation("MakeThing", **_SENDS),
        },
        "/v1/nodes/{id}": {
            "get": _operation("GetThing", _ID),
            "put": _operation("PutThing", _ID, **_SENDS),
            "delete": _operation("DropThing", _ID),
        },
        "/v1/nodes/{id}/events": {
            "get": {
                "operationId": "Stream",
                "parameters": [_ID],
                "responses": {"200": {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
            }
        },
    },
    "components": {
        "securitySchemes": {"operatorBearer": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "SignedEnvelope": {"x-busproof-payloads": {"gone": "Gone"}},
            "Gone": {
                "type": "object",
                "required": ["node_id"],
                "properties": {"node_id": {"type": "string", "format": "uuid"}},
                "additionalProperties": False,
            },
        },
    },
}

SMALL = Document(RAW, served=True)


def exchange(
    method: str = "GET",
    target: str = "/v1/things",
    *,
    status: int = 200,
    sent: bytes = b"",
    got: bytes = b'{"id":"1"}',
    kind: str = "application/json",
    label: str = "fuzzing ListThings #1",
    ending: Ending = Ending.COMPLETE,
    headers: tuple[tuple[str, str], ...] = (),
) -> Exchange:
    named = (("Content-Type", kind), *headers) if kind else headers
    return Exchange(
        id=1,
        label=label,
        identity="operator",
        sent_at=0,
        method=method,
        target=target,
        request_headers=(("Content-Type", "application/json"),) if sent else (),
        request_body=sent,
        head=Head(at=1, http_version="1.1", status=status, headers=named) if status else None,
        received=(Received(at=1, raw=got, body=got),),
        ended_at=2,
        ending=ending,
    )


def served() -> Exchange:
    """The exchange in which a scenario fetched the document."""
    return exchange(target="/v1/openapi.json", got=json.dumps(RAW).encode(), label="openapi")
