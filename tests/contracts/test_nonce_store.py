"""What every NonceStore promises (LOG-5)."""

from collections.abc import Callable

import pytest

from reference_server.ports import Layer, NonceStore, Sighting
from reference_server.stream.nonce import MemoryNonces

Made = Callable[[], NonceStore]
every_adapter = pytest.mark.parametrize("made", [lambda: MemoryNonces(Layer.STREAM)], ids=["memory"])

FIRST, SAME, REPLAY = Sighting.FIRST, Sighting.SAME, Sighting.REPLAY


@every_adapter
async def test_first_same_replay(made: Made) -> None:
    store = made()
    assert await store.admit([("a.1", 1), ("b.1", 2)]) == [FIRST, FIRST]
    assert await store.admit([("a.1", 1), ("a.1", 5), ("c.1", 6)]) == [SAME, REPLAY, FIRST]
    assert await store.look_up(["a.1", "b.1", "c.1", "d.1"]) == [1, 2, 6, None]


@every_adapter
async def test_a_nonce_twice_in_one_batch(made: Made) -> None:
    store = made()
    assert await store.admit([("a.1", 1), ("b.1", 2), ("a.1", 3)]) == [FIRST, FIRST, REPLAY]
    assert await store.look_up(["a.1"]) == [1]


@every_adapter
async def test_the_same_event_for_two_nodes_is_two_nonces(made: Made) -> None:
    store = made()
    assert await store.admit([("a.1", 1), ("a.2", 2)]) == [FIRST, FIRST]


@every_adapter
async def test_the_lowest_sequence_wins_whoever_came_first(made: Made) -> None:
    store = made()
    await store.admit([("a.1", 9)])
    assert await store.admit([("a.1", 4)]) == [FIRST]
    assert await store.look_up(["a.1"]) == [4]
    assert await store.admit([("a.1", 9), ("a.1", 4)]) == [REPLAY, SAME]


@every_adapter
async def test_what_is_forgotten_is_new_again_and_the_rest_stays(made: Made) -> None:
    store = made()
    await store.admit([(f"{number}.1", number) for number in range(1, 101)])
    await store.forget_below(51)
    assert await store.look_up(["50.1", "51.1", "100.1"]) == [None, 51, 100]
    assert await store.admit([("50.1", 200), ("51.1", 201)]) == [FIRST, REPLAY]


@every_adapter
async def test_nothing_admitted_is_nothing_answered(made: Made) -> None:
    store = made()
    assert list(await store.admit([])) == []
    assert list(await store.look_up([])) == []
