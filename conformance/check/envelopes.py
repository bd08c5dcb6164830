"""The envelopes that the scenario `tail` brought, clause by clause of section 1."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

from conformance.agent import envelope, lexemes
from conformance.check import reading, tail
from conformance.check.model import CannotJudge, Check, Finding, Scenario
from conformance.check.reading import Placed
from conformance.probe.transcript import Exchange, Transcript

# Section 7: the table is closed.
TYPES = frozenset(
    {
        "node_state_updated",
        "policy_updated",
        "bridge_config_updated",
        "peer_registered",
        "peer_deregistered",
        "peer_psk_assigned",
        "peer_key_rotated",
        "peer_endpoint_changed",
        "rotate_keys",
        "signing_key_rotated",
        "action_request",
        "session_setup",
        "session_revoked",
        "node_secrets_updated",
    }
)

# ENV-12: no further in the future than this, and no older than that on a connection without a cursor.
FUTURE_SECONDS = 60
AGE_SECONDS = 300

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SCOPE = re.compile(r"domain:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RAW = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")
Judge = Callable[[Transcript], Iterator[Finding]]


def of_clause(clause: str, expected: str) -> Judge:
    """A judgement of what our own reader says about one clause."""

    def judge(transcript: Transcript) -> Iterator[Finding]:
        return read(tail.all_events(transcript), clause, expected)

    return judge


def read(found: Sequence[Placed], clause: str, expected: str) -> Iterator[Finding]:
    """What our own reader says about one clause, envelope by envelope."""
    broken = [
        (each, violation.seen)
        for each in found
        for violation in envelope.read(each.frame.data).violations
        if violation.clause == clause
    ]
    return reading.weighed(clause, expected, broken, f"{len(found)} envelopes")


def judge_canonical(transcript: Transcript) -> Iterator[Finding]:
    yield from of_clause("ENV-2", "no white space between the members")(transcript)
    yield from of_clause("ENV-3", "the signature inserted as the last member, plainly spelled")(transcript)


def judge_escapes(transcript: Transcript) -> Iterator[Finding]:
    spelled = [each for each in tail.all_events(transcript) if b'"awkward"' in each.frame.data]
    if not spelled:
        raise CannotJudge("the entry with the awkward characters never came")
    yield from of_clause("ENV-4", "the escapes of ENV-4 and no others")(transcript)


def judge_payload(transcript: Transcript) -> Iterator[Finding]:
    yield from of_clause("ENV-5", "no white space inside the payload")(transcript)
    pulled = reading.answered(transcript, "state afterwards")
    raw = _RAW.search(pulled.body)
    seen = f"raw {envelope.around(pulled.body, raw.start())}" if raw else "escaped"
    yield reading.finding("ENV-5", raw is None, "a snapshot with the same escapes", seen, pulled)
    told = [each for each in tail.all_events(transcript) if reading.step(each) == tail.LAST]
    if told:
        block = _block(told[-1], "state")
        yield reading.same("ENV-5", _member(pulled.body, "state"), block, "the state block", pulled)


def judge_signatures(transcript: Transcript) -> Iterator[Finding]:
    key = base64.b64decode(str(reading.fact(transcript, "node tail_node", "public_key")))
    broken = []
    for each in _readable(transcript):
        found = envelope.read(each.frame.data).envelope
        if found is None or not envelope.verify(found, key):
            broken.append((each, "a signature that does not verify"))
    broken += [
        (each, violation.seen)
        for each in tail.all_events(transcript)
        for violation in envelope.read(each.frame.data).violations
        if violation.clause == "ENV-7"
    ]
    expected = "the Ed25519 signature of the canonical bytes by the pinned key"
    yield from reading.weighed("ENV-7", expected, broken, "every signature verifies")


def judge_key_ids(transcript: Transcript) -> Iterator[Finding]:
    pinned = str(reading.fact(transcript, "node tail_node", "key_id"))
    if not pinned:
        raise CannotJudge("the registration named no signing key")
    broken = [
        (each, f"key_id {reading.header(each, 'key_id')!r}")
        for each in tail.all_events(transcript)
        if reading.header(each, "key_id") != pinned
    ]
    yield from reading.weighed("ENV-8", f"key_id {pinned!r}, the Domain's", broken, pinned)


def judge_scope(transcript: Transcript) -> Iterator[Finding]:
    expected = f"domain:{reading.fact(transcript, 'node tail_node', 'domain_id')}"
    broken = [
        (each, reading.header(each, "scope"))
        for each in tail.all_events(transcript)
        if reading.header(each, "scope") != expected or not _SCOPE.fullmatch(reading.header(each, "scope"))
    ]
    yield from reading.weighed("ENV-9", expected, broken, expected)


def judge_ids(transcript: Transcript) -> Iterator[Finding]:
    return ids(tail.all_events(transcript))


def ids(found: Sequence[Placed]) -> Iterator[Finding]:
    """ENV-10 of envelopes, of several streams too."""
    odd = [
        (each, reading.header(each, "id"))
        for each in found
        if not _UUID7.fullmatch(reading.header(each, "id"))
    ]
    yield from reading.weighed("ENV-10a", "a UUIDv7", odd, f"{len(found)} ids")
    places: dict[str, int] = {}
    bodies: dict[int, bytes] = {}
    twice, changed = [], []
    for each in found:
        sequence, name = each.sequence or 0, reading.header(each, "id")
        if places.setdefault(name, sequence) != sequence:
            twice.append((each, f"{name} at {places[name]} and at {sequence}"))
        if bodies.setdefault(sequence, each.frame.raw) != each.frame.raw:
            changed.append((each, f"other bytes at {sequence} than on another stream"))
    yield from reading.weighed("ENV-10a", "one id at one sequence", twice, "each once")
    yield from reading.weighed("ENV-10a", "identical bytes whenever a sequence is read", changed, "identical")


def judge_types(transcript: Transcript) -> Iterator[Finding]:
    return types(tail.all_events(transcript))


def types(found: Sequence[Placed]) -> Iterator[Finding]:
    """ENV-11 of envelopes."""
    broken = []
    for each in found:
        name = reading.header(each, "type")
        if name not in TYPES:
            broken.append((each, f"type {name!r}"))
        elif name != each.frame.event:
            broken.append((each, f"type {name!r} under event {each.frame.event!r}"))
    yield from reading.weighed("ENV-11", "a type of section 7, equal to the event field", broken, "equal")


def judge_time(transcript: Transcript) -> Iterator[Finding]:
    return times(tail.streams(transcript))


def times(exchanges: Sequence[Exchange]) -> Iterator[Finding]:
    """ENV-12 of streams that were opened without a cursor. Raises CannotJudge without a Date."""
    future, old = [], []
    for exchange in exchanges:
        head = exchange.head
        dates = () if head is None else head.values("Date")
        if head is None or len(dates) != 1:
            raise CannotJudge("the stream has no Date to compare with")
        began = parsedate_to_datetime(dates[0])
        for each in reading.events(exchange):
            signed = envelope.instant(reading.header(each, "issued_at"))
            if signed is None:
                continue
            lead = _seconds(signed, began) - (each.at - head.at) / reading.NANOSECONDS
            if lead > FUTURE_SECONDS:
                future.append((each, f"{lead:.0f} s ahead of the server's clock"))
            if -lead > AGE_SECONDS:
                old.append((each, f"{-lead:.0f} s old"))
    yield from reading.weighed("ENV-12a", f"at most {FUTURE_SECONDS} s ahead", future, "no envelope is ahead")
    yield from reading.weighed(
        "ENV-12b", f"younger than {AGE_SECONDS} s on a fresh tail", old, "all are fresh"
    )


def _readable(transcript: Transcript) -> Iterable[Placed]:
    return [each for each in tail.all_events(transcript) if not envelope.read(each.frame.data).violations]


def _block(each: Placed, name: str) -> bytes | None:
    return _member(each.frame.data, "payload", name)


def _member(text: bytes, *path: str) -> bytes | None:
    try:
        return lexemes.member(text, *path)
    except lexemes.NotJson:
        return None


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()


SCENARIOS: tuple[Scenario, ...] = ()

_ROWS: tuple[tuple[str, str, tuple[str, ...], Judge], ...] = (
    (
        "ENV-001",
        "An envelope is one object of seven members in order",
        ("ENV-1",),
        of_clause("ENV-1", "one JSON object of the seven members, in order"),
    ),
    ("ENV-002", "Canonical bytes with the signature inserted", ("ENV-2", "ENV-3"), judge_canonical),
    ("ENV-004", "Strings are escaped as deployed agents expect", ("ENV-4",), judge_escapes),
    ("ENV-005", "The payload is compact, and the snapshot spells it alike", ("ENV-5",), judge_payload),
    (
        "ENV-006",
        "issued_at is UTC with the shortest fraction",
        ("ENV-6",),
        of_clause("ENV-6", "RFC 3339, Z, the shortest fraction"),
    ),
    ("ENV-007", "Signatures verify over the canonical bytes", ("ENV-7",), judge_signatures),
    ("ENV-008", "key_id names the Domain's key", ("ENV-8",), judge_key_ids),
    ("ENV-009", "scope names the Node's Domain", ("ENV-9",), judge_scope),
    (
        "ENV-010",
        "Ids are UUIDv7, one at one sequence, with the same bytes everywhere",
        ("ENV-10a",),
        judge_ids,
    ),
    ("ENV-011", "type is of the table and equals the event field", ("ENV-11",), judge_types),
    ("ENV-012", "issued_at is neither ahead nor old", ("ENV-12a", "ENV-12b"), judge_time),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="stream", scenario="tail", judge=judge)
    for name, title, clauses, judge in _ROWS
)
