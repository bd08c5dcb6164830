"""The running server: everything that goes on at once, and its orderly end (SSE-8)."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
import trio

from reference_server.api.operations import OPERATIONS
from reference_server.faults import channel, verbs
from reference_server.faults.levers import Keys, Levers, MovableClock, Wiring
from reference_server.faults.refused import FaultRefused
from reference_server.faults.requests import Ring
from reference_server.faults.script import Script
from reference_server.faults.switches import Switch
from reference_server.ports import Bounds, Store
from reference_server.relay.run import Relay
from reference_server.settings import MEMORY, Settings
from reference_server.stream.hub import Hub
from reference_server.wire import server
from reference_server.wire.site import Site

_log = structlog.get_logger()


class BackgroundEnded(Exception):
    """A task that must run as long as the server has returned: a defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asked for a restart on the fault channel: the next process answers on this connection."""

    call_id: int | str | None
    connection: socket.socket


@dataclass(slots=True, kw_only=True)
class Application:
    """Made by `app.build`; `serve` runs it once."""

    settings: Settings
    clock: MovableClock
    site: Site
    hub: Hub
    relay: Relay
    wiring: Wiring
    script: Script
    ring: Ring
    store: Store
    signing: Keys
    parts: Mapping[str, Switch]
    evict: Callable[[int | None], Awaitable[Bounds]]
    background: Mapping[str, Callable[[], Awaitable[None]]]
    restart_for: Caller | None = None  # set by the verb `restart`; then `serve` has returned
    crash: Callable[[], None] | None = None  # becomes the next process at once, whatever is under way
    _killed: bool = False
    _stop: trio.Event = field(default_factory=trio.Event)

    def stop(self) -> None:
        """Have `serve` come to its orderly end."""
        self._stop.set()

    async def serve(
        self,
        *,
        bound: socket.socket | None = None,
        faults: socket.socket | None = None,
        caller: trio.SocketStream | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop`; started with the base URL once streams are answered.

        `bound` is the listening socket and `faults` that of the fault channel; without them they are made
        from the settings; `caller` is a connection of it that survived a restart. What a background task
        raises ends everything: the server is never half alive.
        """
        bound = bound or server.listen(self.settings.host, self.settings.port, self.site.limits)
        try:
            await self._serve(bound, faults, caller, task_status)
        finally:
            bound.close()

    async def _serve(
        self,
        bound: socket.socket,
        faults: socket.socket | None,
        caller: trio.SocketStream | None,
        task_status: trio.TaskStatus[str],
    ) -> None:
        door = server.Server(self.site)
        async with trio.open_nursery() as nursery:
            for name, run in self.background.items():
                nursery.start_soon(self._run_for_ever, name, run)
            await self.hub.reader.wait_current()
            await nursery.start(door.serve, bound)
            if self.settings.faults is not None:
                faults = faults or channel.listen(self.settings.faults)
                nursery.start_soon(channel.serve, faults, self._perform, caller)
            task_status.started(base_url(bound, self.settings))
            await self._stop.wait()
            await self._end(door)
            nursery.cancel_scope.cancel()

    async def _run_for_ever(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        await run()
        raise BackgroundEnded(name)

    async def _end(self, door: server.Server) -> None:
        """Take nobody in, end the streams behind a whole frame, let requests under way be answered."""
        grace = self.settings.grace_seconds
        _log.info("server_stopping", grace_seconds=grace)
        with trio.move_on_after(grace):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(door.stop, grace)
                nursery.start_soon(self.hub.stop, grace)

    # ---- fault channel

    async def _perform(
        self, call: channel.Call, connection: trio.SocketStream
    ) -> Mapping[str, object] | None:
        result = await verbs.perform(self._levers(), call.verb, bytes(call.parameters))
        if call.verb != "restart":
            return result
        kept = socket.socket(fileno=socket.dup(connection.socket.fileno()))
        self.restart_for = Caller(call_id=call.id, connection=kept)
        if self._killed and self.crash is not None:
            self.crash()
        self.stop()
        return None

    def _levers(self) -> Levers:
        return Levers(
            clock=self.clock,
            parts=self.parts,
            wiring=self.wiring,
            script=self.script,
            ring=self.ring,
            store=self.store,
            keys=self.signing,
            operation_ids=frozenset(operation.id for operation in OPERATIONS),
            evict=self.evict,
            drop_streams=self.hub.drop_streams,
            wake=self.relay.wake,
            restart=self._check_restart,
        )

    def _check_restart(self, kill: bool) -> None:
        if self.settings.data == MEMORY:
            raise FaultRefused("restart_refused", "a server over :memory: has nothing to come back to")
        if self.restart_for is not None:
            raise FaultRefused("restart_refused", "the server is restarting already")
        self._killed = kill


def base_url(bound: socket.socket, settings: Settings) -> str:
    """Where a listening socket is reached."""
    host, port = bound.getsockname()[:2]
    scheme = "http" if settings.tls_certificate_file is None else "https"
    return f"{scheme}://{host}:{port}"
