"""A leader that dies or hangs, beside one that takes over: each event once, in order, in time (OUT-4)."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.faults import scale
from tests.faults.relays import Relayed, high, relayed, send
from tests.services import nats
from tests.services.deployment import Member

_TICK = 0.5
_ROUNDS = scale.of(1, 6)
_NODES = 40
_PAUSE = 0.02

# What the clause allows, and what a busy machine with two cores takes on top of it.
_AFTER_DEATH, _AFTER_HANG = 2 * _TICK, 4 * _TICK
_SLACK = 2.0


async def _load(relayed: Relayed, domain: str, nodes: list[str]) -> None:
    """Enough that a relay is in a batch nearly always."""
    while True:
        with trio.CancelScope(shield=True):  # a commit that has begun is counted
            await relayed.publish(domain, nodes, 2)
        await trio.sleep(_PAUSE)


async def _moved(relayed: Relayed, within: float) -> None:
    """The log goes on in time."""
    before = await high(relayed.real)
    with trio.fail_after(within + _SLACK):
        while await high(relayed.real) == before:  # noqa: ASYNC110  # a log tells nobody
            await trio.sleep(_PAUSE)


async def _kill(relayed: Relayed, leader: Member, other: Member) -> None:
    leader.kill()
    send(other, signal.SIGCONT)
    await _moved(relayed, _AFTER_DEATH)
    await leader.start()


async def _hang(relayed: Relayed, leader: Member, other: Member) -> None:
    send(other, signal.SIGCONT)
    await _moved(relayed, _AFTER_HANG)
    send(leader, signal.SIGCONT)  # wakes in the middle of a batch that is not its own any more
    await _moved(relayed, _AFTER_DEATH)


@pytest.mark.parametrize("fails", [_kill, _hang], ids=["killed", "stopped"])
async def test_another_relay_takes_over_and_each_event_is_on_the_log_once(
    fails: Callable[..., object], fresh_database: Callable[[], str], nats_engine: nats.Nats, tmp_path: Path
) -> None:
    async with relayed(fresh_database(), nats_engine.url, tmp_path, relays=2, tick=_TICK) as on:
        domain, nodes = await on.real.domain(), [on.real.ids.uuid7() for _ in range(_NODES)]
        leader, other = on.members
        await leader.start()
        await other.start()
        async with trio.open_nursery() as nursery:
            for _ in range(_ROUNDS):
                send(other, signal.SIGSTOP)  # it waits while the other one is caught in a batch
                if await on.cursor_is_held():
                    send(other, signal.SIGCONT)
                load, over = trio.CancelScope(), trio.Event()
                nursery.start_soon(_under, load, over, on, domain, nodes)
                await on.stop_leader(leader)
                await fails(on, leader, other)  # type: ignore[misc]  # both are coroutines
                load.cancel()
                await over.wait()  # its last commit may still be under way
                await on.settled()
                leader, other = other, leader
        await on.assert_exact(domain)


async def _under(
    load: trio.CancelScope, over: trio.Event, on: Relayed, domain: str, nodes: list[str]
) -> None:
    with load:
        await _load(on, domain, nodes)
    over.set()
