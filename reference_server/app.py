"""The only wiring: `embedded` makes the ports, `build` puts the rooms around them, `serve` runs the whole."""

from contextlib import AbstractAsyncContextManager

from reference_server.api.operations import OPERATIONS
from reference_server.application import Application
from reference_server.assembly import Ports
from reference_server.control.enrolment import Minting
from reference_server.embedded import embedded
from reference_server.envelope.keyring import Purpose
from reference_server.exchanges import Exchanges
from reference_server.faults.levers import Wiring
from reference_server.faults.requests import Ring
from reference_server.faults.script import Script, scripted
from reference_server.faults.signing import StoredSigning
from reference_server.faults.switches import SwitchableAudit
from reference_server.logs import AccessLog
from reference_server.reconcile import Reconciler
from reference_server.relay.batch import Batch
from reference_server.relay.run import Layered, Relay
from reference_server.settings import PORT_NAMES, Settings, SettingsRefused
from reference_server.stream import gates
from reference_server.stream import limits as stream_limits
from reference_server.stream.hub import Hub
from reference_server.stream.standing import Standing
from reference_server.surfaces import surfaces
from reference_server.wire import dispatch, tls
from reference_server.wire import limits as wire_limits
from reference_server.wire.dates import Dates
from reference_server.wire.router import Router
from reference_server.wire.site import Answered, Budget, Site

__all__ = ["Application", "Ports", "build", "embedded", "minting", "of_wire", "opened", "relay_over"]

# OUT-4 bounds a batch by one tick; this share of it leaves producers their turn.
_BATCH_SHARE = 0.25

_EITHER = "the bus runs on one file, or on Postgres and NATS together"

# OUT-4: the database gives up a relay that has stood still for two ticks; one that is late stops well before.
_FENCE_TICKS = 2.0
_LEASE_TICKS = 1.5


def opened(settings: Settings) -> AbstractAsyncContextManager[Ports]:
    """The ports over the engines that the settings name: one file, or Postgres with NATS.

    Raises SettingsRefused for any other combination; the context raises it, and StoreRefused, too.
    """
    outside = (settings.database_url is not None, settings.nats_url is not None)
    if any(outside) and settings.data != Settings().data:
        raise SettingsRefused(f"--data names a file: {_EITHER}")
    if outside == (True, True):
        # Imported here: a server over a file, which most are, needs neither driver.
        from reference_server.replicated import replicated  # noqa: PLC0415

        return replicated(settings)
    if outside == (False, False):
        if settings.replicas > 1:
            raise SettingsRefused("a file serves one process: replicas need --database-url and --nats-url")
        return embedded(settings)
    missing = "--nats-url" if outside[0] else "--database-url"
    raise SettingsRefused(f"{missing} is missing: {_EITHER}")


def build(settings: Settings, ports: Ports) -> Application:
    """The whole server around these ports. Raises SettingsRefused where they must not stand together."""
    if ports.relay_nonces is ports.stream_nonces:
        raise SettingsRefused("relay and streams share one nonce store; each layer needs its own (LOG-6)")
    if settings.replicas > 1 and not ports.stream_nonces.shared:
        raise SettingsRefused("nonces in memory are those of one process; replicas need shared ones (LOG-6)")
    wiring = Wiring(known=PORT_NAMES, unwired=ports.unwired)
    reconciler = Reconciler(ports.store, ports.heard)
    hub = _hub(settings, ports, reconciler)
    ports.head.follow(hub.reader.wait_head)
    relay = relay_over(settings, ports)
    ports.on_outbox_written(relay.wake)
    script, ring = Script(), Ring()

    def remember(answered: Answered) -> None:
        ring.add(answered, ports.clock.now())

    faults = settings.faults is not None
    handlers = dispatch.handlers(
        OPERATIONS,
        surfaces(ports, hub=hub, doors=_doors(ports, hub, wiring), minting=minting(settings, ports)),
        wiring.is_wired,
        own_ladder=gates.LADDERS,
    )
    limits = of_wire(settings)
    exchanges = Exchanges(ports.metrics, AccessLog(), remember if faults else None)
    site = Site(
        router=Router(OPERATIONS, scripted(handlers, script) if faults else handlers),
        limits=limits,
        dates=Dates(ports.clock),
        ids=ports.ids,
        metrics=ports.metrics,
        told=exchanges.told,
        bodies=Budget(limits.bodies_bytes),
        tls=tls.context_of(settings),
    )
    return Application(
        settings=settings,
        clock=ports.clock,
        site=site,
        hub=hub,
        relay=relay,
        wiring=wiring,
        script=script,
        ring=ring,
        store=ports.store,
        signing=StoredSigning(store=ports.store, keyring=ports.keyring),
        parts=ports.parts,
        evict=ports.evict,
        background={
            **ports.background,
            "reconcile": reconciler.run,
            "hub": hub.run,
            **({"relay": relay.run} if ports.relays else {}),
        },
    )


def minting(settings: Settings, ports: Ports) -> Minting:
    """How credentials are made here, for the doors and for the seed alike."""
    return Minting(
        key=ports.keyring.derived(Purpose.CREDENTIALS),
        environment=settings.env_prefix,
        seal=ports.keyring.seal,
    )


def _hub(settings: Settings, ports: Ports, reconciler: Reconciler) -> Hub:
    return Hub(
        log=ports.event_stream,
        nonces=ports.stream_nonces,
        verifier=ports.signature_verifier,
        standing=Standing(store=ports.store, relations=ports.relation_checker, clock=ports.clock),
        tell_withheld=reconciler.tell,
        limits=stream_limits.Limits(
            per_node=settings.streams_per_node,
            total=settings.max_connections,
            keep_alive_seconds=settings.keep_alive_seconds,
            pending_bytes=settings.pending_bytes,
            dead_peer_seconds=settings.dead_peer_seconds,
            recheck_seconds=settings.recheck_seconds,
        ),
        metrics=ports.metrics,
    )


def relay_over(settings: Settings, ports: Ports) -> Relay:
    """The relay between these ports' outbox and log."""
    batch = Batch(
        log=ports.log,
        keyring=ports.keyring,
        signed_here=ports.signed_here,
        publishes=settings.relay_batch,
        seconds=settings.relay_tick_seconds * _BATCH_SHARE,
        lease_seconds=settings.relay_tick_seconds * _LEASE_TICKS,
        fence_seconds=settings.relay_tick_seconds * _FENCE_TICKS,
    )
    layered = Layered(nonces=ports.relay_nonces, stream=ports.event_stream)
    return Relay(ports.relay_store, batch, layered, ports.metrics, tick_seconds=settings.relay_tick_seconds)


def _doors(ports: Ports, hub: Hub, wiring: Wiring) -> gates.Doors:
    audit = ports.audit_sink
    return gates.Doors(
        is_wired=wiring.is_wired,
        credentials=ports.credential_resolver,
        relations=ports.relation_checker,
        nodes=ports.node_repo,
        window=hub.window,
        audit=None if audit is None else SwitchableAudit(audit, lambda: wiring.is_wired("AuditSink")),
        clock=ports.clock,
    )


def of_wire(settings: Settings) -> wire_limits.Limits:
    """The limits of the doors."""
    return wire_limits.Limits(
        head_seconds=settings.head_seconds,
        head_bytes=settings.head_bytes,
        body_seconds=settings.body_seconds,
        body_bytes=settings.body_bytes,
        idle_seconds=settings.idle_seconds,
        write_seconds=settings.write_seconds,
        connections=settings.max_connections,
        dead_peer_seconds=settings.dead_peer_seconds,
    )
