"""The Node's door: a bootstrap token becomes a Node, or nothing happens (contract_facts 3, PROD-1, KEY-1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import insert, select

from reference_server.control import bootstrap_tokens, enrolment, projects, resources, wireguard
from reference_server.control.bootstrap_tokens import Presented
from reference_server.control.enrolment import Minting, Newcomer, Registered
from reference_server.errors import Refusal
from reference_server.ports import Change
from reference_server.store import tables

# contract_facts 7.4, RegisterRequest: each text holds 1 to 4096 characters.
_MAX_TEXT = 4096

# A Resource of this kind takes Nodes with `bridge` tokens; every other kind takes `node` tokens.
_BRIDGE = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A well-formed registration: its shapes are right, its token names the Project, nothing is looked up."""

    project_id: str
    resource_handle: str
    requested_resource_id: str
    plaintext: str
    presented: Presented
    nonce: str
    public_key: bytes

    def __repr__(self) -> str:
        return f"Application(project_id={self.project_id!r})"  # CRED-4


def examine(body: Mapping[str, object], project_id: str | None) -> Application:
    """Check a registration as far as it goes without a look-up, in the published order.

    `project_id` is the body's as UUID, None where it is no UUID or the nil one. Raises Refusal:
    public_key_invalid, invariant_violation, bootstrap_token_invalid, project_mismatch.
    """
    public_key = wireguard.octets_of(body.get("public_key"))
    if public_key is None:
        raise Refusal("public_key_invalid")
    handle, plaintext, nonce = (
        _text(body.get(name)) for name in ("resource_handle", "bootstrap_token", "nonce")
    )
    requested = body.get("requested_resource_id", "")
    if not isinstance(requested, str) or len(requested) > _MAX_TEXT or project_id is None:
        raise Refusal("invariant_violation")
    presented = bootstrap_tokens.present(plaintext)
    if presented.project_id != project_id:
        raise Refusal("project_mismatch")
    return Application(
        project_id=project_id,
        resource_handle=handle,
        requested_resource_id=requested,
        plaintext=plaintext,
        presented=presented,
        nonce=nonce,
        public_key=public_key,
    )


def redeem(change: Change, *, application: Application, minting: Minting) -> Registered:
    """Use the token up and register the Node, all in one transaction.

    Raises Refusal: project_not_found, token_unknown, token_consumed, token_revoked, token_expired,
    resource_not_found, kind_mismatch, nonce_collision, signing_key_not_provisioned, and those of
    `enrolment.register_node`; the token then stays unused.
    """
    domain_id = projects.domain_of(change.connection, application.project_id)
    presented = application.presented
    kind = bootstrap_tokens.redeemable(change.connection, presented, application.plaintext, change.now)
    resource = _resource(change, application)
    if (resource["kind"] == _BRIDGE) != (kind == _BRIDGE):
        raise Refusal("kind_mismatch")
    _use_nonce(change, application)
    if enrolment.active_signing_key(change.connection, domain_id) is None:
        raise Refusal("signing_key_not_provisioned")
    registered = enrolment.register_node(
        change,
        newcomer=Newcomer(
            domain_id=domain_id,
            public_key=application.public_key,
            project_id=application.project_id,
            resource_id=resource["id"],
            kind=resource["kind"],
        ),
        minting=minting,
        subject=f"bootstrap_token:{presented.token_id}",
    )
    bootstrap_tokens.consume(change, str(presented.token_id))
    return registered


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT:
        raise Refusal("invariant_violation")
    return value


def _resource(change: Change, application: Application) -> Mapping[str, str]:
    """The Resource that hosts the Node: the one asked for by id, else the one with the handle."""
    connection = change.connection
    if application.requested_resource_id:
        found = resources.read(connection, application.requested_resource_id.lower())
    else:
        by_handle = resources.by_handle(connection, application.project_id, application.resource_handle)
        if by_handle is None:
            raise Refusal("resource_not_found")
        found = by_handle
    if found._mapping["project_id"] != application.project_id:
        raise Refusal("resource_not_found")
    return {"id": found._mapping["id"], "kind": found._mapping["kind"]}


def _use_nonce(change: Change, application: Application) -> None:
    """Take the nonce for good; a failing transaction gives it back. Raises Refusal(`nonce_collision`)."""
    table = tables.register_nonces
    place = {"project_id": application.project_id, "nonce": application.nonce}
    if change.connection.execute(select(table.c.nonce).filter_by(**place)).first() is not None:
        raise Refusal("nonce_collision")
    change.connection.execute(insert(table).values(**place))
