"""What clients asked and what they got, the last of it, with credentials masked (CRED-4)."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

import msgspec

from reference_server import logs
from reference_server.envelope import instant
from reference_server.wire.messages import Request
from reference_server.wire.site import Answered

# Enough for a test's own traffic; with bodies cut at BODY_BYTES some 20 MB at the very worst.
KEPT = 2000
BODY_BYTES = 8 * 1024
# What may be shown before a credential; anything else may be part of one.
_SCHEMES = frozenset({"bearer", "basic", "digest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One exchange. `serial` counts from 1; `code` is the problem's, where it was refused with one."""

    serial: int
    at: datetime
    operation_id: str | None
    method: str
    path: str
    node_id: str | None
    status: int
    code: str | None
    milliseconds: float
    authorization: str | None
    last_event_id: str | None
    body: object
    correlation_id: str


class Ring:
    """Keeps the last KEPT records."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=KEPT)
        self._serial = 0

    def add(self, answered: Answered, at: datetime) -> None:
        """Remember one exchange; of what could not be read there is nothing to tell."""
        request = answered.request
        if request is None:
            return
        self._serial += 1
        self._records.append(
            Record(
                serial=self._serial,
                at=at,
                operation_id=answered.operation_id,
                method=request.method,
                path=logs.redact_text(request.path),
                node_id=_node_id(request),
                status=answered.status,
                code=answered.code,
                milliseconds=round(answered.seconds * 1000, 3),
                authorization=_masked(request.header(b"authorization")),
                last_event_id=_text(request.header(b"last-event-id")),
                body=_body(request.body),
                correlation_id=answered.correlation_id,
            )
        )

    def select(
        self,
        *,
        operation_id: str | None = None,
        node_id: str | None = None,
        status: int | None = None,
        since: int | datetime | None = None,
    ) -> list[Record]:
        """The records that match, oldest first; `since` is a serial (exclusive) or an instant (inclusive)."""
        return [
            record
            for record in self._records
            if (operation_id is None or record.operation_id == operation_id)
            and (node_id is None or record.node_id == node_id)
            and (status is None or record.status == status)
            and _is_since(record, since)
        ]


def plain(record: Record) -> dict[str, object]:
    """A record as the channel answers it."""
    members = {name: getattr(record, name) for name in Record.__slots__}
    return members | {"at": instant.render(record.at)}


def _is_since(record: Record, since: int | datetime | None) -> bool:
    if since is None:
        return True
    return record.at >= since if isinstance(since, datetime) else record.serial > since


def _node_id(request: Request) -> str | None:
    parts = request.path.split("/")
    return logs.redact_text(parts[3]) if request.path.startswith("/v1/nodes/") else None


def _masked(authorization: bytes | None) -> str | None:
    """The scheme and, of an NSK, the prefix: what shows a client's mistake and no credential."""
    if authorization is None:
        return None
    scheme, _, value = authorization.decode("latin-1").rpartition(" ")
    shown = logs.redact_text(value)
    masked = shown if shown.startswith("nsk_") and shown != value else logs.MASK
    return f"{scheme} {masked}" if scheme.lower() in _SCHEMES else masked


def _text(value: bytes | None) -> str | None:
    return None if value is None else logs.redact_text(value.decode("latin-1"))


def _body(body: bytes) -> object:
    if not body:
        return None
    if len(body) > BODY_BYTES:
        return f"({len(body)} bytes)"
    try:
        return logs.redact_json(msgspec.json.decode(body))
    except msgspec.DecodeError:
        return logs.redact_text(body.decode(errors="replace"))
