"""Ports that can be stopped: while a switch is off, what stands behind it is Unavailable."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio
from sqlalchemy import Connection

from reference_server.ports import AuditSink, Bounds, Change, Decision, EventStream, Store, Tail, Unavailable

T = TypeVar("T")

# The version of every Domain while the database is stopped; no commit ever gives it.
_AWAY = -1


class Switch:
    """Whether one outside part answers."""

    __slots__ = ("_stopped", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self._stopped: trio.Event | None = trio.Event()

    @property
    def on(self) -> bool:
        """Whether the part answers now."""
        return self._stopped is not None

    def check(self) -> None:
        """Raises Unavailable while the switch is off."""
        if self._stopped is None:
            raise Unavailable(f"the {self.what} is stopped")

    async def wait_stopped(self) -> None:
        """Returns once the switch is off."""
        if self._stopped is not None:
            await self._stopped.wait()

    def stop(self) -> None:
        """Turn it off; whoever waits inside is thrown out."""
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None

    def start(self) -> None:
        """Turn it on again."""
        if self._stopped is None:
            self._stopped = trio.Event()


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
        self._switch.check()
        found: Tail | None = None
        async with trio.open_nursery() as nursery:

            async def throw_out() -> None:
                await self._switch.wait_stopped()
                nursery.cancel_scope.cancel()

            nursery.start_soon(throw_out)
            found = await self._inner.read_tail(after)
            nursery.cancel_scope.cancel()
        if found is None:
            raise Unavailable(f"the {self._switch.what} is stopped")
        return found

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

    def version(self, domain_id: str) -> int:
        """See the port; while a switch is off no cached copy can be taken for the present state (PULL-5)."""
        return self._inner.version(domain_id) if all(switch.on for switch in self._switches) else _AWAY

    def _check(self) -> None:
        for switch in self._switches:
            switch.check()


class SwitchableAudit:
    """An AuditSink that swallows decisions while it is unwired (GATE-4)."""

    def __init__(self, inner: AuditSink, unwired: Callable[[], bool]) -> None:
        self._inner = inner
        self._unwired = unwired

    def record_nowait(self, decision: Decision) -> None:
        """See the port."""
        if not self._unwired():
            self._inner.record_nowait(decision)
