"""What streams over a real log must bring about: small scenarios that hold, or raise (CUR-2…5, LOG-5)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from reference_server import metrics
from reference_server.envelope import model, signing
from reference_server.log import messages, nats_link, subjects
from reference_server.log.jetstream import JetStreamLog
from reference_server.log.nats_link import NatsLink, NatsPlace
from reference_server.ports import Bounds, Caller, Layer, Lease, Outgoing, SignedBody, Tail
from reference_server.stream import kv_nonces, withheld
from reference_server.stream.hub import Admitted, Hub
from reference_server.stream.limits import Limits
from tests.real import bus
from tests.real.bus import RealBus
from tests.real.probes import Opened, Probe
from tests.server.stream.fakes import Believer, Pipe, Steady

_KEY = signing.key_pair(signing.new_seed())[1]
_PATIENCE = 10.0
_ROTATION = "signing_key_rotated"
_RETAINED = 600.0

# More than one piece of a replay, of 1,024 entries.
_PIECES = 1_100


class _Replica:
    """One server's streaming side over the real log, with a link of its own; every signature is believed."""

    def __init__(self, link: NatsLink, nonces: Any, log: Any = None) -> None:
        self.log = log or JetStreamLog(link, metrics.create())
        self.withheld: list[str] = []
        self.hub = Hub(
            log=self.log,
            nonces=nonces,
            verifier=Believer(),
            standing=Steady(),
            tell_withheld=lambda each: self.withheld.append(each.reason),
            limits=Limits(),
            metrics=metrics.create(),
        )

    def open(self, nursery: trio.Nursery, domain_id: str, node_id: str, after: int) -> Pipe:
        pipe = Pipe()
        caller = Caller(node_id=node_id)
        admitted = Admitted(node_id=node_id, domain_id=domain_id, caller=caller, after=after, rung=0)
        nursery.start_soon(self.hub.serve, admitted, pipe, False)
        return pipe


@asynccontextmanager
async def _replica(
    real: RealBus, url: str, nursery: trio.Nursery, log: Any = None
) -> AsyncIterator[_Replica]:
    async with nats_link.linked(NatsPlace(url=url)) as link:
        nonces = await kv_nonces.ensure_nonces(
            link, Layer.STREAM, seconds=_RETAINED, retention_seconds=_RETAINED
        )
        replica = _Replica(link, nonces, log)
        scope = trio.CancelScope()
        nursery.start_soon(_run, replica, scope)
        with trio.fail_after(_PATIENCE):
            await replica.hub.reader.wait_current()
        yield replica
        scope.cancel()


async def _run(replica: _Replica, scope: trio.CancelScope) -> None:
    with scope:
        await replica.hub.run()


def _body(real: RealBus, domain_id: str, *, key: int = 0, kind: str = "node_state_updated") -> SignedBody:
    return model.build(
        event_id=real.ids.uuid7(),
        event_type=kind,
        domain_id=domain_id,
        key_id=f"k-{key}",
        issued_at=0,
        payload=b"{}",
        signing_key=_KEY,
    )


async def _put(real: RealBus, *wanted: tuple[SignedBody, Sequence[str]]) -> None:
    """On the log, in this order, also between Nodes."""
    for body, nodes in wanted:
        for node in nodes:
            outgoing = [Outgoing(body=body, node_ids=[node])]
            lease = Lease(until=bus.lease_deadline(10), sure=True)
            landed = await trio.to_thread.run_sync(partial(real.log.append, None, outgoing, lease))
            assert not landed.owed


async def _put_again(real: RealBus, body: SignedBody, node_id: str) -> None:
    """The same envelope as somebody else would publish it, whom no message id stops."""
    subject = subjects.of_node(body.domain_id, node_id)
    headers = {messages.MESSAGE_ID: real.ids.uuid7()}
    await real.link.call(lambda: real.link.stream.publish(subject, body.wire, headers=headers))


def _told(pipe: Pipe) -> list[int]:
    lines = bytes(pipe.got).split(b"\n")
    return [int(line.removeprefix(b"id: ")) for line in lines if line.startswith(b"id: ")]


async def _tells(pipe: Pipe, last: int) -> list[int]:
    """What came until the frame of a sequence, which is sure to come."""
    with trio.fail_after(_PATIENCE):
        await pipe.wait_for(b"id: %d\n" % last)
    return _told(pipe)


async def a_replay_is_of_one_node(opened: Opened) -> None:
    """Another Node's events are on no replay."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node, other = await real.domain(), real.ids.uuid7(), real.ids.uuid7()
        for _ in range(3):
            await _put(real, (_body(real, domain), [node]), (_body(real, domain), [other]))
        async with _replica(real, real.url, nursery) as replica:
            pipe = replica.open(nursery, domain, node, 0)
            assert await _tells(pipe, 5) == [1, 3, 5]
            nursery.cancel_scope.cancel()


async def the_window_is_the_logs(opened: Opened) -> None:
    """It reaches as far as anybody's entries, whoever asks."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node, other = await real.domain(), real.ids.uuid7(), real.ids.uuid7()
        await _put(real, (_body(real, domain), [node]), (_body(real, domain), [other]))
        await _put(real, (_body(real, domain), [other]))
        async with _replica(real, real.url, nursery) as replica:
            assert await replica.hub.window() == Bounds(low=1, high=3)
            await real.log.evict(1)
            assert await replica.hub.window() == Bounds(low=2, high=3)
            nursery.cancel_scope.cancel()


