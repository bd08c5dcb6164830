"""One row of the problems table, and the three ways to write it."""

from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

# contract_facts 1.3: tenancy and bridge title a problem with its code, the node surface with the phrase.
_UPPER_CASE_WORDS = MappingProxyType({"cidr": "CIDR", "acme": "ACME", "nsk": "NSK", "psk": "PSK"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is fixed about one code. `reason` is set for authorisation refusals (ERR-4)."""

    status: int
    title: str
    detail: str
    reason: str | None = None
    retry_after_seconds: int | None = None


# Seconds after which a caller may try again; long enough that a fleet does not hammer a recovering server.
_RETRY_SECONDS = 5


def phrase(status: int, detail: str, *, title: str | None = None, retry: bool = False) -> Problem:
    """A row titled with the phrase of its status; `retry`: waiting helps."""
    return Problem(
        status=status,
        title=title or HTTPStatus(status).phrase,
        detail=detail,
        retry_after_seconds=_RETRY_SECONDS if retry else None,
    )


def coded(status: int, code: str, detail: str) -> tuple[str, Problem]:
    """A row titled with its code, beside that code."""
    words = (_UPPER_CASE_WORDS.get(word, word.capitalize()) for word in code.split("_"))
    return code, Problem(status=status, title=" ".join(words), detail=detail)


def denied(detail: str, reason: str) -> Problem:
    """A refusal by authorisation (ERR-4)."""
    return Problem(status=403, title=HTTPStatus.FORBIDDEN.phrase, detail=detail, reason=reason)
