"""The ports of one process over one SQLite file: store, log, and what answers from them.

Whoever wants a server with a planted defect replaces one in between: `dataclasses.replace(ports, …)`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from reference_server import master_key, metrics
from reference_server.clock import SystemClock
from reference_server.control import chores
from reference_server.control.audit_sink import QueuedAudit
from reference_server.control.node_repo import NodeRecords
from reference_server.control.operators import Operators
from reference_server.control.relations import GrantedRelations, StoredPlaces
from reference_server.control.resolver import StoredCredentials
from reference_server.control.snapshot import Snapshots
from reference_server.envelope.keyring import Keyring, Purpose
from reference_server.envelope.signed_here import SignedHere
from reference_server.faults.levers import MovableClock
from reference_server.faults.switches import Switch, SwitchableStore, SwitchableStream
from reference_server.ids import Uuid7Ids
from reference_server.log import retention
from reference_server.log.embedded import EmbeddedLog
from reference_server.ports import (
    AuditSink,
    Bounds,
    CredentialResolver,
    EventStream,
    Ids,
    Layer,
    LogAppender,
    NodeRepo,
    NonceStore,
    RelationChecker,
    SignatureVerifier,
    SnapshotProvider,
    Store,
)
from reference_server.settings import Settings
from reference_server.store.engine import SqliteStore
from reference_server.stream.nonce import MemoryNonces
from reference_server.stream.verifier import StoredKeys

_MICROSECONDS = 1_000_000


class Head:
    """Where the log's reader is, told to those who were made before it."""

    def __init__(self) -> None:
        self._wait: Callable[[], Awaitable[None]] | None = None

    def follow(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Have `wait` wait for this reader."""
        self._wait = wait

    async def wait(self) -> None:
        """Returns once all that the log holds now was read. Raises Unavailable."""
        if self._wait is not None:
            await self._wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that `build` puts rooms around. `relay_store` is the Store as the relay sees it."""

    clock: MovableClock
    ids: Ids
    keyring: Keyring
    operators: Operators
    metrics: metrics.Metrics
    store: Store
    relay_store: Store
    on_outbox_written: Callable[[Callable[[], None]], None]
    event_stream: EventStream
    log: LogAppender
    evict: Callable[[int | None], Awaitable[Bounds]]
    relay_nonces: NonceStore
    stream_nonces: NonceStore
    signed_here: SignedHere
    head: Head
    signature_verifier: SignatureVerifier
    node_repo: NodeRepo
    credential_resolver: CredentialResolver
    relation_checker: RelationChecker
    snapshot_provider: SnapshotProvider
    heard: Callable[[str], None]  # a Node whose cached pull is to be read anew
    audit_sink: AuditSink | None
    unwired: frozenset[str]  # names of PORT_NAMES
    parts: Mapping[str, Switch]  # what the fault channel can stop
    background: Mapping[str, Callable[[], Awaitable[None]]]  # what the ports need to have running


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Ports]:
    """The ports over one SQLite file, open until the context ends.

    Raises SettingsRefused or StoreRefused with one line for the operator.
    """
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    store = await SqliteStore.open(settings.data, clock=clock, ids=ids)
    try:
        yield await _ports(settings, clock, ids, store)
    finally:
        await store.aclose()


async def _ports(settings: Settings, clock: SystemClock, ids: Uuid7Ids, store: SqliteStore) -> Ports:
    keyring = await master_key.unlock(settings, store)
    counted = metrics.create()
    log = await EmbeddedLog.open(store, _retention(settings), counted, cache_bytes=settings.tail_cache_bytes)
    parts = {what: Switch(what) for what in ("log", "database")}
    seen = SwitchableStore(store, parts["database"])
    stream = SwitchableStream(log, parts["log"])
    stale_limit = timedelta(seconds=settings.stale_limit_seconds)
    nodes = NodeRecords(store=seen, clock=clock, stale_limit=stale_limit)
    hash_key = keyring.derived(Purpose.CREDENTIALS)
    operators = Operators(hash_key)
    snapshots = Snapshots(store=seen, clock=clock, nodes=nodes, stale_limit=stale_limit)
    audit = QueuedAudit(store=seen, bound=settings.audit_queue, dropped=counted.audit_dropped)
    nonces = MemoryNonces(Layer.STREAM)
    signed_here, head = SignedHere(), Head()
    every = settings.evaluate_seconds
    return Ports(
        clock=clock,
        ids=ids,
        keyring=keyring,
        operators=operators,
        metrics=counted,
        store=seen,
        relay_store=SwitchableStore(store, *parts.values()),
        on_outbox_written=store.on_outbox_written,
        event_stream=stream,
        log=log,
        evict=log.evict,
        relay_nonces=MemoryNonces(Layer.RELAY),
        stream_nonces=nonces,
        signed_here=signed_here,
        head=head,
        signature_verifier=StoredKeys(
            store=seen, nonces=nonces, signed_here=signed_here, wait_head=head.wait
        ),
        node_repo=nodes,
        credential_resolver=StoredCredentials(nodes=nodes, operators=operators, key=hash_key),
        relation_checker=GrantedRelations(
            granted=operators.grants_of, places=StoredPlaces(store=seen, nodes=nodes)
        ),
        snapshot_provider=snapshots,
        heard=snapshots.heard,
        audit_sink=audit,
        unwired=frozenset(settings.unwire),
        parts=parts,
        background={
            "retention": partial(log.run, settings.sweep_seconds),
            "audit": audit.run,
            "reachability": partial(chores.run_evaluator, store=seen, clock=clock, every=every),
            "endpoints": partial(chores.run_endpoint_sweeper, store=seen, clock=clock, every=every),
        },
    )


def _retention(settings: Settings) -> retention.Limits:
    """Nought means no such limit."""
    return retention.Limits(
        max_age=int(settings.retention_seconds * _MICROSECONDS) or None,
        max_bytes=settings.retention_bytes or None,
    )
