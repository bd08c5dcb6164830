"""Scripted answers: the next answers of an operation are a given refusal, or come late."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import trio

from reference_server.errors import Refusal
from reference_server.wire.messages import Handler, Request, Response, Takeover

# Operations are some hundred; this many planned answers in all is more than a test can read.
MAX_PLANNED = 1000
# An agent gives up on an answer long before this.
MAX_DELAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One answer to come: a delay, a refusal, or both."""

    delay_seconds: float = 0.0
    code: str | None = None
    status: int | None = None

    def refusal(self) -> Refusal | None:
        """The refusal to answer with; None where the ordinary answer only comes late."""
        if self.code is None and self.status is None:
            return None
        return Refusal(self.code, status=self.status)


class Script:
    """What is planned, an operation id at a time, in the order of planning."""

    def __init__(self) -> None:
        self._planned: dict[str, deque[Planned]] = {}

    @property
    def size(self) -> int:
        """How many answers are planned in all."""
        return sum(map(len, self._planned.values()))

    def plan(self, operation_id: str, planned: Planned, count: int) -> None:
        """Append `count` such answers. Raises ValueError past MAX_PLANNED in all."""
        if self.size + count > MAX_PLANNED:
            raise ValueError(f"at most {MAX_PLANNED} answers can be planned")
        self._planned.setdefault(operation_id, deque()).extend([planned] * count)

    def take(self, operation_id: str) -> Planned | None:
        """The next planned answer of an operation, now used up."""
        waiting = self._planned.get(operation_id)
        if not waiting:
            return None
        planned = waiting.popleft()
        if not waiting:
            del self._planned[operation_id]
        return planned


def scripted(handlers: Mapping[str, Handler], script: Script) -> Mapping[str, Handler]:
    """The same handlers, each behind what is planned for its operation."""
    return {
        operation_id: _behind(handler, operation_id, script) for operation_id, handler in handlers.items()
    }


def _behind(handler: Handler, operation_id: str, script: Script) -> Handler:
    async def answer(request: Request) -> Response | Takeover:
        planned = script.take(operation_id)
        if planned is None:
            return await handler(request)
        await trio.sleep(planned.delay_seconds)
        refusal = planned.refusal()
        if refusal is not None:
            raise refusal
        return await handler(request)

    return answer
