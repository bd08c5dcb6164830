"""What the verbs pull at: ports, and the switches that stand around them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reference_server.faults.refused import FaultRefused
from reference_server.faults.requests import Ring
from reference_server.faults.script import Script
from reference_server.faults.switches import Switch
from reference_server.ports import Bounds, Store


class MovableClock(Protocol):
    """A clock that can be moved forward."""

    def now(self) -> datetime: ...

    def advance(self, seconds: float) -> None: ...


class Wiring:
    """Which ports are wired now; operations that need another one answer 501."""

    def __init__(self, *, known: Iterable[str], unwired: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._unwired = set(unwired)

    def is_wired(self, port: str) -> bool:
        """Whether a port is wired; one that cannot be unwired always is."""
        return port not in self._unwired

    def set(self, port: str, *, wired: bool) -> None:
        """Wire or unwire a port. Raises FaultRefused for one that does not exist here."""
        if port not in self._known:
            raise FaultRefused("unknown_port", f"{port!r} is none of {', '.join(sorted(self._known))}")
        if wired:
            self._unwired.discard(port)
        else:
            self._unwired.add(port)


class Keys(Protocol):
    """Signing keys of Domains, given, taken away from the relay, rotated."""

    async def act(self, domain_id: str, action: str) -> Mapping[str, object]:
        """`action` is provision, withhold or rotate. Raises FaultRefused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """All that a verb may touch. `parts` holds the switches `log` and `database`."""

    clock: MovableClock
    parts: Mapping[str, Switch]
    wiring: Wiring
    script: Script
    ring: Ring
    store: Store
    keys: Keys
    operation_ids: frozenset[str]
    evict: Callable[[int | None], Awaitable[Bounds]]
    drop_streams: Callable[[str | None], int]
    wake: Callable[[], None]  # have the background tasks look at once
    restart: Callable[[bool], None]  # by a kill, or in order; FaultRefused: nothing to come back to
