"""What the server counts: one frozen record of collectors on a registry of its own.

Add a line to `Metrics` and one to `create`. Label values come from closed sets, never from callers.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
# Seconds; commit to log is to stay under 20 ms at the median (OUT-7).
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The collectors, passed to whoever counts."""

    registry: CollectorRegistry
    requests: Counter  # operation, status
    request_seconds: Histogram
    connections: Gauge
    connections_refused: Counter  # reason
    streams: Gauge
    streams_opened: Counter
    streams_ended: Counter  # reason
    frames: Counter
    frame_bytes: Counter
    verify_reject: Counter  # reason (LOG-4)
    nonce_replay: Counter  # layer (LOG-5)
    relay_skip: Counter  # reason (OUT-5)
    relay_published: Counter
    relay_failures: Counter
    relay_batch_seconds: Histogram
    log_low: Gauge
    log_high: Gauge
    audit_dropped: Counter
    log_lines_dropped: Counter


def create() -> Metrics:
    """A fresh set, all at zero, sharing nothing with other sets of this process."""
    own = CollectorRegistry()
    return Metrics(
        registry=own,
        requests=Counter("busproof_requests", "Answers sent.", ["operation", "status"], registry=own),
        request_seconds=Histogram(
            "busproof_request_seconds", "From head to answer.", buckets=_BUCKETS, registry=own
        ),
        connections=Gauge("busproof_connections", "Open connections.", registry=own),
        connections_refused=Counter(
            "busproof_connections_refused", "Connections closed at the door.", ["reason"], registry=own
        ),
        streams=Gauge("sse_streams", "Open event streams.", registry=own),
        streams_opened=Counter("sse_streams_opened", "Streams admitted.", registry=own),
        streams_ended=Counter("sse_streams_ended", "Streams ended.", ["reason"], registry=own),
        frames=Counter("sse_frames", "Event frames handed to sockets.", registry=own),
        frame_bytes=Counter("sse_frame_bytes", "Bytes of event frames.", registry=own),
        verify_reject=Counter("sse_verify_reject", "Envelopes withheld.", ["reason"], registry=own),
        nonce_replay=Counter("sse_nonce_replay", "Second sequences of a nonce.", ["layer"], registry=own),
        relay_skip=Counter("sse_relay_skip", "Outbox rows parked.", ["reason"], registry=own),
        relay_published=Counter("sse_relay_published", "Log entries appended.", registry=own),
        relay_failures=Counter("sse_relay_failures", "Relay batches given up.", registry=own),
        relay_batch_seconds=Histogram(
            "sse_relay_batch_seconds", "One relay batch.", buckets=_BUCKETS, registry=own
        ),
        log_low=Gauge("sse_log_low", "Lowest retained sequence.", registry=own),
        log_high=Gauge("sse_log_high", "Highest sequence ever assigned.", registry=own),
        audit_dropped=Counter("busproof_audit_dropped", "Admission decisions not audited.", registry=own),
        log_lines_dropped=Counter("busproof_log_lines_dropped", "Log lines not written.", registry=own),
    )


def expose(collected: Metrics) -> bytes:
    """The Prometheus text of the registry, as CONTENT_TYPE says."""
    return generate_latest(collected.registry)
