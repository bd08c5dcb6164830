"""Every handler of the operations table, by the name of its surface."""

from collections.abc import Mapping

from reference_server import contract, release
from reference_server.api.admission import Admission
from reference_server.api.bootstrap_tokens import BootstrapTokens
from reference_server.api.domains import Domains
from reference_server.api.endpoint import Endpoint
from reference_server.api.enrolment import Enrolment
from reference_server.api.events import Events
from reference_server.api.heartbeat import Heartbeat
from reference_server.api.keys import Keys
from reference_server.api.labels import Labels
from reference_server.api.lists import Lists
from reference_server.api.meta import Meta
from reference_server.api.nodes import Nodes
from reference_server.api.pages import Pages
from reference_server.api.projects import Projects
from reference_server.api.reachability import Reachability
from reference_server.api.reports import Reports
from reference_server.api.resources import Resources
from reference_server.api.signing_keys import SigningKeys
from reference_server.api.state import State
from reference_server.api.state_entries import StateEntries
from reference_server.assembly import Ports
from reference_server.control import signing_keys
from reference_server.control.endpoints import Endpoints
from reference_server.control.enrolment import Minting
from reference_server.control.heartbeats import Heartbeats
from reference_server.envelope.keyring import Purpose
from reference_server.health import Probe
from reference_server.ports import Change
from reference_server.stream.gates import Doors
from reference_server.stream.hub import Hub

# Who is named in the audit row of the key that a new Domain gets with its creation.
_FIRST_KEY_SUBJECT = "domain.create"


def surfaces(ports: Ports, *, hub: Hub, doors: Doors, minting: Minting) -> Mapping[str, object]:
    """One object per surface; its methods are the handlers."""
    store, nodes = ports.store, ports.node_repo
    admission = Admission(credentials=ports.credential_resolver, relations=ports.relation_checker)
    lists = Lists(store=store, pages=Pages(ports.keyring.derived(Purpose.CURSORS)))

    def provision(change: Change, domain_id: str) -> None:
        signing_keys.provision(change, domain_id, keyring=ports.keyring, subject=_FIRST_KEY_SUBJECT)

    def revoked(node_id: str) -> None:
        hub.end_streams(node_id)

    return {
        "events": Events(doors=doors, hub=hub, verifier=ports.signature_verifier),
        "state": State(doors=doors, snapshots=ports.snapshot_provider),
        "heartbeat": Heartbeat(
            heartbeats=Heartbeats(store, ports.heard), clock=ports.clock, nodes=nodes, admission=admission
        ),
        "endpoint": Endpoint(endpoints=Endpoints(store), clock=ports.clock, nodes=nodes, admission=admission),
        "reports": Reports(store=store, nodes=nodes, admission=admission),
        "reachability": Reachability(store=store, nodes=nodes, admission=admission),
        "keys": Keys(store=store, node_repo=nodes, admission=admission, seal=ports.keyring.seal),
        "nodes": Nodes(store=store, admission=admission, lists=lists, on_revoked=revoked),
        "enrolment": Enrolment(store=store, admission=admission, minting=minting),
        "bootstrap_tokens": BootstrapTokens(store=store, admission=admission, lists=lists),
        "domains": Domains(store=store, ids=ports.ids, admission=admission, lists=lists, provision=provision),
        "projects": Projects(store=store, admission=admission, lists=lists),
        "resources": Resources(store=store, admission=admission, lists=lists),
        "labels": Labels(store=store, admission=admission),
        "state_entries": StateEntries(store=store, admission=admission),
        "signing_keys": SigningKeys(store=store, nodes=nodes, admission=admission, keyring=ports.keyring),
        "meta": Meta(
            document=contract.document(),
            health=Probe(store=store, stream=ports.event_stream),
            release=release.read(),
            collected=ports.metrics,
        ),
    }
