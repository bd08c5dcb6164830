"""Every refusal is a problem as ERR-1…5 ask for, whatever it carries."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server import contract, errors
from reference_server.errors import Refusal
from reference_server.problems import PROBLEMS, UNCODED

INSTANCE = "/v1/nodes/0198c0de-0000-7000-8000-00000000a001/state"
CORRELATION = "0198c0de-0000-7000-8000-000000000c1d"
MEMBERS = ["type", "title", "status", "detail", "instance", "correlation_id"]
COUNTS = {"projects": 1, "groups": 0, "identities": 0, "idp_bindings": 0, "nodes": 2}
# Words that only something internal would bring into a fixed sentence (ERR-5).
INTERNALS = ("sqlite", "postgres", "traceback", "exception", "/work", "localhost", "127.0.0.1", "select ")


def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(contract.document().schema(name)), validate_formats=True)


PROBLEM = _validator("Problem")
PERMISSION_DENIED = _validator("PermissionDenied")


def _body(refusal: Refusal) -> dict[str, Any]:
    raw = errors.problem_body(refusal, instance=INSTANCE, correlation_id=CORRELATION)
    body: dict[str, Any] = json.loads(raw)
    return body


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_coded_refusal_is_a_problem(code: str) -> None:
    refusal = Refusal(code)
    body = _body(refusal)

    PROBLEM.validate(body)
    assert list(body)[: len(MEMBERS)] == MEMBERS
    assert body["status"] == refusal.status == PROBLEMS[code].status
    assert body["type"] == "https://plexsphere.com/errors/" + code.replace("_", "-")
    assert body["code"] == code
    assert body["instance"] == INSTANCE
    assert body["correlation_id"] == CORRELATION


@pytest.mark.parametrize("status", UNCODED)
def test_a_refusal_without_code_is_a_blank_problem(status: int) -> None:
    body = _body(Refusal(None, status=status))

    PROBLEM.validate(body)
    assert list(body) == MEMBERS
    assert body["type"] == "about:blank"
    assert body["status"] == status


@pytest.mark.parametrize("code", [code for code, problem in PROBLEMS.items() if problem.reason is not None])
def test_an_authorisation_refusal_says_why(code: str) -> None:
    body = _body(Refusal(code))

    PERMISSION_DENIED.validate(body)
    assert body["relation_path"] == []


@pytest.mark.parametrize(
    "code", ["node_id_mismatch", "nsk_node_mismatch", "insufficient_relation", "permission_denied"]
)
def test_these_are_authorisation_refusals(code: str) -> None:
    assert PROBLEMS[code].reason == "insufficient_relation"


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_sentence_is_fixed_whole_and_free_of_internals(code: str) -> None:
    problem = PROBLEMS[code]

    assert problem.detail.endswith(".")
    assert problem.title
    assert not any(word in problem.detail.lower() for word in INTERNALS)
    assert 400 <= problem.status <= 599


def test_extra_members_come_last_and_replace_nothing() -> None:
    body = _body(Refusal("domain_not_empty", extra={"child_counts": COUNTS}))

    PROBLEM.validate(body)
    assert list(body)[-1] == "child_counts"
    assert body["child_counts"] == COUNTS
    with pytest.raises(ValueError, match="status"):
        Refusal("domain_not_empty", extra={"status": 200})


def test_retry_after_and_challenge_go_with_their_refusals() -> None:
    assert (b"Retry-After", b"5") in Refusal("event_stream_unavailable").headers
    assert (b"WWW-Authenticate", b"Bearer") in Refusal("unauthenticated").headers
    assert Refusal("node_not_found").headers == ()
    assert Refusal(None, status=405, headers=((b"Allow", b"GET"),)).headers == ((b"Allow", b"GET"),)


@pytest.mark.parametrize(
    "arguments", [{"code": "no_such_code"}, {"code": None, "status": 299}, {"code": None}]
)
def test_what_the_tables_do_not_hold_is_a_defect(arguments: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        Refusal(**arguments)


@given(
    code=st.sampled_from([*PROBLEMS, None]),
    status=st.sampled_from(list(UNCODED)),
    detail=st.one_of(st.none(), st.text(min_size=1)),
    instance=st.text(),
)
def test_any_refusal_renders_to_a_problem(
    code: str | None, status: int, detail: str | None, instance: str
) -> None:
    refusal = Refusal(code, status=None if code else status, detail=detail)
    body = json.loads(errors.problem_body(refusal, instance=f"/{instance}", correlation_id=CORRELATION))

    PROBLEM.validate(body)
    assert body["detail"] == (detail or refusal.problem.detail)
    assert body["instance"] == f"/{instance}"
