"""Transcripts on disk: one JSON record a line, read back to equal records.

Bytes stand as text of one character per byte (ISO 8859-1), so that ASCII stays legible and the scan for
secrets sees through it. `body` is null where it equals `raw`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.probe.transcript import Ending, Exchange, Head, Mark, Received, Transcript

FORMAT = "busproof/transcript/1"


class BrokenTranscript(ValueError):
    """The file is no whole transcript."""


def render(transcript: Transcript) -> bytes:
    """The transcript as NDJSON: a header, exchanges, marks, and a footer that counts them."""
    return b"".join(
        json.dumps(record, separators=(",", ":"), ensure_ascii=True, sort_keys=True).encode() + b"\n"
        for record in _records(transcript)
    )


def parse(data: bytes) -> Transcript:
    """The transcript that was rendered; raises BrokenTranscript, also if it was cut."""
    try:
        records = [json.loads(line) for line in data.splitlines()]
        header, footer, middle = records[0], records[-1], records[1:-1]
        exchanges = [_exchange(each) for each in middle if each["record"] == "exchange"]
        marks = [
            Mark(at=each["at"], name=each["name"], facts=each["facts"])
            for each in middle
            if each["record"] == "mark"
        ]
    except (ValueError, KeyError, IndexError, TypeError) as wrong:
        raise BrokenTranscript(f"not a transcript: {type(wrong).__name__}") from wrong
    if header.get("format") != FORMAT or footer.get("record") != "footer":
        raise BrokenTranscript("header or footer is missing")
    if (footer["exchanges"], footer["marks"]) != (len(exchanges), len(marks)):
        raise BrokenTranscript("records are missing")
    return Transcript(
        scenario=header["scenario"],
        started_wall=header["started_wall"],
        exchanges=tuple(exchanges),
        marks=tuple(marks),
    )


def _records(transcript: Transcript) -> Iterator[Mapping[str, object]]:
    yield {
        "record": "header",
        "format": FORMAT,
        "scenario": transcript.scenario,
        "started_wall": transcript.started_wall,
    }
    yield from (_from_exchange(each) for each in transcript.exchanges)
    for mark in transcript.marks:
        yield {"record": "mark", "at": mark.at, "name": mark.name, "facts": mark.facts}
    yield {"record": "footer", "exchanges": len(transcript.exchanges), "marks": len(transcript.marks)}


def _from_exchange(exchange: Exchange) -> Mapping[str, object]:
    head = exchange.head
    return {
        "record": "exchange",
        "id": exchange.id,
        "label": exchange.label,
        "identity": exchange.identity,
        "sent_at": exchange.sent_at,
        "method": exchange.method,
        "target": exchange.target,
        "request_headers": exchange.request_headers,
        "request_body": _text(exchange.request_body),
        "request_raw": _text(exchange.request_raw),
        "head": None
        if head is None
        else {"at": head.at, "version": head.http_version, "status": head.status, "headers": head.headers},
        "received": [
            [each.at, _text(each.raw), None if each.body == each.raw else _text(each.body)]
            for each in exchange.received
        ],
        "ended_at": exchange.ended_at,
        "ending": exchange.ending.value,
    }


def _exchange(record: Mapping[str, Any]) -> Exchange:
    head = record["head"]
    return Exchange(
        id=record["id"],
        label=record["label"],
        identity=record["identity"],
        sent_at=record["sent_at"],
        method=record["method"],
        target=record["target"],
        request_headers=_pairs(record["request_headers"]),
        request_body=_bytes(record["request_body"]),
        request_raw=_bytes(record["request_raw"]),
        head=None
        if head is None
        else Head(
            at=head["at"],
            http_version=head["version"],
            status=head["status"],
            headers=_pairs(head["headers"]),
        ),
        received=tuple(
            Received(at=at, raw=_bytes(raw), body=_bytes(raw if body is None else body))
            for at, raw, body in record["received"]
        ),
        ended_at=record["ended_at"],
        ending=Ending(record["ending"]),
    )


def _pairs(pairs: Iterable[Iterable[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in pairs)


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
