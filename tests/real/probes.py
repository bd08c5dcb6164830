"""What a relay over real engines must bring about: small scenarios that hold, or raise (OUT-2…5, LOG-3)."""

import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeAlias

import pytest
import trio

from reference_server.outbox import append
from reference_server.ports import Change, Landed, Lease, Outgoing, Unavailable
from reference_server.relay.run import Relay
from tests.real import bus
from tests.real.bus import RealBus

Opened: TypeAlias = Callable[..., AbstractAsyncContextManager[RealBus]]
Probe: TypeAlias = Callable[[Opened], Awaitable[None]]

# What a batch that waits for an acknowledgement takes, several times over.
_PATIENCE = 12.0
_WINDOW = 1.0
_PAUSE = 0.02


class Died(Exception):
    """The relay's process ended here."""


class _Wrapped:
    """The log as a relay meets it that dies, or is told nothing, at one of its two ends."""

    def __init__(
        self, real: RealBus, *, before: type[Exception] | None = None, after: type[Exception] | None = None
    ) -> None:
        self._log = real.log
        self._before, self._after = before, after

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        """See LogAppender."""
        if self._before is not None:
            raise self._before
        landed = self._log.append(change, outgoing, lease)
        if self._after is not None:
            raise self._after
        return landed


async def _drained(real: RealBus, relay: Relay | None = None) -> None:
    """Relay, with what a fresh process knows, until nothing waits."""
    relay = relay or real.relay()
    with trio.fail_after(_PATIENCE):
        while await real.pending():
            with suppress(Unavailable):
                await relay.carry_once()
            await trio.sleep(_PAUSE)


async def _holds(real: RealBus, domain_id: str, wanted: dict[str, list[str]]) -> None:
    found = {node: await real.on_log(domain_id, node) for node in wanted}
    assert found == wanted


async def _dies(opened: Opened, *, window: float = 120, **where: Any) -> None:
    """A relay dies around its append; the next one, perhaps much later, finds what there is to do."""
    async with opened(window=window) as real:
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(3)]
        told = await real.publish(domain, nodes, 3)
        with pytest.raises(Died):
            await real.relay(_Wrapped(real, **where)).carry_once()
        if window == _WINDOW:
            await trio.sleep(1.5 * _WINDOW)  # the log's own memory of message ids has to pass
        told += await real.publish(domain, nodes, 1)
        await _drained(real)
        await _holds(real, domain, dict.fromkeys(nodes, told))


async def dies_before_it_publishes(opened: Opened) -> None:
    """Nothing was published, and nothing is lost."""
    await _dies(opened, before=Died)


async def dies_before_it_settles(opened: Opened) -> None:
    """All was published, and nothing comes twice."""
    await _dies(opened, after=Died)


async def dies_before_it_settles_and_comes_back_late(opened: Opened) -> None:
    """The same where the log does not know the message ids any more."""
    await _dies(opened, after=Died, window=_WINDOW)


def _drop_first(real: RealBus, node_id: str) -> None:
    """The first publish for a Node never arrives, and nobody is told."""
    client = real.link.client
    whole, dropped = client.publish, []

    async def publish(subject: str, *args: Any, **named: Any) -> None:
        if subject.endswith(node_id) and not dropped:
            dropped.append(subject)
            return
        await whole(subject, *args, **named)

    client.publish = publish  # type: ignore[method-assign]  # whoever publishes comes by here


async def a_publish_fails(opened: Opened) -> None:
    """A publish that fails holds back its Node's later ones, and nobody else's."""
    async with opened() as real:
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(3)]
        told = await real.publish(domain, nodes, 4)
        _drop_first(real, nodes[0])
        relay = real.relay()
        with pytest.raises(Unavailable):
            await relay.carry_once()
        await _holds(real, domain, dict.fromkeys(nodes[1:], told))
        told += await real.publish(domain, nodes, 1)
        await _drained(real, relay)
        await _holds(real, domain, dict.fromkeys(nodes, told))


async def an_acknowledgement_is_not_heard(opened: Opened) -> None:
    """What was published and not acknowledged is published again without coming twice."""
    async with opened() as real:
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(2)]
        told = await real.publish(domain, nodes, 3)
        with pytest.raises(Unavailable):
            await real.relay(_Wrapped(real, after=Unavailable)).carry_once()
        await _drained(real)
        await _holds(real, domain, dict.fromkeys(nodes, told))


