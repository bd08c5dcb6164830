"""Drivers: a child process or a socket that speaks one JSON object a line, and the one that can nothing."""

import json
import subprocess
from collections.abc import AsyncIterator, Collection, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any

import trio

from conformance.probe.obstacle import CannotAct, DriverFault
from conformance.schemas import validate
from conformance.target.model import DriverSpec

Facts = Mapping[str, object]

# As schemas/driver_answer.json has it.
Answer = dict[str, Any]

# Every verb of the protocol; the same names stand in schemas/driver_request.json.
VERBS = (
    "hello",
    "publish",
    "restart",
    "stop",
    "start",
    "evict",
    "advance_clock",
    "wire",
    "signing_key",
    "drop_streams",
    "requests",
    "answer",
)

# What `stop` and `start` can be told; a driver whose server has but one of them says so in its hello.
STOPS = ("log", "database")

# A verb that has to wait for a process to come up; all others act on what runs.
_SLOW_VERBS = frozenset({"restart", "start"})
VERB_SECONDS = 10.0
SLOW_VERB_SECONDS = 40.0

# After a restart the socket may be away for a moment.
CONNECT_SECONDS = 15.0
_CONNECT_PAUSE = 0.05

# An answer larger than this is no answer; `requests` is filtered by its caller.
MAX_LINE = 16 * 1024 * 1024

# What a fault calls a child that speaks the lines.
DRIVER = "the driver"

# A driver that got its end of input may take this long to go.
STOP_SECONDS = 5.0


def powers(verbs: Set[str], stops: Collection[str], *, kills: bool = False) -> frozenset[str]:
    """What these verbs can do: each is a power of its own, but `stop` and `start` are one for each thing.

    `kills`: `restart` can be told to kill.
    """
    paired = {"stop", "start"} <= verbs
    more = [f"stop {each}" for each in stops] if paired else []
    more += ["restart by kill"] if kills and "restart" in verbs else []
    return frozenset(verbs - {"stop", "start"}).union(more)


class NoDriver:
    """Can make nothing happen."""

    verbs: frozenset[str] = frozenset()
    powers: frozenset[str] = frozenset()

    async def call(self, verb: str, parameters: Facts) -> Facts:
        """Refuses every verb."""
        raise CannotAct(f"there is no driver to do {verb!r}")


class LineDriver:
    """Speaks the protocol through lines, one request at a time."""

    def __init__(self, conversation: "CommandLines | SocketLines") -> None:
        self._lines = conversation
        self._lock = trio.Lock()
        self._next = 0
        self.verbs: frozenset[str] = frozenset()
        self.powers: frozenset[str] = frozenset()
        self.grade = "G0"
        self.name = ""

    async def hello(self) -> None:
        """Learns name, grade and verbs; raises DriverFault."""
        result = await self.call("hello", {})
        try:
            validate.check("driver_hello", dict(result))
        except validate.Invalid as wrong:
            raise DriverFault(f"the driver's hello breaks its schema: {wrong}") from wrong
        self.name, self.grade = str(result["name"]), str(result["grade"])
        verbs = result["verbs"]
        self.verbs = frozenset(verbs if isinstance(verbs, list) else ())
        stops = result.get("stops", STOPS)
        self.powers = powers(
            self.verbs,
            tuple(stops) if isinstance(stops, list) else STOPS,
            kills=result.get("kills") is True,
        )

    async def call(self, verb: str, parameters: Facts) -> Facts:
        """The result of a verb; CannotAct if the driver refuses it, DriverFault if it breaks the protocol."""
        async with self._lock:
            self._next += 1
            number = self._next
            request = {"id": number, "verb": verb, "parameters": dict(parameters)}
            validate.check("driver_request", request)
            seconds = SLOW_VERB_SECONDS if verb in _SLOW_VERBS else VERB_SECONDS
            with trio.move_on_after(seconds) as waited:
                line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
                answer = await self._lines.ask(line, number)
        if waited.cancelled_caught:
            raise DriverFault(f"the driver did not answer {verb!r} within {seconds:g} s")
        if not answer["ok"]:
            raise CannotAct(f"the driver refused {verb!r}: {answer['error']['code']}")
        result: Facts = answer["result"]
        return result


