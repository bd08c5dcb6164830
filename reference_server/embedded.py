"""The engines of one process over one SQLite file: store and log in it, nonces in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from reference_server import metrics
from reference_server.assembly import Engines, Ports, ports_over
from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.log import retention
from reference_server.log.embedded import EmbeddedLog
from reference_server.ports import Layer
from reference_server.settings import Settings
from reference_server.store.engine import SqliteStore
from reference_server.stream.nonce import MemoryNonces

_MICROSECONDS = 1_000_000


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Ports]:
    """The ports over one SQLite file, open until the context ends.

    Raises SettingsRefused or StoreRefused with one line for the operator.
    """
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    store = await SqliteStore.open(settings.data, clock=clock, ids=ids)
    try:
        counted = metrics.create()
        log = await EmbeddedLog.open(
            store, _retention(settings), counted, cache_bytes=settings.tail_cache_bytes
        )
        engines = Engines(
            clock=clock,
            ids=ids,
            metrics=counted,
            store=store,
            on_outbox_written=store.on_outbox_written,
            event_stream=log,
            log=log,
            evict=log.evict,
            relay_nonces=MemoryNonces(Layer.RELAY),
            stream_nonces=MemoryNonces(Layer.STREAM),
            relays=True,
            tasks={"retention": partial(log.run, settings.sweep_seconds)},
        )
        yield await ports_over(settings, engines)
    finally:
        await store.aclose()


def _retention(settings: Settings) -> retention.Limits:
    """Nought means no such limit."""
    return retention.Limits(
        max_age=int(settings.retention_seconds * _MICROSECONDS) or None,
        max_bytes=settings.retention_bytes or None,
    )
