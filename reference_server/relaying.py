"""A relay as a process of its own: the outbox to the log, and a door for its health and its metrics alone."""

import signal
import socket
from collections.abc import Awaitable, Callable, Mapping

import structlog
import trio

from reference_server import app, contract, release
from reference_server.api.meta import Meta
from reference_server.api.operations import OPERATIONS
from reference_server.application import base_url
from reference_server.assembly import Ports
from reference_server.exchanges import Exchanges
from reference_server.faults import channel, verbs
from reference_server.faults.levers import Levers, Wiring
from reference_server.faults.refused import FaultRefused
from reference_server.faults.requests import Ring
from reference_server.faults.script import Script
from reference_server.faults.signing import StoredSigning
from reference_server.health import Probe
from reference_server.logs import AccessLog
from reference_server.relay.run import Relay
from reference_server.settings import Settings, SettingsRefused
from reference_server.store.refusals import StoreRefused
from reference_server.wire import dispatch, server, tls
from reference_server.wire.dates import Dates
from reference_server.wire.router import Router
from reference_server.wire.site import Budget, Site

_log = structlog.get_logger()

# What the ports need to have running for a relay; everything else is the servers'.
_TASKS = ("commits",)


async def run(settings: Settings, tell_ready: Callable[[str], None]) -> None:
    """Relay until SIGTERM or SIGINT, beside whatever other relays there are (OUT-4).

    Raises SettingsRefused with one line where it cannot start as configured.
    """
    if settings.database_url is None and settings.nats_url is None:
        raise SettingsRefused("a file has its relay inside: a relay needs --database-url and --nats-url")
    tls.context_of(settings)  # refused before anything is opened
    try:
        bound = server.listen(settings.host, settings.port, app.of_wire(settings))
    except OSError as trouble:
        why = trouble.strerror or str(trouble)
        raise SettingsRefused(f"cannot listen on {settings.host}:{settings.port}: {why}") from None
    try:
        async with app.opened(settings) as ports:
            await _relay(settings, ports, bound, tell_ready)
    except StoreRefused as refusal:
        raise SettingsRefused(str(refusal)) from None
    finally:
        bound.close()


async def _relay(
    settings: Settings, ports: Ports, bound: socket.socket, tell_ready: Callable[[str], None]
) -> None:
    relay = app.relay_over(settings, ports)
    ports.on_outbox_written(relay.wake)
    door = server.Server(_site(settings, ports))
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = ports.background
    async with trio.open_nursery() as nursery:
        for name in _TASKS:
            nursery.start_soon(tasks[name])
        nursery.start_soon(relay.run)
        await nursery.start(door.serve, bound)
        if settings.faults is not None:
            levers = _levers(ports, relay)

            async def perform(call: channel.Call, _connection: object) -> Mapping[str, object] | None:
                return await verbs.perform(levers, call.verb, bytes(call.parameters))

            nursery.start_soon(channel.serve, _listen(settings.faults), perform)
        tell_ready(base_url(bound, settings))
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                break
        with trio.move_on_after(settings.grace_seconds):
            await door.stop(settings.grace_seconds)
        nursery.cancel_scope.cancel()
    _log.info("relay_stopped")


def _listen(path: str) -> socket.socket:
    try:
        return channel.listen(path)
    except FaultRefused as refusal:
        raise SettingsRefused(refusal.message) from None
    except OSError as trouble:
        raise SettingsRefused(f"{path}: no fault channel here: {trouble.strerror or trouble}") from None


def _levers(ports: Ports, relay: Relay) -> Levers:
    """What a relay has of the fault channel: its clock and its parts; there are no streams to drop."""
    return Levers(
        clock=ports.clock,
        parts=ports.parts,
        wiring=Wiring(known=(), unwired=()),
        script=Script(),
        ring=Ring(),
        store=ports.store,
        keys=StoredSigning(store=ports.store, keyring=ports.keyring),
        operation_ids=frozenset(),
        evict=ports.evict,
        drop_streams=lambda _node_id: 0,
        wake=relay.wake,
        restart=_no_restart,
    )


def _no_restart(kill: bool) -> None:
    raise FaultRefused("restart_refused", "a relay is restarted by whoever started it")


def _site(settings: Settings, ports: Ports) -> Site:
    """Health, metrics and version; whatever else is published answers 501."""
    meta = Meta(
        document=contract.document(),
        health=Probe(store=ports.store, stream=ports.event_stream),
        release=release.read(),
        collected=ports.metrics,
    )
    limits = app.of_wire(settings)
    return Site(
        router=Router(OPERATIONS, dispatch.handlers(OPERATIONS, {"meta": meta}, lambda _port: False)),
        limits=limits,
        dates=Dates(ports.clock),
        ids=ports.ids,
        metrics=ports.metrics,
        told=Exchanges(ports.metrics, AccessLog(), None).told,
        bodies=Budget(limits.bodies_bytes),
        tls=tls.context_of(settings),
    )
