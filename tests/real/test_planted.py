"""Probes of the real bus hold on it, and each planted defect is caught by exactly those that it names."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
from nats.js.errors import NotFoundError

from reference_server.log import nats_link
from reference_server.log.nats_link import NatsPlace
from tests.faults import scale
from tests.real import bus
from tests.real.planted import PLANTED, Planted
from tests.real.probes import PROBES, Opened, Probe
from tests.real.stream_probes import STREAM_PROBES
from tests.services import nats

ALL = {probe.__name__: probe for probe in (*PROBES, *STREAM_PROBES)}
DEFECTS = [pytest.param(each, id=name) for name, each in PLANTED.items()]

# In the ordinary tests one of each kind, the quick ones; `make planted` runs all of them.
_SHARD = (
    "skips-parked-rows",
    "publishes-without-message-id",
    "nonces-in-memory",
    "the-old-key-is-still-accepted",
)
_RUN = DEFECTS if scale.LONG else [each for each in DEFECTS if each.id in _SHARD]
_BUCKETS = ("KV_busproof_nonces_stream", "KV_busproof_nonces_relay")

# A probe that has not come to its end by then waits for what will not happen.
_PATIENCE = 30.0


@pytest.fixture
def opened(fresh_database: Callable[[], str], nats_engine: nats.Nats) -> Callable[[], Opened]:
    """Gives a bus of its own at each call."""
    return lambda: partial(bus.opened, fresh_database(), nats_engine.url)


async def _forget_nonces(url: str) -> None:
    async with nats_link.linked(NatsPlace(url=url)) as link:
        for bucket in _BUCKETS:
            with suppress(NotFoundError):
                await link.call(partial(link.stream.delete_stream, bucket))


@pytest.mark.parametrize("probe", ALL.values(), ids=ALL)
async def test_what_is_whole_holds(
    probe: Probe, opened: Callable[[], Opened], nats_engine: nats.Nats
) -> None:
    await _forget_nonces(nats_engine.url)
    await probe(opened())


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_names_what_exists(defect: Planted) -> None:
    assert set(defect.fails) <= set(ALL) and all(defect.fails.values())
    assert defect.sentence.endswith(".") and defect.sentence.count(". ") == 0


def test_every_probe_catches_something() -> None:
    assert set(ALL) == {name for defect in PLANTED.values() for name in defect.fails}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("defect", _RUN)
async def test_a_defect_is_caught_by_exactly_what_it_names(
    defect: Planted, opened: Callable[[], Opened], nats_engine: nats.Nats
) -> None:
    joining = ALL if scale.LONG else {name: ALL[name] for name in defect.fails}
    failed = {}
    for name, probe in joining.items():
        await _forget_nonces(nats_engine.url)
        with pytest.MonkeyPatch.context() as patch:
            defect.plant(patch)
            try:
                with trio.fail_after(_PATIENCE):
                    await probe(opened())
            except (Exception, BaseExceptionGroup, pytest.fail.Exception) as caught:  # it holds, or raises
                failed[name] = caught
    assert set(failed) == set(defect.fails), failed
