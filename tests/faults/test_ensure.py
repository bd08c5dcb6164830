"""EnsureNodeEventsStream over a real NATS: made, kept, adjusted, refused, moved beyond (LOG-2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError, ServerError

from reference_server.log import ensure, nats_link, subjects
from reference_server.log.ensure import Wanted
from reference_server.log.nats_link import LogRefused, NatsLink, NatsPlace
from tests.services import nats

_WANTED = Wanted(max_bytes=50_000_000, max_age_seconds=3600, duplicate_window_seconds=60)
_SUBJECT = f"{subjects.ALL_SUBJECTS[:-1]}a.b"


@asynccontextmanager
async def _fresh(engine: nats.Nats) -> AsyncIterator[NatsLink]:
    async with nats_link.linked(NatsPlace(url=engine.url)) as link:
        with suppress(NotFoundError):
            await link.call(lambda: link.stream.delete_stream(subjects.STREAM))
        yield link


async def _config(link: NatsLink) -> StreamConfig:
    return (await link.call(lambda: link.stream.stream_info(subjects.STREAM))).config


async def _made(link: NatsLink, **drifted: Any) -> None:
    """The stream as somebody else made it: as ours, but for what drifted."""
    ours = ensure._config(_WANTED)
    with trio.fail_after(10):
        while True:
            try:
                await link.call(lambda: link.stream.add_stream(ours.evolve(**drifted)))
                return
            except ServerError:  # NATS is still clearing away the files of the one before
                await trio.sleep(0.05)


async def _publish(link: NatsLink) -> int:
    return (await link.call(lambda: link.stream.publish(_SUBJECT, b"{}"))).seq


async def test_a_log_that_is_not_there_is_made_as_the_clause_says(nats_engine: nats.Nats) -> None:
    async with _fresh(nats_engine) as link:
        await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)
        made = await _config(link)
        assert made.name == "PLEXSPHERE_NODE_EVENTS"
        assert made.subjects == ["plexsphere.node.events.>"]
        assert (made.retention, made.discard) == (RetentionPolicy.LIMITS, DiscardPolicy.OLD)
        assert made.storage == StorageType.FILE
        assert (made.deny_delete, made.max_msgs_per_subject, made.max_msgs) == (True, -1, -1)
        assert (made.max_bytes, made.max_age, made.duplicate_window) == (50_000_000, 3600, 60)
        assert await _publish(link) == 1


async def test_a_log_that_fits_is_kept_with_what_it_holds(nats_engine: nats.Nats) -> None:
    async with _fresh(nats_engine) as link:
        await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)
        before, first = await _config(link), await _publish(link)
        info = await ensure.ensure_node_events_stream(link, _WANTED, recorded=first)
        assert await _config(link) == before
        assert (info.state.first_seq, info.state.last_seq) == (first, first)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_bytes", 60_000_000),
        ("max_age", 7200.0),
        ("duplicate_window", 30.0),
        ("discard", DiscardPolicy.NEW),
        ("allow_direct", False),
    ],
)
async def test_what_may_drift_is_brought_back_and_the_entries_stay(
    name: str, value: object, nats_engine: nats.Nats
) -> None:
    async with _fresh(nats_engine) as link:
        await _made(link, **{name: value})
        first = await _publish(link)
        info = await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)
        assert getattr(await _config(link), name) == getattr(ensure._config(_WANTED), name)
        assert info.state.last_seq == first


async def test_what_an_operator_chooses_anew_is_taken_over(nats_engine: nats.Nats) -> None:
    async with _fresh(nats_engine) as link:
        await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)
        other = Wanted(max_bytes=0, max_age_seconds=0, duplicate_window_seconds=20)
        await ensure.ensure_node_events_stream(link, other, recorded=0)
        present = await _config(link)
        assert (present.max_bytes, present.max_age, present.duplicate_window) == (-1, 0, 20)


@pytest.mark.parametrize(
    ("name", "drifted"),
    [
        ("retention", {"retention": RetentionPolicy.INTEREST}),
        ("storage", {"storage": StorageType.MEMORY}),
        ("deny_delete", {"deny_delete": False}),
        ("subjects", {"subjects": [subjects.ALL_SUBJECTS, "elsewhere.>"]}),
        ("max_msgs_per_subject", {"max_msgs_per_subject": 5}),
        ("max_msgs", {"max_msgs": 1_000}),
        ("max_msg_size", {"max_msg_size": 1_024}),
        ("no_ack", {"no_ack": True}),
        ("deny_purge", {"deny_purge": True}),
        ("allow_rollup_hdrs", {"allow_rollup_hdrs": True}),
        ("max_consumers", {"max_consumers": 1}),
    ],
)
async def test_what_must_not_drift_is_refused_by_its_name(
    name: str, drifted: dict[str, Any], nats_engine: nats.Nats
) -> None:
    async with _fresh(nats_engine) as link:
        await _made(link, **drifted)
        before = await _config(link)
        with pytest.raises(LogRefused, match=rf"\b{name}\b"):
            await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)
        assert await _config(link) == before


async def test_a_sealed_log_is_refused(nats_engine: nats.Nats) -> None:
    async with _fresh(nats_engine) as link:
        await _made(link)
        sealed = (await _config(link)).evolve(sealed=True)
        await link.call(lambda: link.stream.update_stream(sealed))
        with pytest.raises(LogRefused, match="sealed"):
            await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)


async def test_a_lost_log_begins_beyond_every_cursor(nats_engine: nats.Nats) -> None:
    async with _fresh(nats_engine) as link:
        info = await ensure.ensure_node_events_stream(link, _WANTED, recorded=700)
        assert (info.state.first_seq, info.state.last_seq) == (1_000_701, 1_000_700)
        assert await _publish(link) == 1_000_701


async def test_a_log_behind_what_was_recorded_is_moved_beyond_once(nats_engine: nats.Nats) -> None:
    async with _fresh(nats_engine) as link:
        await ensure.ensure_node_events_stream(link, _WANTED, recorded=0)
        for _ in range(3):
            await _publish(link)
        info = await ensure.ensure_node_events_stream(link, _WANTED, recorded=4)
        assert (info.state.messages, info.state.first_seq) == (0, 1_000_005)
        again = await ensure.ensure_node_events_stream(link, _WANTED, recorded=4)
        assert again.state.first_seq == 1_000_005
        assert await _publish(link) == 1_000_005
