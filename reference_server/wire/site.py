"""What all connections of one server share."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from reference_server.metrics import Metrics
from reference_server.ports import Ids
from reference_server.wire.dates import Dates
from reference_server.wire.limits import Limits
from reference_server.wire.messages import Request
from reference_server.wire.router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One exchange, told once its answer has been written; of a stream, once its head has.

    `request` is None where none could be read, `operation_id` where no operation was met.
    """

    request: Request | None
    operation_id: str | None
    status: int
    code: str | None
    seconds: float
    client: str
    correlation_id: str


@dataclass(slots=True)
class Budget:
    """Bytes of request bodies that may be read at one moment."""

    left: int

    def reserve(self, size: int) -> bool:
        """Take a part, if there is enough."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give_back(self, size: int) -> None:
        """Return it."""
        self.left += size


@dataclass(slots=True, kw_only=True)
class Site:
    """`told` hears of every exchange and must not wait."""

    router: Router
    limits: Limits
    dates: Dates
    ids: Ids
    metrics: Metrics
    told: Callable[[Answered], None]
    bodies: Budget
    tls: ssl.SSLContext | None = None  # None: connections are plain
    stopping: bool = False
