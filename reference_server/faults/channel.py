"""The fault channel: JSON lines over a Unix socket that only its owner may open (suite.md, "Target").

A request is `{"id": …, "verb": "…", "parameters": {…}}`; its answer repeats the id and says `ok` with a
`result` or an `error` of `code` and `message`. A connection's requests are answered in order.
"""

import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
import trio

from reference_server.faults.refused import FaultRefused

# A publish carries one payload of at most 512 KiB (OUT-6), escaped.
MAX_LINE_BYTES = 2 * 1024 * 1024
# The suite's driver, a test fixture and a person at a shell use a few.
MAX_CONNECTIONS = 16
_PIECE = 64 * 1024
_OWNER_ALONE = 0o600

_log = structlog.get_logger()


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request."""

    verb: str
    id: int | str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


Perform = Callable[[Call, trio.SocketStream], Awaitable[Mapping[str, object] | None]]


def listen(path: str) -> socket.socket:
    """Bind the socket, mode 600, in place of one that a dead server left.

    Raises FaultRefused where the path is taken by something else or by a living server, OSError where it
    cannot be made.
    """
    place = Path(path)
    if place.exists() or place.is_symlink():
        _remove_dead(place)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~_OWNER_ALONE)
    try:
        bound.bind(path)
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    bound.listen(MAX_CONNECTIONS)
    return bound


def _remove_dead(place: Path) -> None:
    if not stat.S_ISSOCK(place.lstat().st_mode):
        raise FaultRefused("path_taken", f"{place} exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(place))
        except OSError:
            place.unlink()
            return
    raise FaultRefused("path_taken", f"{place} is the fault channel of a running server")


async def serve(bound: socket.socket, perform: Perform, first: trio.SocketStream | None = None) -> None:
    """Answer requests until cancelled; `first` is a connection that survived a restart."""
    limit = trio.Semaphore(MAX_CONNECTIONS)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
    async with trio.open_nursery() as nursery, listener:
        if first is not None:
            nursery.start_soon(_converse, first, perform, limit)
        while True:
            connection = await listener.accept()
            nursery.start_soon(_converse, connection, perform, limit)


async def _converse(connection: trio.SocketStream, perform: Perform, limit: trio.Semaphore) -> None:
    async with connection:
        try:
            limit.acquire_nowait()
        except trio.WouldBlock:
            await send(connection, refused(None, FaultRefused("too_many_connections", "close another first")))
            return
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await _answer_lines(connection, perform)
        finally:
            limit.release()


async def _answer_lines(connection: trio.SocketStream, perform: Perform) -> None:
    waiting = bytearray()
    oversized = False
    while piece := await connection.receive_some(_PIECE):
        waiting += piece
        while (end := waiting.find(b"\n")) >= 0:
            line = bytes(waiting[:end])
            del waiting[: end + 1]
            if oversized:
                oversized = False
            elif line.strip():
                await _answer(connection, line, perform)
        if len(waiting) > MAX_LINE_BYTES:
            if not oversized:
                message = f"a request is at most {MAX_LINE_BYTES} bytes"
                await send(connection, refused(None, FaultRefused("line_too_long", message)))
            oversized = True
            waiting.clear()


async def _answer(connection: trio.SocketStream, line: bytes, perform: Perform) -> None:
    try:
        call = msgspec.json.decode(line, type=Call)
    except (msgspec.DecodeError, msgspec.ValidationError) as refusal:
        await send(connection, refused(None, FaultRefused("malformed_request", str(refusal))))
        return
    try:
        result = await perform(call, connection)
    except FaultRefused as refusal:
        await send(connection, refused(call.id, refusal))
        return
    _log.info("fault_verb", verb=call.verb)
    if result is not None:
        await send(connection, answered(call.id, result))


def answered(call_id: object, result: Mapping[str, object]) -> bytes:
    """The line that says it is done."""
    return _line({"id": call_id, "ok": True, "result": result})


def refused(call_id: object, refusal: FaultRefused) -> bytes:
    """The line that says it was not done."""
    error = {"code": refusal.code, "message": refusal.message}
    return _line({"id": call_id, "ok": False, "error": error})


async def send(connection: trio.SocketStream, line: bytes) -> None:
    """Write one line; a caller that has left is none of our concern."""
    with suppress(trio.BrokenResourceError):
        await connection.send_all(line)


def _line(message: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(message) + b"\n"
