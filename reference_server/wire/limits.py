"""The limits of every door, each with the reason for its default; `settings.py` fills them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may cost. Seconds and bytes."""

    # Issue 3: the whole head within 10 s. Real heads are under 2 KB; 32 KB leaves room for large tokens.
    head_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    # The largest published body is 1 MiB (ingest); an operation may allow less, never more.
    body_seconds: float = 30.0
    body_bytes: int = 1024 * 1024
    # All bodies that are being read at one moment: 64 of the largest.
    bodies_bytes: int = 64 * 1024 * 1024
    # nginx keeps an upstream connection for 60 s; ours must not be the first to close.
    idle_seconds: float = 75.0
    # A peer that does not take an answer holds its memory.
    write_seconds: float = 30.0
    # 10,000 streams on one process (performance.md) and some for pulls.
    connections: int = 12_000
    # A refused peer is still sending: read on for so long, so that the refusal is not lost to a reset.
    linger_seconds: float = 5.0
    linger_bytes: int = 16 * 1024 * 1024
    # Silence of the network after which a connection is given up; half of it twice is 60 s (issue 3).
    dead_peer_seconds: float = 60.0
