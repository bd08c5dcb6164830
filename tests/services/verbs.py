"""The fault verbs of a deployment: outages are real ones, the rest goes to the members concerned."""

import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import trio

from tests.services.deployment import Deployment, Member

_ANSWER_SECONDS = 30.0

# A part that came back is in use again once every replica says so.
_BACK_SECONDS = 30.0
_PAUSE = 0.05

Facts = Mapping[str, Any]


class Refused(Exception):
    """A member refused a verb; `error` is what it said."""

    def __init__(self, error: Facts) -> None:
        super().__init__(str(error))
        self.error = error


class Levers:
    """Does verbs on a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._on = deployment

    async def do(self, verb: str, parameters: Facts) -> Facts:
        """One verb; raises Refused."""
        own = _OWN.get(verb)
        if own is not None:
            return await own(self, parameters)
        members = [*self._on.replicas, *(self._on.relays if verb in _RELAYS_TOO else ())]
        if verb not in _EVERYWHERE:
            members = members[:1]
        answers = [await ask(member, verb, parameters) for member in members]
        return _MERGED.get(verb, _first)(answers)

    async def restart(self, parameters: Facts) -> Facts:
        """Each replica in turn, by an operator's signal; or all and the relay at once, killed."""
        if parameters.get("kill"):
            return await self._crash()
        for replica in self._on.replicas:
            await replica.stop()
            await replica.start()
        return {"restarted": True}

    async def _crash(self) -> Facts:
        members = (*self._on.relays, *self._on.replicas)
        for member in members:
            await trio.to_thread.run_sync(member.kill)
        for member in members:
            await member.start()
        return {"restarted": True}

    async def stop(self, parameters: Facts) -> Facts:
        """Kill the engine."""
        engine = self._on.nats if parameters["what"] == "log" else self._on.postgres
        await trio.to_thread.run_sync(engine.kill)
        return {"stopped": parameters["what"]}

    async def start(self, parameters: Facts) -> Facts:
        """Start it again, and wait until all have noticed."""
        engine = self._on.nats if parameters["what"] == "log" else self._on.postgres
        await trio.to_thread.run_sync(engine.start)
        with trio.fail_after(_BACK_SECONDS):
            for replica in self._on.replicas:
                await _wait_healthy(replica)
        return {"started": parameters["what"]}


async def ask(member: Member, verb: str, parameters: Facts) -> Facts:
    """A verb on one member's fault channel. Raises Refused."""
    line = json.dumps({"id": 1, "verb": verb, "parameters": parameters}).encode() + b"\n"
    answer = await trio.to_thread.run_sync(_exchange, member.faults, line)
    if not answer["ok"]:
        raise Refused(answer["error"])
    result: Facts = answer["result"]
    return result


def _exchange(path: Path, line: bytes) -> Any:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(_ANSWER_SECONDS)
        channel.connect(str(path))
        channel.sendall(line)
        with channel.makefile("rb") as answers:
            return json.loads(answers.readline())


async def _wait_healthy(member: Member) -> None:
    while not await healthy(member):  # noqa: ASYNC110  # health has to be asked for
        await trio.sleep(_PAUSE)


async def healthy(member: Member) -> bool:
    """Whether a member says that nothing is wrong."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", member.port)
    except OSError:
        return False
    async with stream:
        await stream.send_all(b"GET /v1/health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        told = b"".join([piece async for piece in stream])
    return told.startswith(b"HTTP/1.1 200") and b'"status":"ok"' in told.partition(b"\r\n\r\n")[2][:20]


def _first(answers: Sequence[Facts]) -> Facts:
    return answers[0]


def _all_requests(answers: Sequence[Facts]) -> Facts:
    requests = sorted((each for one in answers for each in one["requests"]), key=str)
    return {"count": sum(one["count"] for one in answers), "requests": requests}


def _all_dropped(answers: Sequence[Facts]) -> Facts:
    return {"dropped": sum(one["dropped"] for one in answers)}


_OWN: Mapping[str, Callable[[Levers, Facts], Awaitable[Facts]]] = MappingProxyType(
    {"restart": Levers.restart, "stop": Levers.stop, "start": Levers.start}
)
_EVERYWHERE = frozenset({"advance_clock", "wire", "drop_streams", "requests", "answer"})
_RELAYS_TOO = frozenset({"advance_clock"})
_MERGED: Mapping[str, Callable[[Sequence[Facts]], Facts]] = MappingProxyType(
    {"requests": _all_requests, "drop_streams": _all_dropped}
)


async def serve(
    path: Path, levers: Levers, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answers the lines of a driver on a Unix socket until cancelled; one caller at a time is enough."""
    bound = trio.socket.socket(trio.socket.AF_UNIX)
    await bound.bind(str(path))
    bound.listen(8)
    listener = trio.SocketListener(bound)
    task_status.started()

    async def converse(stream: trio.SocketStream) -> None:
        waiting = b""
        async for piece in stream:
            *lines, waiting = (waiting + piece).split(b"\n")
            for line in lines:
                await stream.send_all(await _answered(line, levers))

    await trio.serve_listeners(converse, [listener])


async def _answered(line: bytes, levers: Levers) -> bytes:
    request = json.loads(line)
    try:
        result = await levers.do(request["verb"], request.get("parameters", {}))
        answer = {"id": request["id"], "ok": True, "result": result}
    except Refused as refusal:
        answer = {"id": request["id"], "ok": False, "error": refusal.error}
    except (OSError, trio.TooSlowError, RuntimeError) as broken:
        error = {"code": "unreachable", "message": type(broken).__name__}
        answer = {"id": request["id"], "ok": False, "error": error}
    return json.dumps(answer).encode() + b"\n"
