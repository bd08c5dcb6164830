"""`live` on a deployment in use: what it sends is counted at a proxy, and it stops where it does harm."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from conformance import runner
from conformance.catalogue.load import catalogue
from conformance.check import keepalive, live_flow, registry
from conformance.probe import recording
from conformance.progress import Silent
from conformance.report.folder import RunFolder
from conformance.report.record import RunRecord
from conformance.target import callers, reach, reference
from conformance.target.model import Target
from conformance.verdict.exits import Outcome
from tests.suite import publisher
from tests.suite.tiny import Asked, ok, serving, target_at

ORDER = runner.Order(profiles=("live",), seed=5)
PATIENCE = 60.0
_REQUEST = re.compile(rb"(?:^|\r\n\r\n)([A-Z]+) (\S+) HTTP/1\.1\r\n")


@dataclass(slots=True)
class Counted:
    url: str = ""
    methods: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@asynccontextmanager
async def counting(url: str) -> AsyncIterator[Counted]:
    """A proxy that forwards bytes and remembers the requests."""
    parts, counted = urlsplit(url), Counted()

    async def forward(source: trio.SocketStream, sink: trio.SocketStream, seen: bool) -> None:
        try:
            while data := await source.receive_some():
                if seen:
                    for method, path in _REQUEST.findall(data):
                        counted.methods.append(method.decode())
                        counted.paths.append(path.decode())
                await sink.send_all(data)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(source)
            await trio.aclose_forcefully(sink)

    async def handle(stream: trio.SocketStream) -> None:
        async with (
            await trio.open_tcp_stream(parts.hostname or "", parts.port or 0) as target,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(forward, stream, target, True)
            nursery.start_soon(forward, target, stream, False)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        counted.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield counted
        nursery.cancel_scope.cancel()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many connections were open each time that one was opened, as the suite itself has them."""
    connect, close = recording.RecordingBackend.connect_tcp, recording.RecordingStream.aclose
    now: set[int] = set()
    counts: list[int] = []

    async def connected(self: recording.RecordingBackend, *where: Any, **how: Any) -> Any:
        stream = await connect(self, *where, **how)
        now.add(id(stream))
        counts.append(len(now))
        return stream

    async def closed(self: recording.RecordingStream) -> None:
        now.discard(id(self))
        await close(self)

    monkeypatch.setattr(recording.RecordingBackend, "connect_tcp", connected)
    monkeypatch.setattr(recording.RecordingStream, "aclose", closed)
    return counts


async def ran(tmp_path: Path, target: Target, order: runner.Order = ORDER) -> RunRecord:
    suite = runner.Suite(registry=registry.collect(), catalogue=replace(catalogue(), checks={}))
    vault = runner.vault_for(target, order)
    folder = RunFolder(tmp_path / "run", vault)
    with trio.fail_after(PATIENCE):
        return await runner.run(target, order, suite, vault=vault, folder=folder, progress=Silent())


async def test_a_look_at_a_deployment_in_use(tmp_path: Path, connections: list[int]) -> None:
    async with (
        reference.started(descoped=False, claims=()) as used,
        counting(used.base_url) as counted,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(publisher.publish, used)
        header = (("Authorization", f"Bearer {used.identities['node_a'].credential}"),)
        bare = Target(name="used", base_url=counted.url)
        record = await ran(tmp_path, callers.with_caller(bare, header))
        nursery.cancel_scope.cancel()
    assert record.whole.outcome is Outcome.OBSERVED and record.exit_code == 0, record.whole.reasons
    assert [each.outcome for each in record.whole.profiles] == ["observed"]
    assert set(counted.methods) == {"GET"}
    assert 20 < len(counted.methods) < 100 <= reach.LIVE_REQUESTS
    assert len(connections) == len(counted.methods)
    assert 2 < max(connections) <= reach.LIVE_CONNECTIONS
    assert counted.paths[0] == "/v1/version" and "/v1/version" in counted.paths[1:]


async def test_nothing_is_written_even_where_writing_is_allowed(tmp_path: Path) -> None:
    order = replace(ORDER, allow=frozenset({"write", "disruptive"}), max_connections=50)
    claims, plan = runner.plan(target_at("http://127.0.0.1:1", may_disrupt=True), order, _suite())
    assert claims.effects == reach.READING
    assert {each.name for each in plan.acted} == {"live_doors", "live_flow", "live_quiet"}
    assert reach.connections(order.max_connections, reach.LIVE_CONNECTIONS, claims.effects) == 4


async def test_a_deployment_in_trouble_is_left_alone(tmp_path: Path) -> None:
    """Once more than a few of the last answers are server errors, nothing is sent any more."""
    asked: list[str] = []

    async def failing(request: Asked, stream: trio.SocketStream) -> None:
        asked.append(request.target)
        if request.target.endswith(("/version", "/openapi.json")):
            await stream.send_all(ok(b'{"version":"1"}'))
        elif request.target.endswith("/state") and b"nsk_tiny" in request.head and len(asked) < 20:
            await stream.send_all(ok(b'{"peers":[]}'))
        else:
            await stream.send_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")

    async with serving(failing) as tiny:
        record = await ran(tmp_path, target_at(tiny.url))
    assert len(asked) < 30, "forty rows were planned"
    assert record.exit_code in (1, 3)
    assert any("server errors" in each for each in record.whole.reasons)


async def test_without_a_credential_nothing_is_claimed(tmp_path: Path) -> None:
    async with serving() as tiny:
        record = await ran(tmp_path, Target(name="bare", base_url=tiny.url))
    assert record.whole.outcome is Outcome.INCOMPLETE
    assert any("--header 'Authorization: Bearer nsk_" in each for each in record.whole.reasons)


async def test_a_quiet_node_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_flow, "FLOW_SECONDS", 0.2)
    monkeypatch.setattr(keepalive, "PATIENCE_SECONDS", 0.2)
    async with reference.started(descoped=False, claims=()) as used:
        lonely = replace(used.identities["node_other"], label="node_a")
        record = await ran(tmp_path, replace(used, identities={"node_a": lonely}))
        older = await ran(tmp_path / "older", used)
    assert {each.id: each.verdict.value for each in older.results}["ENV-032"] == "pass", "from what is kept"
    assert record.exit_code == 3
    found = {each.id: each.verdict.value for each in record.results}
    assert found["ENV-032"] == "not_testable" and found["SSE-034"] == "not_testable"
    assert found["GATE-034"] == "pass" and found["SSE-031"] == "pass"


def _suite() -> runner.Suite:
    return runner.Suite(registry=registry.collect(), catalogue=catalogue())
