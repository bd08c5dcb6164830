"""Switches: what stands behind one that is off is away, also for those who wait inside."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from reference_server.clock import SystemClock
from reference_server.faults.levers import Wiring
from reference_server.faults.refused import FaultRefused
from reference_server.faults.switches import Switch, SwitchableAudit, SwitchableStore, SwitchableStream
from reference_server.ids import Uuid7Ids
from reference_server.ports import Bounds, Decision, Tail, Unavailable
from reference_server.store.engine import MEMORY, SqliteStore

TAIL = Tail(appended=(), read_to=7)


class Log:
    """An EventStream whose tail comes when it is told."""

    def __init__(self) -> None:
        self.grown = trio.Event()

    async def bounds(self) -> Bounds:
        """Some."""
        return Bounds(low=1, high=7)

    async def read_tail(self, after: int) -> Tail:
        """Once it has grown."""
        await self.grown.wait()
        return TAIL

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        """At once."""
        return TAIL


async def test_a_reader_of_the_tail_is_thrown_out() -> None:
    log, switch = Log(), Switch("log")
    stream = SwitchableStream(log, switch)
    thrown = []

    async def read() -> None:
        try:
            await stream.read_tail(0)
        except Unavailable as outage:
            thrown.append(str(outage))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        switch.stop()
    assert thrown == ["the log is stopped"]
    for call in (stream.bounds(), stream.read_tail(0), stream.read_node("n", 0, 7)):
        with pytest.raises(Unavailable):
            await call
    switch.start()
    log.grown.set()
    assert await stream.read_tail(0) is TAIL
    assert (await stream.bounds()).high == 7


async def test_a_cancelled_reader_is_not_told_of_an_outage() -> None:
    stream = SwitchableStream(Log(), Switch("log"))
    with trio.move_on_after(0) as scope:
        await stream.read_tail(0)
    assert scope.cancelled_caught


async def test_a_store_needs_all_its_switches() -> None:
    clock = SystemClock()
    inner = await SqliteStore.open(MEMORY, clock=clock, ids=Uuid7Ids(clock))
    try:
        switches = Switch("database"), Switch("log")
        store = SwitchableStore(inner, *switches)
        for switch in switches:
            switch.stop()
            with pytest.raises(Unavailable, match=switch.what):
                await store.read(lambda _: 1)
            with pytest.raises(Unavailable):
                await store.change(["d"], lambda _: 1)
            assert store.version("d") != inner.version("d")  # no copy passes for the present state
            switch.start()
        before = store.version("d")
        assert await store.change(["d"], lambda _: 1) == 1
        assert store.version("d") == before + 1
    finally:
        await inner.aclose()


class Sink:
    """Counts what it takes."""

    def __init__(self) -> None:
        self.taken: list[Decision] = []

    def record_nowait(self, decision: Decision) -> None:
        """See the port."""
        self.taken.append(decision)


@pytest.mark.parametrize("wired", [True, False])
def test_audit_is_swallowed_while_unwired(wired: bool) -> None:
    sink = Sink()
    decision: Sequence[Decision] = ()
    SwitchableAudit(sink, lambda: wired).record_nowait(decision)  # type: ignore[arg-type]  # never looked at
    assert len(sink.taken) == wired


def test_wiring_knows_its_ports() -> None:
    wiring = Wiring(known=("A", "B"), unwired=("A",))
    assert [wiring.is_wired(port) for port in "AB"] == [False, True]
    wiring.set("A", wired=True)
    wiring.set("B", wired=False)
    assert [wiring.is_wired(port) for port in "AB"] == [True, False]
    with pytest.raises(FaultRefused, match="A, B"):
        wiring.set("C", wired=False)
