"""Refusals: how the rooms say no, and how a no is written on the wire (ERR-1…6).

    Exception
    └── Refusal        one answer with a status of 4xx or 5xx; everything else that escapes is a defect (500)

The texts are in `problems.PROBLEMS`; nothing here or there repeats what an exception said (ERR-5).
"""

from collections.abc import Mapping, Sequence

import msgspec

from reference_server.problems import PROBLEMS, UNCODED, Problem

# contract_facts 1.3 and ERR-2; the dash rule holds for every code.
TYPE_PREFIX = "https://plexsphere.com/errors/"
CODELESS_TYPE = "about:blank"
CONTENT_TYPE = b"application/problem+json"

# Members that every problem has, in their order; `extra` may not replace them.
_OWN_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "correlation_id", "code"})

HeaderLines = tuple[tuple[bytes, bytes], ...]

_ENCODER = msgspec.json.Encoder()

# RFC 9110 section 11.6.1: a 401 names the scheme that would be accepted.
_CHALLENGE: HeaderLines = ((b"WWW-Authenticate", b"Bearer"),)
_STEP_UP_CHALLENGE: HeaderLines = ((b"WWW-Authenticate", b'Bearer error="insufficient_user_authentication"'),)


class Refusal(Exception):
    """An answer that refuses: `Refusal("node_not_found")`, or without a code `Refusal(None, status=405)`.

    `detail` replaces the fixed sentence only where it holds nothing but the caller's own values. `extra` are
    further members of the problem (`child_counts`, `dimension`, `relation_path`). Raises KeyError for a code
    or a status that the tables do not have, ValueError where `extra` names a member of its own.
    """

    def __init__(
        self,
        code: str | None,
        *,
        status: int | None = None,
        detail: str | None = None,
        headers: HeaderLines = (),
        extra: Mapping[str, object] | None = None,
    ) -> None:
        problem = _problem_of(code, status)
        if not _OWN_MEMBERS.isdisjoint(extra or ()):
            raise ValueError("extra members of a problem cannot replace its own: status, code and so on")
        super().__init__(code or problem.status)
        self.code = code
        self.problem = problem
        self.status = problem.status
        self.detail = detail or problem.detail
        self.headers = headers + _standing_headers(code, problem)
        self.extra: Mapping[str, object] = extra or {}

    @property
    def type_uri(self) -> str:
        """The problem's type (ERR-2)."""
        return CODELESS_TYPE if self.code is None else TYPE_PREFIX + self.code.replace("_", "-")


def problem_body(refusal: Refusal, *, instance: str, correlation_id: str) -> bytes:
    """Write the application/problem+json body, members in the published order (contract_facts 7.1, N-9).

    `instance` is the request's path, `correlation_id` what X-Correlation-Id carries (ERR-1, ERR-3).
    """
    members: dict[str, object] = {
        "type": refusal.type_uri,
        "title": refusal.problem.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": instance,
        "correlation_id": correlation_id,
    }
    if refusal.code is not None:
        members["code"] = refusal.code
    members.update(_denial(refusal.problem))
    members.update(refusal.extra)
    return _ENCODER.encode(members)


def codes_with_status(status: int) -> Sequence[str]:
    """Every code of the table that answers with this status, sorted."""
    return sorted(code for code, problem in PROBLEMS.items() if problem.status == status)


def _problem_of(code: str | None, status: int | None) -> Problem:
    if code is not None:
        return PROBLEMS[code]
    if status is None:
        raise KeyError("a refusal without a code needs a status")
    return UNCODED[status]


def _denial(problem: Problem) -> Mapping[str, object]:
    if problem.reason is None:
        return {}
    return {"reason": problem.reason, "relation_path": []}


def _standing_headers(code: str | None, problem: Problem) -> HeaderLines:
    if problem.retry_after_seconds is not None:
        return ((b"Retry-After", b"%d" % problem.retry_after_seconds),)
    if code == "step_up_required":
        return _STEP_UP_CHALLENGE
    return _CHALLENGE if problem.status == 401 else ()  # noqa: PLR2004 - the status itself says it
