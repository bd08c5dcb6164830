"""Log lines: structlog over one bounded writer, with credentials masked on the way out (CRED-4).

Lines go through a queue to a thread of their own, so a reader of standard error that stops reading
delays no stream; past the bound lines are dropped and counted.
"""

import queue
import re
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import structlog

# Lines waiting for the writer; at some 300 bytes a line this is 3 MB.
_QUEUE_BOUND = 10_000
# The most lines joined into one write.
_JOINED = 512
# How long the writer lets lines gather: a wake-up for each would take the interpreter from the streams.
_GATHER_SECONDS = 0.02
# The longest that closing waits for a reader that has stalled.
_CLOSE_SECONDS = 2.0
# What stands where a credential stood.
MASK = "***"
_SECRET_NAME = re.compile(
    r"authorization|token|secret|credential|password|private|seed$|nsk|psk|master_key", re.I
)
_HARMLESS = frozenset({"token_id", "credentials_file", "seed_file", "master_key_file", "secrets"})
# NSKs (CRED-1), bootstrap tokens, operator tokens made by the seed, and whatever follows Bearer.
_SECRET_VALUE = re.compile(r"\b(nsk_[a-z]+_|psb_|pso_)[A-Za-z0-9_=.+/-]+|(Bearer\s+)\S+", re.I)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Event = MutableMapping[str, object]


@dataclass(slots=True)
class _Configured:
    """How this process logs; as global as structlog's own configuration."""

    json: bool = True
    access: Callable[[bytes], None] | None = None


_configured = _Configured()


class Writer:
    """Writes lines in order on a thread of its own; `put` never waits."""

    def __init__(self, target: BinaryIO, dropped: Callable[[], None] = lambda: None) -> None:
        self._target = target
        self._dropped = dropped
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Take one line, without its end; dropped and counted when too many wait."""
        if self._lines.qsize() >= _QUEUE_BOUND:
            self._dropped()
        else:
            self._lines.put(line)

    def close(self) -> None:
        """Write what waits, then stop; gives up on a reader that has stalled."""
        self._lines.put(None)
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            time.sleep(_GATHER_SECONDS)
            batch, last = [line], False
            while len(batch) < _JOINED and not self._lines.empty():
                more = self._lines.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._write(b"\n".join(batch) + b"\n")
            if last:
                return

    def _write(self, lines: bytes) -> None:
        try:
            self._target.write(lines)
            self._target.flush()
        except (OSError, ValueError):  # nobody reads, or the disk is full: logging must not end the server
            self._dropped()


class _Logger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def msg(self, line: str | bytes) -> None:
        self._writer.put(line.encode() if isinstance(line, str) else line)

    debug = info = warning = error = critical = exception = log = failure = fatal = warn = msg


def redact_text(text: str) -> str:
    """`text` with everything that has the form of a credential masked."""
    return _SECRET_VALUE.sub(lambda found: (found[1] or found[2] or "") + MASK, text)


def redact(_logger: object, _method: str, event: Event) -> Event:
    """The structlog processor that lets no credential through, by name or by form (CRED-4)."""
    for name, value in event.items():
        if name != "event" and _is_secret_name(name):
            event[name] = MASK
        elif isinstance(value, dict | list):
            event[name] = redact_json(value)
        elif not isinstance(value, bool | int | float | None):
            event[name] = redact_text(_text(value))
    return event


def redact_json(value: object) -> object:
    """A JSON value with whatever is a credential, by member name or by form, masked."""
    if isinstance(value, dict):
        return {
            name: MASK if _is_secret_name(name) and inner is not None else redact_json(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [redact_json(inner) for inner in value]
    return value if isinstance(value, bool | int | float | None) else redact_text(_text(value))


def _is_secret_name(name: str) -> bool:
    return name not in _HARMLESS and _SECRET_NAME.search(name) is not None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def configure(log_format: str, level: str, writer: Writer) -> None:
    """Make `structlog.get_logger()` write to `writer`: JSON lines, or text for a terminal."""
    json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    _configured.json = json
    _configured.access = writer.put if _LEVELS[level] <= _LEVELS["info"] else None
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event))
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=False,
    )


class AccessLog:
    """One line per answered request; a few microseconds each, nothing bound and nothing parsed."""

    def __init__(self) -> None:
        """Writes as `configure` said before; nowhere if it said nothing yet or wants less than info."""
        self._put = _configured.access
        self._json = _configured.json
        self._encode = msgspec.json.Encoder().encode

    def record(
        self, *, method: str, path: str, status: int, seconds: float, correlation_id: str, client: str
    ) -> None:
        """Write the line of one request; `path` is without its query."""
        if self._put is None:
            return
        shown = redact_text(path) if "_" in path else path
        milliseconds = round(seconds * 1000, 3)
        if not self._json:
            self._put(f"{status} {method} {shown} {milliseconds} ms {correlation_id}".encode())
            return
        line = {
            "event": "request",
            "method": method,
            "path": shown,
            "status": status,
            "ms": milliseconds,
            "correlation_id": correlation_id,
            "client": client,
            "at": round(time.time(), 3),
        }
        self._put(self._encode(line))
