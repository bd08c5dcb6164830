"""The engines that replicas share: Postgres for the state and the outbox, NATS JetStream for the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Connection, select

from reference_server import metrics
from reference_server.assembly import Engines, Ports, ports_over
from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.log import ensure, nats_link, subjects
from reference_server.log.jetstream import JetStreamLog
from reference_server.log.nats_link import LogRefused, NatsLink, NatsPlace
from reference_server.ports import Layer, NonceStore, Unavailable
from reference_server.settings import Settings, SettingsRefused
from reference_server.store import dialing
from reference_server.store.postgres import PostgresStore
from reference_server.store.tables import sse_relay_cursor
from reference_server.stream import kv_nonces


@asynccontextmanager
async def replicated(settings: Settings) -> AsyncIterator[Ports]:
    """The ports over Postgres and NATS, open until the context ends.

    Raises SettingsRefused or StoreRefused with one line for the operator.
    """
    place = dialing.place_of(settings.database_url or "", settings.database_password)
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    store = await PostgresStore.open(place, clock=clock, ids=ids)
    try:
        async with nats_link.linked(_place(settings)) as link:
            recorded = await store.read(_recorded)
            await ensure.ensure_node_events_stream(link, _wanted(settings), recorded=recorded)
            counted = metrics.create()
            log = JetStreamLog(link, counted)
            engines = Engines(
                clock=clock,
                ids=ids,
                metrics=counted,
                store=store,
                on_outbox_written=store.on_outbox_written,
                event_stream=log,
                log=log,
                evict=log.evict,
                relay_nonces=await _nonces(settings, link, Layer.RELAY),
                stream_nonces=await _nonces(settings, link, Layer.STREAM),
                relays=settings.with_relay,
                tasks={"commits": store.run},
            )
            yield await ports_over(settings, engines)
    except (LogRefused, Unavailable) as refusal:
        raise SettingsRefused(str(refusal)) from None
    finally:
        await store.aclose()


def _place(settings: Settings) -> NatsPlace:
    return NatsPlace(
        url=settings.nats_url or "",
        token=settings.nats_token,
        credentials_file=settings.nats_credentials_file,
    )


def _wanted(settings: Settings) -> ensure.Wanted:
    return ensure.Wanted(
        replicas=settings.log_replicas,
        max_bytes=settings.retention_bytes,
        max_age_seconds=settings.retention_seconds,
        duplicate_window_seconds=settings.duplicate_window_seconds,
    )


async def _nonces(settings: Settings, link: NatsLink, layer: Layer) -> NonceStore:
    return await kv_nonces.ensure_nonces(
        link,
        layer,
        seconds=settings.nonce_seconds or settings.retention_seconds,
        retention_seconds=settings.retention_seconds,
        replicas=settings.log_replicas,
    )


def _recorded(connection: Connection) -> int:
    """The last sequence that a relay knew of (LOG-2)."""
    cursor = sse_relay_cursor.c
    found = select(cursor.last_sequence).where(cursor.stream == subjects.STREAM)
    return int(connection.execute(found).scalar() or 0)
