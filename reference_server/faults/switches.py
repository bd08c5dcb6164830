"""Ports that can be stopped: while a switch is off, what stands behind it is Unavailable."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import trio
from sqlalchemy import Connection

from reference_server.ports import AuditSink, Bounds, Change, Decision, EventStream, Store, Tail, Unavailable

T = TypeVar("T")

# The version of every Domain while the database is stopped; no commit ever gives it.
_AWAY = -1


class Switch:
    """Whether one outside part answers."""

    __slots__ = ("_inside", "on", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.on = True
        self._inside: set[trio.CancelScope] = set()

    def check(self) -> None:
        """Raises Unavailable while the switch is off."""
        if not self.on:
            raise Unavailable(f"the {self.what} is stopped")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run the block while the switch is on; raises Unavailable as soon as it is off."""
        self.check()
        scope = trio.CancelScope()
        self._inside.add(scope)
        try:
            with scope:
                yield
        finally:
            self._inside.discard(scope)
        if scope.cancelled_caught:
            raise Unavailable(f"the {self.what} is stopped")

    def stop(self) -> None:
        """Turn it off; whoever waits inside is thrown out."""
        self.on = False
        for scope in self._inside:
            scope.cancel()

    def start(self) -> None:
        """Turn it on again."""
        self.on = True


class SwitchableStream:
    """An EventStream behind a switch; waiting for the tail ends when it is turned off."""

    def __init__(self, inner: EventStream, switch: Switch) -> None:
        self._inner = inner
        self._switch = switch

    async def bounds(self) -> Bounds:
        """See the port."""
        self._switch.check()
        return await self._inner.bounds()

    async def read_tail(self, after: int) -> Tail:
        """See the port."""
        with self._switch.held():
            return await self._inner.read_tail(after)

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        """See the port."""
        self._switch.check()
        return await self._inner.read_node(node_id, after, up_to)


class SwitchableStore:
    """A Store behind switches, all of which must be on."""

    def __init__(self, inner: Store, *switches: Switch) -> None:
        self._inner = inner
        self._switches = switches

    async def change(
        self, domains: Sequence[str], work: Callable[[Change], T], *, correlation_id: str | None = None
    ) -> T:
        """See the port."""
        self._check()
        return await self._inner.change(domains, work, correlation_id=correlation_id)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See the port."""
        self._check()
        return await self._inner.read(work)

    @property
    def shared(self) -> bool:
        """See the port."""
        return self._inner.shared

    def counted(self, connection: Connection, domain_id: str) -> int:
        """See the port."""
        return self._inner.counted(connection, domain_id)

    def version(self, domain_id: str) -> int:
        """See the port; while a switch is off no cached copy can be taken for the present state (PULL-5)."""
        return self._inner.version(domain_id) if all(switch.on for switch in self._switches) else _AWAY

    def _check(self) -> None:
        for switch in self._switches:
            switch.check()


class SwitchableAudit:
    """An AuditSink that swallows decisions while it is unwired (GATE-4)."""

    def __init__(self, inner: AuditSink, is_wired: Callable[[], bool]) -> None:
        self._inner = inner
        self._is_wired = is_wired

    def record_nowait(self, decision: Decision) -> None:
        """See the port."""
        if self._is_wired():
            self._inner.record_nowait(decision)
