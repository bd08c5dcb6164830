"""One life of the server process: from its settings to its end, or to a restart by the fault channel."""

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import msgspec
import structlog
import trio

from reference_server import app, files, release, seed, seeding
from reference_server.app import Application, Ports
from reference_server.faults import channel
from reference_server.faults.refused import FaultRefused
from reference_server.ports import Unavailable
from reference_server.settings import Settings, SettingsRefused
from reference_server.store.refusals import StoreRefused
from reference_server.wire import server, tls

# How a process tells the one that it turns into what it holds; private to this file, hence the underscore.
RESUME_VARIABLE = "_BUSPROOF_RESUME"
_log = structlog.get_logger()


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """What survives a restart: descriptors by number, the caller that waits, the clock's lead."""

    listener: int
    faults: int
    connection: int
    call_id: int | str | None
    ahead_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Who asked for the restart, and waits for its answer."""

    connection: trio.SocketStream
    call_id: int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The sockets of this life."""

    listener: socket.socket
    faults: socket.socket | None = None
    caller: Waiting | None = None
    ahead_seconds: float = 0.0


def resumed(environment: Mapping[str, str]) -> Resume | None:
    """What the process before this one left, if it restarted."""
    left = environment.get(RESUME_VARIABLE)
    return None if left is None else msgspec.json.decode(left, type=Resume)


async def run(settings: Settings, resume: Resume | None = None) -> Resume | None:
    """Serve until SIGTERM or SIGINT; answers what a restart needs, or None where this was the end.

    Raises SettingsRefused with one line where the server cannot start as configured.
    """
    raise_descriptor_limit()
    tls.context_of(settings)  # refused before anything is opened
    held = _hold(settings, resume)
    plan = None if settings.seed_file is None else seed.read(settings.seed_file)
    try:
        async with app.opened(settings) as ports:
            ports.clock.advance(held.ahead_seconds)
            facts = {} if plan is None else await _seed(plan, settings, ports)
            application = app.build(settings, ports)
            await _live(settings, application, held, facts)
            _log.info("server_stopped")
            if application.restart_for is None:
                return None
            return _leave(held, application)
    except StoreRefused as refusal:
        raise SettingsRefused(str(refusal)) from None


def become(left: Resume) -> NoReturn:
    """Go on as a fresh process on the same sockets: the very command that started this one."""
    os.environ[RESUME_VARIABLE] = msgspec.json.encode(left).decode()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # our own command


async def _live(settings: Settings, application: Application, held: Held, facts: seeding.Facts) -> None:
    application.crash = lambda: become(_leave(held, application))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, application)

        async def serve(task_status: trio.TaskStatus[str]) -> None:
            await application.serve(
                bound=held.listener if held.faults is None else _dup(held.listener),
                faults=None if held.faults is None else _dup(held.faults),
                caller=None if held.caller is None else held.caller.connection,
                task_status=task_status,
            )
            nursery.cancel_scope.cancel()

        url = await nursery.start(serve)
        _tell_ready(settings, url, facts)
        if held.caller is not None:
            answer = channel.answered(held.caller.call_id, {"restarted": True})
            await channel.send(held.caller.connection, answer)


async def _stop_on_signal(application: Application) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            application.stop()


async def _seed(plan: seed.Seed, settings: Settings, ports: Ports) -> seeding.Facts:
    means = seeding.Means(
        store=ports.store,
        ids=ports.ids,
        keyring=ports.keyring,
        minting=app.minting(settings, ports),
        operators=ports.operators,
        earlier=seeding.earlier_credentials(settings.credentials_file),
        keeps_credentials=settings.credentials_file is not None,
    )
    try:
        return await seeding.apply(plan, means)
    except Unavailable as trouble:
        raise SettingsRefused(f"{plan.path}: cannot be carried out: {trouble}") from None


def _tell_ready(settings: Settings, url: str, facts: seeding.Facts) -> None:
    if settings.credentials_file is not None:
        seeding.write(settings.credentials_file, facts, url)
    tell_ready(settings, url)
    _log.info("server_ready", url=url, store=settings.store, unwired=sorted(settings.unwire))


def tell_ready(settings: Settings, url: str) -> None:
    """Write the ready file, and the same line on standard output. Raises SettingsRefused.

    From here on the collector passes over all that the start has made: looking through it again and again
    stops the process for a tenth of a second each time.
    """
    gc.collect()
    gc.freeze()
    ready = msgspec.json.encode({"url": url, "pid": os.getpid(), "version": release.read().version})
    if settings.ready_file is not None:
        try:
            files.write_whole(settings.ready_file, ready + b"\n", files.EVERYBODY_READS)
        except OSError as trouble:
            raise SettingsRefused(f"{settings.ready_file}: cannot be written: {trouble.strerror}") from None
    with suppress(OSError):  # whoever waited for the first life's line need not stay for the next one's
        os.write(1, ready + b"\n")


# ---- sockets


def _hold(settings: Settings, resume: Resume | None) -> Held:
    if resume is not None:
        return Held(
            listener=socket.socket(fileno=resume.listener),
            faults=socket.socket(fileno=resume.faults),
            caller=_waiting(resume),
            ahead_seconds=resume.ahead_seconds,
        )
    try:
        listener = server.listen(settings.host, settings.port, app.of_wire(settings))
    except OSError as trouble:
        why = trouble.strerror or str(trouble)
        raise SettingsRefused(f"cannot listen on {settings.host}:{settings.port}: {why}") from None
    return Held(listener=listener, faults=None if settings.faults is None else _listen(settings.faults))


def _waiting(resume: Resume) -> Waiting:
    connection = trio.socket.from_stdlib_socket(socket.socket(fileno=resume.connection))
    return Waiting(connection=trio.SocketStream(connection), call_id=resume.call_id)


def _listen(path: str) -> socket.socket:
    try:
        return channel.listen(path)
    except FaultRefused as refusal:
        raise SettingsRefused(refusal.message) from None
    except OSError as trouble:
        raise SettingsRefused(f"{path}: no fault channel here: {trouble.strerror or trouble}") from None


def _leave(held: Held, application: Application) -> Resume:
    """Make every socket of the next life survive the exec."""
    assert application.restart_for is not None and held.faults is not None  # noqa: S101  # who asked is there
    sockets = (held.listener, held.faults, application.restart_for.connection)
    for kept in sockets:
        kept.set_inheritable(True)
    listener, faults, connection = (kept.detach() for kept in sockets)
    return Resume(
        listener=listener,
        faults=faults,
        connection=connection,
        call_id=application.restart_for.call_id,
        # read at two instants
        ahead_seconds=max(0.0, (application.clock.now() - datetime.now(UTC)).total_seconds()),
    )


def _dup(kept: socket.socket) -> socket.socket:
    """A handle that may be closed while the socket lives on for the next life."""
    copy = kept.dup()
    copy.setblocking(False)
    return copy


def raise_descriptor_limit() -> None:
    """Let the process have as many descriptors as it may: each stream is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
