"""What is a cursor and what is not: the spellings that httpx would not send, and the largest numbers."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType

from conformance.check import acts, gates, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.check.window import OUTSIDE
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

NODE, TWIN = "cursor_node", "twin"
BAD, GOOD, NONE = "bad: ", "good: ", "none: "
_FAR = gates.FAR.encode()

# So many streams opened by mistake are left before the rest of a table is not asked for.
_ENOUGH = 2

# GATE-9 by the bytes behind the colon. White space around a value is HTTP's (RFC 9110 section 5.5).
BAD_LINES: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "digits of another script": ("\u0661\u0662".encode(),),
        "full-width digits": ("\uff11".encode(),),
        "superscript": (b"\xb2",),
        "a space inside": (b"1 0",),
        "a tab inside": (b"1\t0",),
        "a plus": (b"+0",),
        "a minus": (b"-0",),
        "a point": (b"1.",),
        "a list": (b"1, 1",),
        "the same twice": (b"1", b"1"),
        "empty twice": (b"", b""),
        "empty and a number": (b"", b"1"),
        "one more than 64 bits": (b"18446744073709551616",),
        "zeros and one more than 64 bits": (b"0018446744073709551616",),
        "a thousand digits": (b"1" * 1000,),
    }
)

# Well-formed, and of no log: 410 by GATE-10, never 400.
GOOD_LINES: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "2^63-1": (b"9223372036854775807",),
        "2^63": (b"9223372036854775808",),
        "2^64-1": (_FAR,),
        "2^64-1 behind zeros": (b"0" * 30 + _FAR,),
        "2^64-1 between white space": (b" \t" + _FAR + b"\t ",),
    }
)

# Absent or empty (CUR-1): a stream.
NO_CURSORS: Mapping[str, tuple[bytes, ...]] = MappingProxyType({"absent": (), "empty": (b"",)})


async def act(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    async with stage.stream(TWIN, identity=NODE) as probe:
        await probe.head()
    for prefix, table in ((BAD, BAD_LINES), (GOOD, GOOD_LINES)):
        await _refused(stage, prefix, table, node.id)
    for name, lines in NO_CURSORS.items():
        cursor = None if not lines else ""
        async with stage.stream(NONE + name, identity=NODE, cursor=cursor) as probe:
            await probe.head(acts.REFUSED_SECONDS)


async def _refused(stage: Stage, prefix: str, table: Mapping[str, tuple[bytes, ...]], node_id: str) -> None:
    opened = 0
    for name, lines in table.items():
        data = _request(node_id, stage.bearer(NODE), lines)
        found = await stage.raw(prefix + name, data, identity=NODE, timeout=acts.REFUSED_SECONDS)
        opened += reading.status_of(found) == HTTPStatus.OK
        if opened == _ENOUGH:  # each more would be waited for, and could say no more
            return


def _request(node_id: str, bearer: str, lines: tuple[bytes, ...]) -> bytes:
    head = f"GET /v1/nodes/{node_id}/events HTTP/1.1\r\nHost: bus\r\nAuthorization: {bearer}\r\n".encode()
    return head + b"".join(b"Last-Event-ID: " + line + b"\r\n" for line in lines) + b"\r\n"


def judge_bad(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, TWIN)
    for name, exchange in _asked(transcript, BAD, BAD_LINES):
        told = reading.answer_text(exchange)
        # Bytes that no header may hold are HTTP's to refuse, with 400 as well.
        holds = told == "400 invalid_cursor" or (not _ascii(BAD_LINES[name]) and told == "400")
        yield reading.finding("GATE-9", holds, f"{name}: 400 invalid_cursor", told, exchange)


def judge_good(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, TWIN)
    for name, exchange in _asked(transcript, GOOD, GOOD_LINES):
        told = reading.answer_text(exchange)
        yield reading.finding("GATE-9", told == f"410 {OUTSIDE}", f"{name}: 410 {OUTSIDE}", told, exchange)
    for name in NO_CURSORS:
        exchange = reading.needed(transcript, NONE + name)
        yield reading.same("GATE-9", 200, reading.status_of(exchange), f"{name} is no cursor", exchange)


def _asked(
    transcript: Transcript, prefix: str, table: Mapping[str, tuple[bytes, ...]]
) -> Iterator[tuple[str, Exchange]]:
    """The answers to a table; one that was not asked to its end has enough streams opened by mistake."""
    found = {name: transcript.exchange(prefix + name) for name in table}
    asked = {name: each for name, each in found.items() if each is not None}
    opened = sum(reading.status_of(each) == HTTPStatus.OK for each in asked.values())
    if len(asked) < len(table) and opened < _ENOUGH:
        raise CannotJudge("the scenario never came to the end of its cursors")
    yield from asked.items()


def _ascii(lines: tuple[bytes, ...]) -> bool:
    return all(line.isascii() for line in lines)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="cursors",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="some twenty refusals, each at once; a stream opened by mistake is left after 3 s",
        act=act,
    ),
)

_ROWS = (
    ("GATE-041", "What only looks like a number is no cursor", judge_bad),
    ("GATE-049", "Every number of 64 bits is a cursor", judge_good),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=("GATE-9",), profile="replay", scenario="cursors", judge=judge)
    for name, title, judge in _ROWS
)
