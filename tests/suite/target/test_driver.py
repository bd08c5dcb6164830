"""Drivers: the protocol, and every way in which a driver can break it."""

import sys
from pathlib import Path

import pytest
import trio

from conformance.probe.obstacle import CannotAct, DriverFault
from conformance.target import driver as drivers
from conformance.target.model import DriverSpec

HONEST = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["verb"] == "hello":
        result = {"name": "toy", "grade": "G1", "verbs": ["hello", "publish"]}
    elif asked["verb"] == "restart":
        print(json.dumps({"id": asked["id"], "ok": False, "error": {"code": "no", "message": ""}}), flush=1)
        continue
    else:
        result = {"event_id": asked["parameters"]["type"]}
    print(json.dumps({"id": asked["id"], "ok": True, "result": result}), flush=True)
"""


def speaking(program: str) -> DriverSpec:
    return DriverSpec(kind="command", command=(sys.executable, "-c", program))


def saying(*lines: str) -> DriverSpec:
    """A driver that answers each request with the next line, whatever was asked."""
    return speaking(f"import sys\nfor line, _ in zip({lines!r}, sys.stdin): print(line, flush=True)")


async def test_a_command_is_asked_and_answers() -> None:
    async with drivers.opened(speaking(HONEST)) as driver:
        assert driver.verbs == {"hello", "publish"}
        assert await driver.call("publish", {"type": "x"}) == {"event_id": "x"}


async def test_a_refused_verb_cannot_be_acted() -> None:
    async with drivers.opened(speaking(HONEST)) as driver:
        with pytest.raises(CannotAct, match="no"):
            await driver.call("restart", {})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (saying("garbage"), "no JSON"),
        (saying('{"id": 1, "ok": true}'), "result"),
        (saying('{"id": 1, "ok": false}'), "error"),
        (saying('{"id": 7, "ok": true, "result": {}}'), "never made"),
        (saying('{"id": 1, "ok": true, "result": {"name": "x"}}'), "hello"),
        (saying('{"id": 1, "ok": true, "result": {"name": "x", "grade": "G9", "verbs": []}}'), "grade"),
        (speaking("pass"), "ended|hung up"),
        (DriverSpec(kind="command", command=("/no/such/driver",)), "cannot be started"),
    ],
)
async def test_a_driver_that_breaks_the_protocol_is_at_fault(spec: DriverSpec, says: str) -> None:
    with pytest.raises(DriverFault, match=says):
        async with drivers.opened(spec):
            pass


async def test_a_driver_that_says_nothing_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "VERB_SECONDS", 0.3)
    with pytest.raises(DriverFault, match="did not answer"):
        async with drivers.opened(speaking("import sys; sys.stdin.read()")):
            pass


async def test_no_driver_can_do_nothing() -> None:
    async with drivers.opened(DriverSpec()) as driver:
        assert driver.verbs == frozenset()
        with pytest.raises(CannotAct):
            await driver.call("publish", {})


async def test_a_socket_speaks_the_same_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "faults.sock")
    hello = b'{"id": 1, "ok": true, "result": {"name": "s", "grade": "G3", "verbs": ["evict"]}}\n'

    async def serve(stream: trio.SocketStream) -> None:
        asked = await stream.receive_some()
        await stream.send_all(
            hello if b'"hello"' in asked else b'{"id": 2, "ok": true, "result": {"low": 3}}\n'
        )

    with trio.socket.socket(trio.socket.AF_UNIX) as raw:
        await raw.bind(path)
        raw.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(raw)])
            async with drivers.opened(DriverSpec(kind="socket", socket=path)) as driver:
                assert driver.verbs == {"evict"}
                assert await driver.call("evict", {}) == {"low": 3}
            nursery.cancel_scope.cancel()


async def test_a_socket_that_is_not_there_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "CONNECT_SECONDS", 0.1)
    with pytest.raises(DriverFault, match="reached"):
        async with drivers.opened(DriverSpec(kind="socket", socket=str(tmp_path / "none"))):
            pass
