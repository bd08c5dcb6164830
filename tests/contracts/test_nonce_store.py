"""What every NonceStore promises (LOG-5), over memory and over a real JetStream bucket."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from nats.js.errors import NotFoundError

from reference_server.log import nats_link
from reference_server.log.nats_link import LogRefused, NatsLink, NatsPlace
from reference_server.ports import Appended, Layer, NonceStore, Sighting, SignedBody
from reference_server.stream import kv_nonces
from reference_server.stream.nonce import MemoryNonces
from tests.services.nats import Nats

Made = Callable[[], AbstractAsyncContextManager[NonceStore]]
every_adapter = pytest.mark.parametrize("made", ["memory", "jetstream"], indirect=True)


@asynccontextmanager
async def memory() -> AsyncIterator[NonceStore]:
    yield MemoryNonces(Layer.STREAM)


@asynccontextmanager
async def jetstream(url: str) -> AsyncIterator[NonceStore]:
    async with nats_link.linked(NatsPlace(url=url)) as link:
        await without_bucket(link)
        yield await kv_nonces.ensure_nonces(link, Layer.STREAM, seconds=0, retention_seconds=0)


async def without_bucket(link: NatsLink) -> None:
    with suppress(NotFoundError):
        await link.call(lambda: link.stream.delete_stream("KV_busproof_nonces_stream"))


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Made:
    if request.param == "jetstream":
        return partial(jetstream, request.getfixturevalue("nats_engine").url)
    return memory


def broadcast(event_id: str, *entries: tuple[int, str]) -> Appended:
    body = SignedBody(event_id=event_id, event_type="e", domain_id="d", key_id="k", wire=b"{}")
    return Appended(body=body, entries=entries)


FIRST, SAME, REPLAY = Sighting.FIRST, Sighting.SAME, Sighting.REPLAY


@every_adapter
async def test_first_same_replay(made: Made) -> None:
    async with made() as store:
        assert await store.admit([("a.1", 1), ("b.1", 2)]) == [FIRST, FIRST]
        assert await store.admit([("a.1", 1), ("a.1", 5), ("c.1", 6)]) == [SAME, REPLAY, FIRST]
        assert await store.look_up(["a.1", "b.1", "c.1", "d.1"]) == [1, 2, 6, None]


@every_adapter
async def test_a_nonce_twice_in_one_batch(made: Made) -> None:
    async with made() as store:
        assert await store.admit([("a.1", 1), ("b.1", 2), ("a.1", 3)]) == [FIRST, FIRST, REPLAY]
        assert await store.look_up(["a.1"]) == [1]


@every_adapter
async def test_the_same_event_for_two_nodes_is_two_nonces(made: Made) -> None:
    async with made() as store:
        assert await store.admit([("a.1", 1), ("a.2", 2)]) == [FIRST, FIRST]


@every_adapter
async def test_the_lowest_sequence_wins_whoever_came_first(made: Made) -> None:
    async with made() as store:
        await store.admit([("a.1", 9)])
        assert await store.admit([("a.1", 4)]) == [FIRST]
        assert await store.look_up(["a.1"]) == [4]
        assert await store.admit([("a.1", 9), ("a.1", 4)]) == [REPLAY, SAME]


@every_adapter
async def test_what_is_forgotten_is_new_again_and_the_rest_stays(made: Made) -> None:
    async with made() as store:
        await store.admit([(f"{number}.1", number) for number in range(1, 101)])
        await store.forget_below(51)
        assert await store.look_up(["50.1", "51.1", "100.1"]) == [None, 51, 100]
        assert await store.admit([("50.1", 200), ("51.1", 201)]) == [FIRST, REPLAY]


@every_adapter
async def test_a_nonce_lives_as_long_as_its_last_repetition(made: Made) -> None:
    async with made() as store:
        await store.admit([("a.1", 10), ("a.2", 11), ("b.1", 12)])
        assert await store.admit([("a.1", 50), ("a.1", 40)]) == [REPLAY, REPLAY]
        await store.forget_below(50)
        assert await store.look_up(["a.1", "a.2", "b.1"]) == [10, None, None]
        assert await store.admit([("a.2", 60), ("a.1", 50), ("a.1", 10)]) == [FIRST, REPLAY, SAME]
        await store.forget_below(51)
        assert await store.look_up(["a.1", "a.2"]) == [None, 60]
        assert await store.admit([("a.1", 61)]) == [FIRST]


@every_adapter
async def test_a_broadcast_at_once_is_its_nonces_one_by_one(made: Made) -> None:
    async with made() as store:
        assert not await store.admit_entries([broadcast("a", (1, "1"), (2, "2")), broadcast("b", (3, "1"))])
        assert await store.admit([("a.1", 1), ("a.2", 4), ("b.1", 4)]) == [SAME, REPLAY, REPLAY]
        assert await store.look_up_node("1", ["a", "b", "c"]) == [1, 3, None]
        again = [broadcast("a", (5, "2"), (6, "3")), broadcast("a", (7, "3")), broadcast("b", (8, "2"))]
        assert set(await store.admit_entries(again)) == {5, 7}
        assert await store.look_up(["a.2", "a.3", "b.2"]) == [2, 6, 8]


@every_adapter
async def test_a_node_twice_in_one_broadcast_is_a_replay(made: Made) -> None:
    async with made() as store:
        assert set(await store.admit_entries([broadcast("a", (1, "1"), (2, "2"), (3, "1"))])) == {3}
        assert await store.look_up(["a.1", "a.2"]) == [1, 2]


@every_adapter
async def test_a_broadcast_met_again_lower_down_takes_the_lower_place(made: Made) -> None:
    async with made() as store:
        await store.admit_entries([broadcast("a", (9, "1"), (10, "2"))])
        assert not await store.admit_entries([broadcast("a", (4, "1"))])
        assert set(await store.admit_entries([broadcast("a", (9, "1"), (10, "2"))])) == {9}


@every_adapter
async def test_of_a_broadcast_what_the_log_retains_stays(made: Made) -> None:
    async with made() as store:
        await store.admit_entries([broadcast("a", (1, "1"), (2, "2")), broadcast("b", (3, "1"))])
        await store.forget_below(2)
        assert await store.look_up(["a.1", "a.2", "b.1"]) == [None, 2, 3]
        await store.admit([("a.9", 8)])
        await store.forget_below(8)
        assert await store.look_up(["a.2", "b.1", "a.9"]) == [None, None, 8]
        assert not await store.admit_entries([broadcast("a", (9, "1"))])


@every_adapter
async def test_nothing_admitted_is_nothing_answered(made: Made) -> None:
    async with made() as store:
        assert list(await store.admit([])) == []
        assert not await store.admit_entries([])
        assert list(await store.look_up_node("1", [])) == []
        assert list(await store.look_up([])) == []


async def test_replicas_share_what_they_saw(nats_engine: Nats) -> None:
    async with (
        nats_link.linked(NatsPlace(url=nats_engine.url)) as one,
        nats_link.linked(NatsPlace(url=nats_engine.url)) as other,
    ):
        await without_bucket(one)
        here = await kv_nonces.ensure_nonces(one, Layer.STREAM, seconds=60, retention_seconds=60)
        there = await kv_nonces.ensure_nonces(other, Layer.STREAM, seconds=60, retention_seconds=60)
        assert await here.admit([("a.1", 7), ("b.1", 8)]) == [FIRST, FIRST]
        assert await there.admit([("a.1", 7), ("b.1", 9)]) == [SAME, REPLAY]
        assert await there.admit([("b.1", 3)]) == [FIRST]
        assert await there.look_up(["a.1", "b.1", "c.1"]) == [7, 3, None]


async def test_replicas_say_together_what_one_table_says(nats_engine: Nats) -> None:
    rng = random.Random(5)
    async with AsyncExitStack() as stack:
        links = [
            await stack.enter_async_context(nats_link.linked(NatsPlace(url=nats_engine.url)))
            for _ in range(3)
        ]
        await without_bucket(links[0])
        replicas = [
            await kv_nonces.ensure_nonces(link, Layer.STREAM, seconds=0, retention_seconds=0)
            for link in links
        ]
        table: dict[str, tuple[int, int]] = {}  # the first place and the last
        sequence, low = 0, 0
        for turn in range(150):
            sightings: list[tuple[str, int]] = []
            for _ in range(rng.randint(1, 12)):
                sequence += 1
                sightings.append(
                    (f"{rng.randint(turn // 10, turn // 10 + 3)}.{rng.randint(1, 20)}", sequence)
                )
            answers = []
            for nonce, at in sightings:
                answers.append(REPLAY if nonce in table else FIRST)
                table[nonce] = (table.get(nonce, (at, at))[0], at)
            assert await rng.choice(replicas).admit(sightings) == answers
            if turn % 10 == 9:
                low = max(low, sequence - 200)
                table = {nonce: places for nonce, places in table.items() if places[1] >= low}
                for store in replicas:
                    await store.forget_below(low)
            nonces = [f"{rng.randint(0, turn // 10 + 3)}.{rng.randint(1, 20)}" for _ in range(6)]
            assert await rng.choice(replicas).look_up(nonces) == [
                table[nonce][0] if nonce in table else None for nonce in nonces
            ]


async def _meet(
    event_id: str, entries: list[tuple[int, str]], replayed: list[int], store: NonceStore, pieces: list[slice]
) -> None:
    for piece in pieces:
        replayed.extend(await store.admit_entries([broadcast(event_id, *entries[piece])]))


async def test_replicas_that_meet_a_broadcast_at_once_agree_on_it(nats_engine: Nats) -> None:
    async with (
        nats_link.linked(NatsPlace(url=nats_engine.url)) as one,
        nats_link.linked(NatsPlace(url=nats_engine.url)) as other,
    ):
        await without_bucket(one)
        stores = [
            await kv_nonces.ensure_nonces(link, Layer.STREAM, seconds=0, retention_seconds=0)
            for link in (one, other)
        ]
        entries = [(number, str(number)) for number in range(1, 41)]
        for event in ("a", "b", "c", "d"):
            replayed: list[int] = []
            meet = partial(_meet, event, entries, replayed)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(meet, stores[0], [slice(0, 5), slice(5, 40)])
                nursery.start_soon(meet, stores[1], [slice(0, 2), slice(2, 20), slice(20, 40)])
            assert replayed == []
            again = [broadcast(event, *((100 + at, node) for at, node in entries))]
            for store in stores:
                assert set(await store.admit_entries(again)) == {100 + at for at, _ in entries}


async def test_nonces_that_are_forgotten_before_their_entries_are_refused(nats_engine: Nats) -> None:
    async with nats_link.linked(NatsPlace(url=nats_engine.url)) as link:
        with pytest.raises(LogRefused, match="forgotten before their entries"):
            await kv_nonces.ensure_nonces(link, Layer.STREAM, seconds=59, retention_seconds=60)
