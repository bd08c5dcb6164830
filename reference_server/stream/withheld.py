"""What a Node will never receive, and where that is told (LOG-4, LOG-5, LOG-8)."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from reference_server.metrics import Metrics

# LOG-5: the reason of an entry whose nonce a lower sequence carried first.
REPLAYED = "replayed_nonce"

# A resuming agent meets the same entry again; it is told once as long as it is among so many.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """One entry that failed a completed check."""

    reason: str
    event_id: str
    node_id: str
    domain_id: str  # of the subject that it stands under
    sequence: int


class Withholding:
    """Counts every entry that is withheld, and tells each once: to be audited, and its Node to reconcile."""

    __slots__ = ("_metrics", "_tell", "_told")

    def __init__(self, metrics: Metrics, tell: Callable[[Withheld], None]) -> None:
        """`tell` must not wait; whoever stands behind it audits and sets `nodes.reconcile`."""
        self._metrics = metrics
        self._tell = tell
        self._told: OrderedDict[tuple[str, int], None] = OrderedDict()

    def withhold(self, entry: Withheld) -> None:
        """Record one."""
        if entry.reason == REPLAYED:
            self._metrics.nonce_replay.labels(layer="stream").inc()
        self._metrics.verify_reject.labels(reason=entry.reason).inc()
        place = (entry.node_id, entry.sequence)
        if place in self._told:
            return
        self._told[place] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        self._tell(entry)
