"""What is noted of every exchange once it is answered: counters, the access log, the fault channel's ring."""

from collections.abc import Callable

from reference_server.logs import AccessLog
from reference_server.metrics import Metrics
from reference_server.wire.site import Answered

# The label where a request met no operation.
_NONE = "none"


class Exchanges:
    """Hears of each exchange from its connection, and never waits."""

    def __init__(self, metrics: Metrics, access: AccessLog, also: Callable[[Answered], None] | None) -> None:
        self._metrics = metrics
        self._access = access
        self._also = also

    def told(self, answered: Answered) -> None:
        """Note one exchange."""
        operation = answered.operation_id or _NONE
        self._metrics.requests.labels(operation, answered.status).inc()
        self._metrics.request_seconds.observe(answered.seconds)
        request = answered.request
        self._access.record(
            method=request.method if request else "-",
            path=request.path if request else "-",
            status=answered.status,
            seconds=answered.seconds,
            correlation_id=answered.correlation_id,
            client=answered.client,
        )
        if self._also is not None:
            self._also(answered)
