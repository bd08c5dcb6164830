"""What can be wrong with one generated exchange, by the document and by the clauses on HTTP. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus

from conformance.check import reading
from conformance.check.contract_document import Document, Kind, judged_here
from conformance.probe.draft import Phase
from conformance.probe.transcript import Ending, Exchange

CLIENT_ERRORS = range(400, 500)

# Answers of the contract for a part that is not there, now or at all.
_EXPECTED_5XX = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.SERVICE_UNAVAILABLE})

# What says that a request is malformed; other refusals of an example speak of what is there.
_MALFORMED = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)

# Depth to which two bodies are compared by shape; deeper ones count as alike.
_SHAPE_DEPTH = 6


class Wrong(StrEnum):
    """One way to break the contract."""

    FAILED = "the server failed"
    UNDOCUMENTED = "the document has no such answer"
    ACCEPTED = "what the document does not allow was accepted"
    REFUSED = "the document's own example was refused as malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One exchange that breaks the contract: which way, in which operation, and what exactly."""

    wrong: Wrong
    operation: str
    what: str
    exchange: Exchange


@lru_cache(maxsize=16)
def breaches(document: Document, exchanges: tuple[Exchange, ...]) -> tuple[Breach, ...]:
    """Every breach. Answers of one operation, status and shape are held against the document once."""
    return tuple(_breaches(document, exchanges))


def breaches_of(document: Document, exchange: Exchange) -> tuple[Breach, ...]:
    """The breaches of one exchange alone: what a smaller request is judged by."""
    return tuple(_breaches(document, (exchange,)))


def smallest(found: Iterable[Breach]) -> dict[tuple[str, Wrong], tuple[Breach, int]]:
    """For each operation and way the breach with the smallest request, and how many there were."""
    best: dict[tuple[str, Wrong], tuple[Breach, int]] = {}
    for each in found:
        key = (each.operation, each.wrong)
        known, count = best.get(key, (each, 0))
        best[key] = (min(known, each, key=lambda breach: size(breach.exchange)), count + 1)
    return best


def size(exchange: Exchange) -> tuple[int, str, bytes]:
    """By what requests are compared: length, then text, so that the smallest is always the same."""
    length = len(exchange.target) + len(exchange.request_body)
    return length, exchange.target, exchange.request_body


def conforming(document: Document, exchanges: Iterable[Exchange]) -> Exchange | None:
    """An exchange that shows the document being kept: accepted, with a body that it describes."""
    for each in exchanges:
        accepted = reading.status_of(each) in (HTTPStatus.OK, HTTPStatus.CREATED) and bool(each.body)
        asked = document.asked(each)
        if accepted and asked is not None and asked.id and not document.answer_faults(each):
            return each
    return None


def named(body: bytes) -> dict[str, str]:
    """The members of a JSON object that are texts; nothing for anything else."""
    try:
        members = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(members, dict):
        return {}
    return {name: value for name, value in members.items() if isinstance(value, str)}


def shape(body: bytes) -> str:
    """Members and types of a JSON body, without its values; the length class of any other."""
    try:
        return json.dumps(_shape(json.loads(body), _SHAPE_DEPTH), sort_keys=True)
    except ValueError:
        return f"{bool(body)}"


def _breaches(document: Document, exchanges: Iterable[Exchange]) -> Iterator[Breach]:
    told: set[tuple[object, ...]] = set()
    for each in exchanges:
        asked = document.asked(each)
        operation = (asked.id or f"{each.method} {asked.template}") if asked is not None else "no path of it"
        for wrong, what in _wrongs(document, each, told, operation):
            yield Breach(wrong=wrong, operation=operation, what=what, exchange=each)


def _wrongs(
    document: Document, exchange: Exchange, told: set[tuple[object, ...]], operation: str
) -> Iterator[tuple[Wrong, str]]:
    status = reading.status_of(exchange)
    if exchange.ending is Ending.LEFT:
        return  # it was us who did not wait
    if not status or exchange.ending is not Ending.COMPLETE:
        yield Wrong.FAILED, f"no whole answer: {exchange.ending.value}"
        return
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _EXPECTED_5XX:
        yield Wrong.FAILED, f"{status}"
    if not judged_here(exchange):
        return
    if status < HTTPStatus.BAD_REQUEST:
        for fault in document.request_faults(exchange):
            yield Wrong.ACCEPTED, f"{status} although {fault.text}"
    elif exchange.label.startswith(Phase.EXAMPLES) and status in _MALFORMED:
        yield Wrong.REFUSED, reading.answer_text(exchange)
    alike = (operation, exchange.method, status, _media(exchange), shape(exchange.body))
    if alike not in told:
        told.add(alike)
        for fault in document.answer_faults(exchange):
            told.discard(alike)  # each of its kind is counted, and the smallest is shown
            yield Wrong.UNDOCUMENTED, _fault(status, fault.kind, fault.text)


def _fault(status: int, kind: Kind, text: str) -> str:
    return f"{status}, {kind.value}: {text}"


def _media(exchange: Exchange) -> tuple[str, ...]:
    return () if exchange.head is None else exchange.head.values("Content-Type")


def _shape(value: object, depth: int) -> object:
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {name: _shape(each, depth - 1) for name, each in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(_shape(each, depth - 1), sort_keys=True) for each in value})
    return type(value).__name__