class SocketLines:
    """A Unix socket: a connection per request, so that nothing is shared and a restart is survived."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def ask(self, line: bytes, number: int) -> Answer:
        """Sends the line and returns the answer with that number."""
        stream = await self._connected()
        async with stream:
            try:
                await stream.send_all(line)
                return await _answer_from(stream, bytearray(), number)
            except trio.BrokenResourceError as broken:
                raise DriverFault("the fault channel broke off") from broken

    async def _connected(self) -> trio.SocketStream:
        with trio.move_on_after(CONNECT_SECONDS):
            while True:
                try:
                    return await trio.open_unix_socket(self._path)
                except OSError:
                    await trio.sleep(_CONNECT_PAUSE)
        raise DriverFault("the fault channel cannot be reached")


class CommandLines:
    """A child process: requests on its standard input, answers on its standard output.

    `who` is what a fault calls it.
    """

    def __init__(self, process: trio.Process, who: str = DRIVER) -> None:
        self._process = process
        self._who = who
        self._buffer = bytearray()

    async def ask(self, line: bytes, number: int) -> Answer:
        """Sends the line and returns the answer with that number."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise DriverFault(f"{self._who} has no pipes")
        try:
            await stdin.send_all(line)
            return await _answer_from(stdout, self._buffer, number, self._who)
        except trio.BrokenResourceError as broken:
            raise DriverFault(f"{self._who} hung up") from broken


async def _answer_from(
    stream: trio.abc.ReceiveStream, buffer: bytearray, number: int, who: str = DRIVER
) -> Answer:
    """The answer with that number; older ones belong to calls that were given up."""
    while True:
        answer = _parsed(await _line_from(stream, buffer, who), who)
        if answer["id"] == number:
            return answer
        if answer["id"] > number:
            raise DriverFault(f"{who} answered request {answer['id']}, which was never made")


async def _line_from(stream: trio.abc.ReceiveStream, buffer: bytearray, who: str) -> bytes:
    while (end := buffer.find(b"\n")) < 0:
        if len(buffer) > MAX_LINE:
            raise DriverFault(f"{who} wrote more than {MAX_LINE} bytes without an end of line")
        piece = await stream.receive_some()
        if not piece:
            raise DriverFault(f"{who} ended without an answer")
        buffer += piece
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line


def _parsed(line: bytes, who: str) -> Answer:
    try:
        answer = json.loads(line)
        validate.check("driver_answer", answer)
    except ValueError as wrong:
        reason = str(wrong) if isinstance(wrong, validate.Invalid) else "no JSON"
        raise DriverFault(f"an answer of {who} is not of the protocol: {reason}") from wrong
    return dict(answer)


@asynccontextmanager
async def opened(spec: DriverSpec) -> AsyncIterator[NoDriver | LineDriver]:
    """The driver of that description, ready for use, ended with the block. Raises DriverFault."""
    match spec.kind:
        case "command":
            async with child(spec.command) as process:
                driver = LineDriver(CommandLines(process))
                await driver.hello()
                yield driver
        case "socket":
            driver = LineDriver(SocketLines(spec.socket))
            await driver.hello()
            yield driver
        case _:
            yield NoDriver()


@asynccontextmanager
async def child(command: tuple[str, ...], who: str = DRIVER) -> AsyncIterator[trio.Process]:
    """The command as a child with pipes, ended with the block. Raises DriverFault."""
    try:
        process = await trio.lowlevel.open_process(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
        )
    except OSError as wrong:
        raise DriverFault(f"{who} cannot be started: {wrong.strerror}") from wrong
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            await _ended(process)


async def _ended(process: trio.Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with trio.move_on_after(STOP_SECONDS):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()
