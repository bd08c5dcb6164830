"""Every code that the server can answer with is in the table, in the document, and under one status."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import reference_server
from reference_server import contract
from reference_server.problems import PROBLEMS

ROOT = Path(reference_server.__file__).parent
PATHS = contract.document().content["paths"]

# In the taxonomy of the contract, of operations that it has and this surface has not.
ELSEWHERE = frozenset(
    {
        "csrf_origin_mismatch",
        "csrf_origin_not_configured",
        "csrf_token_mismatch",
        "project_not_empty",
        "sub_range_invalidates_allocation",
    }
)


def _documented() -> Iterator[tuple[str, str, str]]:
    for item in PATHS.values():
        for operation in item.values():
            for status, codes in operation["x-busproof-codes"].items():
                yield from ((operation["operationId"], status, code) for code in codes)


def _raised() -> Iterator[tuple[str, str]]:
    """Each code that is spelled in a `Refusal("…")` of the server, with where."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                not isinstance(node, ast.Call)
                or not isinstance(node.func, ast.Name)
                or node.func.id != "Refusal"
            ):
                continue
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", first.value


RAISED = sorted(set(_raised()))


def test_documented_codes_are_in_the_table_under_their_status() -> None:
    for operation, status, code in _documented():
        assert str(PROBLEMS[code].status) == status, (operation, code)


def test_a_status_with_codes_is_an_answer_of_the_operation() -> None:
    for path, item in PATHS.items():
        for operation in item.values():
            assert operation["x-busproof-codes"].keys() <= operation["responses"].keys(), path


def test_every_code_of_the_table_is_documented() -> None:
    assert set(PROBLEMS) - {code for _, _, code in _documented()} == ELSEWHERE


@pytest.mark.parametrize(("where", "code"), RAISED)
def test_a_code_that_the_server_raises_is_documented(where: str, code: str) -> None:
    assert code in {documented for _, _, documented in _documented()}, where


def test_the_scan_sees_the_server() -> None:
    assert len(RAISED) > 10