async def a_smaller_row_commits_last(opened: Opened) -> None:
    """Neither is it passed over, nor does it hold up who committed before it; a gap in the ids is none."""
    async with opened() as real:
        slow, quick = await real.domain(), await real.domain()
        node, other = real.ids.uuid7(), real.ids.uuid7()
        inserted, may_commit = trio.Event(), threading.Event()
        token = trio.lowlevel.current_trio_token()
        told: list[str] = []

        def row(change: Change) -> str:
            payload = json.dumps({"node_id": node}).encode()
            return append.append(
                change, domain_id=slow, source=bus.SOURCE, recipients=[node], payload=payload
            )

        def work(change: Change) -> None:
            told.append(row(change))
            token.run_sync_soon(inserted.set)
            may_commit.wait(_PATIENCE)

        def fails(change: Change) -> None:
            row(change)
            raise KeyError("leaves a gap")

        relay = real.relay()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(real.store.change, [slow], work)
                await inserted.wait()
                later = await real.publish(quick, [other])
                await relay.carry_once()
                may_commit.set()
                await _holds(real, quick, {other: later})
        finally:
            may_commit.set()
        with pytest.raises(KeyError):
            await real.store.change([slow], fails)
        later += await real.publish(quick, [other])
        await _drained(real, relay)
        await _holds(real, quick, {other: later})
        await _holds(real, slow, {node: told})


async def a_domain_waits_for_its_key(opened: Opened) -> None:
    """Its rows hold up nobody, and leave in order before newer ones."""
    async with opened() as real:
        keyless, keyed = await real.domain(key=False), await real.domain()
        node, other = real.ids.uuid7(), real.ids.uuid7()
        told = await real.publish(keyless, [node], 3)
        theirs = await real.publish(keyed, [other], 2)
        relay = real.relay(publishes=4)
        await _drained(real, relay)
        await _holds(real, keyed, {other: theirs})
        await _holds(real, keyless, {node: []})
        await real.provision(keyless)
        told += await real.publish(keyless, [node], 3)
        theirs += await real.publish(keyed, [other], 1)
        with trio.fail_after(_PATIENCE):
            while len(await real.on_log(keyless, node)) < len(told) or await real.pending():
                await relay.carry_once()
        await _holds(real, keyless, {node: told})
        await _holds(real, keyed, {other: theirs})


async def two_relays_meet(opened: Opened) -> None:
    """While one is in a batch the other skips its turn."""
    async with opened() as real:
        domain, node = await real.domain(), real.ids.uuid7()
        told = await real.publish(domain, [node], 2)
        inside, may_end = trio.Event(), threading.Event()
        token = trio.lowlevel.current_trio_token()

        class Slow:
            def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
                token.run_sync_soon(inside.set)
                may_end.wait(_PATIENCE)
                return real.log.append(change, outgoing, Lease(until=bus.lease_deadline(5), sure=lease.sure))

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(real.relay(Slow()).carry_once)
                await inside.wait()
                with trio.move_on_after(_PATIENCE / 2):
                    assert await real.relay().carry_once() is False
                assert await real.on_log(domain, node) == []
                may_end.set()
        finally:
            may_end.set()
        await _holds(real, domain, {node: told})


async def a_leader_is_late(opened: Opened) -> None:
    """Past its lease it publishes nothing more."""
    async with opened() as real:
        domain, node = await real.domain(), real.ids.uuid7()
        told = await real.publish(domain, [node], 2)

        class Late:
            def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
                threading.Event().wait(bus.TICK_SECONDS * 1.6)
                return real.log.append(change, outgoing, lease)

        with suppress(Unavailable):
            await real.relay(Late()).carry_once()
        assert await real.on_log(domain, node) == []
        await _drained(real)
        await _holds(real, domain, {node: told})


async def a_leader_stands_still(opened: Opened) -> None:
    """The database gives it up after two ticks."""
    async with opened() as real:
        domain, node = await real.domain(), real.ids.uuid7()
        await real.publish(domain, [node])

        class Still:
            def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
                threading.Event().wait(bus.TICK_SECONDS * 3)
                return Landed(appended=())

        with pytest.raises(Unavailable):
            await real.relay(Still()).carry_once()


PROBES: tuple[Probe, ...] = (
    dies_before_it_publishes,
    dies_before_it_settles,
    dies_before_it_settles_and_comes_back_late,
    a_publish_fails,
    an_acknowledgement_is_not_heard,
    a_smaller_row_commits_last,
    a_domain_waits_for_its_key,
    two_relays_meet,
    a_leader_is_late,
    a_leader_stands_still,
)
