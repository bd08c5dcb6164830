"""The ports of a server, put together on whatever engines are below: store, log, nonces.

Whoever wants a server with a planted defect replaces one in between: `dataclasses.replace(ports, …)`.
"""

from collections.abc import Awaitable, Callable, Mapping
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
from reference_server.ports import (
    AuditSink,
    Bounds,
    CredentialResolver,
    EventStream,
    Ids,
    LogAppender,
    NodeRepo,
    NonceStore,
    RelationChecker,
    SignatureVerifier,
    SnapshotProvider,
    Store,
)
from reference_server.settings import Settings
from reference_server.stream.verifier import StoredKeys

Tasks = Mapping[str, Callable[[], Awaitable[None]]]


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
    relays: bool  # whether this process carries the outbox
    unwired: frozenset[str]  # names of PORT_NAMES
    parts: Mapping[str, Switch]  # what the fault channel can stop
    background: Tasks  # what the ports need to have running


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What lies below the ports, and the tasks that it needs to have running."""

    clock: SystemClock
    ids: Ids
    metrics: metrics.Metrics
    store: Store
    on_outbox_written: Callable[[Callable[[], None]], None]
    event_stream: EventStream
    log: LogAppender
    evict: Callable[[int | None], Awaitable[Bounds]]
    relay_nonces: NonceStore
    stream_nonces: NonceStore
    relays: bool
    tasks: Tasks


async def ports_over(settings: Settings, engines: Engines) -> Ports:
    """The ports over some engines. Raises SettingsRefused with one line for the operator."""
    clock, nonces = engines.clock, engines.stream_nonces
    keyring = await master_key.unlock(settings, engines.store)
    parts = {what: Switch(what) for what in ("log", "database")}
    seen = SwitchableStore(engines.store, parts["database"])
    stale_limit = timedelta(seconds=settings.stale_limit_seconds)
    nodes = NodeRecords(store=seen, clock=clock, stale_limit=stale_limit)
    hash_key = keyring.derived(Purpose.CREDENTIALS)
    operators = Operators(hash_key)
    snapshots = Snapshots(store=seen, clock=clock, nodes=nodes, stale_limit=stale_limit)
    audit = QueuedAudit(store=seen, bound=settings.audit_queue, dropped=engines.metrics.audit_dropped)
    signed_here, head = SignedHere(), Head()
    every = settings.evaluate_seconds
    return Ports(
        clock=clock,
        ids=engines.ids,
        keyring=keyring,
        operators=operators,
        metrics=engines.metrics,
        store=seen,
        relay_store=SwitchableStore(engines.store, *parts.values()),
        on_outbox_written=engines.on_outbox_written,
        event_stream=SwitchableStream(engines.event_stream, parts["log"]),
        log=engines.log,
        evict=engines.evict,
        relay_nonces=engines.relay_nonces,
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
        relays=engines.relays,
        unwired=frozenset(settings.unwire),
        parts=parts,
        background={
            **engines.tasks,
            "audit": audit.run,
            "reachability": partial(chores.run_evaluator, store=seen, clock=clock, every=every),
            "endpoints": partial(chores.run_endpoint_sweeper, store=seen, clock=clock, every=every),
        },
    )