class _Evicts:
    """The log from which entries go after the first piece of a replay has been read."""

    def __init__(self, real: RealBus, through: int) -> None:
        self._log = JetStreamLog(real.link, metrics.create())
        self._through = through
        self._pieces = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        """See EventStream."""
        self._pieces += 1
        if self._pieces == 2:
            await self._log.evict(self._through)
        return await self._log.read_node(node_id, after, up_to)


async def entries_go_under_a_replay(opened: Opened) -> None:
    """The stream ends rather than going on with a gap."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node = await real.domain(), real.ids.uuid7()
        bodies = [_body(real, domain) for _ in range(_PIECES)]
        lease = Lease(until=bus.lease_deadline(30), sure=True)
        outgoing = [Outgoing(body=body, node_ids=[node]) for body in bodies]
        assert not (await trio.to_thread.run_sync(partial(real.log.append, None, outgoing, lease))).owed
        async with _replica(real, real.url, nursery, _Evicts(real, _PIECES - 10)) as replica:
            pipe = replica.open(nursery, domain, node, 0)
            with trio.fail_after(_PATIENCE):
                await pipe.wait_over()
            told = _told(pipe)
            assert told == list(range(1, len(told) + 1))
            nursery.cancel_scope.cancel()


async def an_entry_stands_twice(opened: Opened) -> None:
    """Where the reader has met it before, it is not delivered again, live or on a replay."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node = await real.domain(), real.ids.uuid7()
        first, last = _body(real, domain), _body(real, domain)
        async with _replica(real, real.url, nursery) as replica:
            live = replica.open(nursery, domain, node, 0)
            await _put(real, (first, [node]))
            await _put_again(real, first, node)
            await _put(real, (last, [node]))
            assert await _tells(live, 3) == [1, 3]
            again = replica.open(nursery, domain, node, 0)
            assert await _tells(again, 3) == [1, 3]
            assert withheld.REPLAYED in replica.withheld
            nursery.cancel_scope.cancel()


async def the_first_of_two_is_gone(opened: Opened) -> None:
    """A replica that starts when the log holds the copy alone knows what the other one saw."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node = await real.domain(), real.ids.uuid7()
        first, between, last = (_body(real, domain) for _ in range(3))
        async with _replica(real, real.url, nursery) as one:
            live = one.open(nursery, domain, node, 0)
            await _put(real, (first, [node]), (between, [node]))
            await _put_again(real, first, node)
            await _put(real, (last, [node]))
            assert await _tells(live, 4) == [1, 2, 4]
            await real.log.evict(1)
            async with _replica(real, real.url, nursery) as other:
                late = other.open(nursery, domain, node, 1)
                assert await _tells(late, 4) == [2, 4]
                nursery.cancel_scope.cancel()


async def a_retired_key_signs_on(opened: Opened) -> None:
    """Behind the rotation what the outgoing key signed is not delivered, live or on a replay."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node = await real.domain(), real.ids.uuid7()
        entries = [
            _body(real, domain),
            _body(real, domain, kind=_ROTATION),
            _body(real, domain, key=0),
            _body(real, domain, key=1),
        ]
        async with _replica(real, real.url, nursery) as replica:
            live = replica.open(nursery, domain, node, 0)
            await _put(real, *((body, [node]) for body in entries))
            assert await _tells(live, 4) == [1, 2, 4]
            again = replica.open(nursery, domain, node, 0)
            assert await _tells(again, 4) == [1, 2, 4]
            nursery.cancel_scope.cancel()


async def entries_go_before_they_were_read(opened: Opened) -> None:
    """Streams that would go on behind a gap of the log end."""
    async with opened() as real, trio.open_nursery() as nursery:
        domain, node = await real.domain(), real.ids.uuid7()
        async with _replica(real, real.url, nursery) as replica:
            pipe = replica.open(nursery, domain, node, 0)
            await _put(real, (_body(real, domain), [node]))
            assert await _tells(pipe, 1) == [1]
            jump = partial(real.link.stream.purge_stream, subjects.STREAM, seq=1_000)
            await real.link.call(jump)
            await _put(real, (_body(real, domain), [node]))
            with trio.fail_after(_PATIENCE):
                await pipe.wait_over()
            assert _told(pipe) == [1]
            nursery.cancel_scope.cancel()


STREAM_PROBES: tuple[Probe, ...] = (
    a_replay_is_of_one_node,
    the_window_is_the_logs,
    entries_go_under_a_replay,
    an_entry_stands_twice,
    the_first_of_two_is_gone,
    a_retired_key_signs_on,
    entries_go_before_they_were_read,
)
