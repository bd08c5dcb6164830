"""A lying driver is caught; a target that shows nothing never makes its driver a liar."""

import json
from collections.abc import Mapping

import pytest
import trio

from conformance import acting
from conformance.check.model import Scenario
from conformance.probe import honesty
from tests.suite.made import scenario
from tests.suite.tiny import NODE, Asked, kit_at, ok, serving


class Bus:
    """A target with one stream: what is put or published appears on it, unless it is `mute`."""

    def __init__(self, *, mute: bool) -> None:
        self.mute = mute
        self.dropped = trio.Event()
        self.lines: list[bytes] = []
        self.news = trio.Event()

    def say(self, event: str, event_id: str) -> None:
        if not self.mute:
            self.lines.append(
                b'id: 1\nevent: %s\ndata: {"id":"%s"}\n\n' % (event.encode(), event_id.encode())
            )
        self.news.set()
        self.news = trio.Event()

    async def answer(self, asked: Asked, stream: trio.SocketStream) -> None:
        if asked.target.endswith("/events"):
            await self._stream(stream)
        elif asked.method == "PUT":
            self.say("node_state_updated", "twin")
            await stream.send_all(ok(b"{}"))
        else:
            body = {"id": NODE, "node_id": NODE, "mesh_ip": "10.64.0.2", "nsk": "AAEC" * 10 + "AAA="}
            await stream.send_all(ok(json.dumps(body).encode()).replace(b"200 OK", b"201 Created"))

    async def _stream(self, stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        sent = 0
        while not self.dropped.is_set():
            news = self.news
            await stream.send_all(b"".join(self.lines[sent:]) or b":\n\n")
            sent = len(self.lines)
            await news.wait()


class ToyDriver:
    """Does what it says, but for the verbs in `lies`."""

    verbs = frozenset({"publish", "drop_streams"})

    def __init__(self, bus: Bus, lies: tuple[str, ...] = ()) -> None:
        self._bus = bus
        self._lies = lies

    async def call(self, verb: str, parameters: Mapping[str, object]) -> Mapping[str, object]:
        if verb == "publish":
            if verb not in self._lies:
                self._bus.say("rotate_keys", "told")
            return {"event_id": "told"}
        if verb not in self._lies:
            self._bus.dropped.set()
            self._bus.say("comment", "end")
        return {"dropped": 1}


EXAMINED: Scenario = scenario("honesty", honesty.examine, budget=20)


@pytest.mark.parametrize(
    ("lies", "mute", "says"),
    [
        ((), False, []),
        (("publish",), False, ["published"]),
        (("drop_streams",), False, ["went on"]),
        (("publish", "drop_streams"), True, []),
    ],
)
async def test_lies_are_caught(
    lies: tuple[str, ...], mute: bool, says: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "SEEN_SECONDS", 0.5)
    monkeypatch.setattr(honesty, "ENDED_SECONDS", 0.5)
    bus = Bus(mute=mute)
    async with serving(bus.answer) as tiny:
        kit = kit_at(tiny.url, driver=ToyDriver(bus, lies))
        acted = await acting.act(EXAMINED, kit)
        await kit.client.aclose()
    assert acted.obstacle is None, acted.reason
    found = honesty.lies(acted.transcript)
    assert len(found) == len(says) and all(part in lie for part, lie in zip(says, found, strict=True))
