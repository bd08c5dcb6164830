"""The table of operations and the document say the same."""

from typing import Any

import pytest

from reference_server import contract
from reference_server.api.operations import OPERATIONS, Operation
from reference_server.problems import OUR_UNWIRED, PROBLEMS, PUBLISHED_UNWIRED

PATHS = contract.document().content["paths"]
METHODS = ("get", "put", "post", "patch", "delete")

# Read off contract_facts sections 2 to 4, 8.2 and 10; a rename would break every generated client.
PUBLISHED_COUNT = 83
OURS = frozenset(
    {
        "CreateDomainNode",
        "DeleteNode",
        "DeleteNodeStateEntry",
        "GetMetrics",
        "GetNodeSigningKeys",
        "ListSigningKeys",
        "ProvisionSigningKey",
        "PutNodeStateEntry",
        "RotateSigningKey",
    }
)
# contract_facts 1.7.
PUBLISHED_LIMITS = {
    "PutNodeEndpoint": 4096,
    "PostKeysRotate": 4096,
    "PutNodeCapabilities": 32768,
    "PostNodeIntegrityViolations": 32768,
    "CreateDomain": 8192,
    "PatchDomain": 8192,
    "CreateProject": 8192,
}


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = PATHS[operation.path][operation.method.lower()]
    return described


by_id = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)


def test_both_hold_the_same_methods_and_paths() -> None:
    documented = {
        (method.upper(), path) for path, item in PATHS.items() for method in item if method in METHODS
    }

    assert documented == {(operation.method, operation.path) for operation in OPERATIONS}
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)


def test_published_operations_and_ours_are_told_apart() -> None:
    ours = {operation.id for operation in OPERATIONS if operation.extension}

    assert ours == OURS
    assert len(OPERATIONS) - len(ours) == PUBLISHED_COUNT


@by_id
def test_an_operation_is_described_as_the_table_has_it(operation: Operation) -> None:
    described = _described(operation)

    assert described["operationId"] == operation.id
    assert described["x-busproof-served"] is (operation.served_by is not None)
    assert described.get("x-busproof-extension", False) is operation.extension
    assert described["x-busproof-codes"]["501"] == [operation.unwired]
    assert "501" in described["responses"]


@by_id
def test_a_body_has_the_limit_and_codes_of_the_table(operation: Operation) -> None:
    described = _described(operation)
    if "requestBody" not in described:
        return
    assert described["requestBody"]["x-busproof-body-limit"] == operation.body_limit
    assert operation.too_large in described["x-busproof-codes"]["413"]
    assert operation.body_code in described["x-busproof-codes"]["400"]


@by_id
def test_the_codes_of_the_table_have_the_right_status(operation: Operation) -> None:
    assert PROBLEMS[operation.unwired].status == 501
    assert PROBLEMS[operation.too_large].status == 413
    assert PROBLEMS[operation.body_code].status == 400
    assert operation.unwired in PUBLISHED_UNWIRED | OUR_UNWIRED


def test_published_limits_are_kept() -> None:
    limits = {operation.id: operation.body_limit for operation in OPERATIONS}

    assert {name: limits[name] for name in PUBLISHED_LIMITS} == PUBLISHED_LIMITS


def test_a_path_has_the_parameters_that_its_template_names() -> None:
    for operation in OPERATIONS:
        given = [_resolved(entry) for entry in _described(operation).get("parameters", ())]
        in_path = [entry["name"] for entry in given if entry["in"] == "path"]
        assert in_path == [part[1:-1] for part in operation.path.split("/") if part.startswith("{")], (
            operation.id
        )


def test_every_501_code_belongs_to_an_operation() -> None:
    assert {operation.unwired for operation in OPERATIONS} == PUBLISHED_UNWIRED | OUR_UNWIRED


def _resolved(parameter: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in parameter:
        return parameter
    found: dict[str, Any] = contract.document().content["components"]["parameters"][
        parameter["$ref"].rsplit("/", 1)[1]
    ]
    return found
