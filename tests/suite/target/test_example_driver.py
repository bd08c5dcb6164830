"""The example driver speaks the protocol, and stays an example by its size."""

import shlex
import sys
from pathlib import Path

import pytest
import trio

from conformance.probe.obstacle import CannotAct
from conformance.target import driver as drivers
from conformance.target.model import DriverSpec

EXAMPLE = Path(__file__).resolve().parents[3] / "fixtures" / "drivers" / "example.py"


async def test_it_hands_verbs_over_and_tells_when_it_cannot(tmp_path: Path) -> None:
    path = str(tmp_path / "faults.sock")

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b'{"id": 2, "ok": true, "result": {"low": 3, "high": 9}}\n')

    command = tuple(shlex.split(f"{sys.executable} {EXAMPLE} {path}"))
    async with drivers.opened(DriverSpec(kind="command", command=command)) as driver:
        assert driver.verbs == set(drivers.VERBS)
        with trio.socket.socket(trio.socket.AF_UNIX) as raw:
            await raw.bind(path)
            raw.listen()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(raw)])
                assert await driver.call("evict", {}) == {"low": 3, "high": 9}
                nursery.cancel_scope.cancel()
        with pytest.raises(CannotAct, match="unreachable"):
            await driver.call("evict", {})


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 100
