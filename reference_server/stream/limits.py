"""What one stream may cost; `settings.py` fills it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds, bytes and counts of streams."""

    # SSE-12: at least 4, so that an agent that lost its connection gets back in.
    per_node: int = 4
    # performance.md asks for 10,000 on one process.
    total: int = 12_000
    # SSE-4.
    keep_alive_seconds: float = 25.0
    # SSE-9: two of the largest envelopes (OUT-6), or 2,000 ordinary ones.
    pending_bytes: int = 1024 * 1024
    # A peer that takes nothing for so long is cut; the kernel's own timeouts stand below it.
    dead_peer_seconds: float = 60.0
    # GATE-15 allows 5 s from the revocation to the end of its streams.
    recheck_seconds: float = 2.0
    # GATE-15 again: what a peer that does not read gets to take its last bytes, on top of the above.
    ending_seconds: float = 2.0
