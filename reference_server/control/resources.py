"""Resources of a Project that Nodes register with; adopted, never provisioned (contract_facts 10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, insert, select

from reference_server.control import audit, projects
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Change
from reference_server.store import tables

_TABLE = tables.resources

ADOPTED = "adopted"
_ORIGINS = (ADOPTED, "provisioned")

# contract_facts 10 and RegisterRequest.resource_handle.
_MAX_KIND = 64
_MAX_HANDLE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A Resource as asked for; `external_ref` "" gives it no handle."""

    origin: str
    kind: str
    external_ref: str
    has_parameters: bool


def create(change: Change, *, project_id: str, draft: Draft, subject: str) -> Mapping[str, object]:
    """Adopt a Resource; answers its ResourceResponse.

    Raises Refusal: invalid_resource_origin, invalid_resource, resource_origin_unsupported,
    project_not_found, resource_handle_conflict.
    """
    check(draft)
    domain_id = projects.domain_of(change.connection, project_id)
    if draft.external_ref and by_handle(change.connection, project_id, draft.external_ref) is not None:
        raise Refusal("resource_handle_conflict")
    resource_id = change.ids.uuid7()
    change.connection.execute(
        insert(_TABLE).values(
            id=resource_id,
            project_id=project_id,
            domain_id=domain_id,
            kind=draft.kind.strip(),
            origin=draft.origin,
            external_ref=draft.external_ref or None,
            created_at=change.now,
            updated_at=change.now,
        )
    )
    _audit(change, domain_id, "resource.create", resource_id, subject)
    return render(read(change.connection, resource_id))


def remove(change: Change, *, resource_id: str, subject: str) -> None:
    """Delete a Resource. Raises Refusal: resource_not_found, resource_not_empty."""
    domain_id = domain_of(change.connection, resource_id)
    nodes = tables.nodes
    hosted = select(nodes.c.id).where(nodes.c.resource_id == resource_id, nodes.c.deregistered_at.is_(None))
    if change.connection.execute(hosted).first() is not None:
        raise Refusal("resource_not_empty")
    change.connection.execute(delete(_TABLE).where(_TABLE.c.id == resource_id))
    _audit(change, domain_id, "resource.delete", resource_id, subject)


def read(connection: Connection, resource_id: str) -> Row[tuple[object, ...]]:
    """The Resource's row. Raises Refusal(`resource_not_found`)."""
    row = connection.execute(select(_TABLE).where(_TABLE.c.id == resource_id)).one_or_none()
    if row is None:
        raise Refusal("resource_not_found")
    return row


def domain_of(connection: Connection, resource_id: str) -> str:
    """The Domain whose lock a change of the Resource needs. Raises Refusal(`resource_not_found`)."""
    domain_id: str = read(connection, resource_id)._mapping["domain_id"]
    return domain_id


def by_handle(connection: Connection, project_id: str, handle: str) -> Row[tuple[object, ...]] | None:
    """The Resource of a Project that has this handle, or None."""
    statement = select(_TABLE).where(_TABLE.c.project_id == project_id, _TABLE.c.external_ref == handle)
    return connection.execute(statement).one_or_none()


def after_id(
    connection: Connection, project_id: str, resource_id: str | None, count: int
) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `count` Resources of a Project in the order of their creation, after one."""
    statement = select(_TABLE).where(_TABLE.c.project_id == project_id).order_by(_TABLE.c.id).limit(count)
    if resource_id is not None:
        statement = statement.where(_TABLE.c.id > resource_id)
    return connection.execute(statement).all()


def render(row: Row[tuple[object, ...]]) -> Mapping[str, object]:
    """ResourceResponse of a row."""
    resource = row._mapping
    answer = {name: resource[name] for name in ("id", "project_id", "domain_id", "kind", "origin")}
    if resource["external_ref"] is not None:
        answer["external_ref"] = resource["external_ref"]
    return answer | {name: instant.render(resource[name]) for name in ("created_at", "updated_at")}


def check(draft: Draft) -> None:
    """Check what needs no look-up.

    Raises Refusal: invalid_resource_origin, invalid_resource, resource_origin_unsupported.
    """
    kind = draft.kind.strip()
    if draft.origin not in _ORIGINS:
        raise Refusal("invalid_resource_origin")
    if not kind or len(kind) > _MAX_KIND or len(draft.external_ref) > _MAX_HANDLE:
        raise Refusal("invalid_resource")
    if draft.origin != ADOPTED:
        raise Refusal("resource_origin_unsupported")
    if draft.has_parameters or draft.external_ref != draft.external_ref.strip():
        raise Refusal("invalid_resource")


def _audit(change: Change, domain_id: str, relation: str, resource_id: str, subject: str) -> None:
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=relation,
        object_type="resource",
        object_id=resource_id,
        subject=subject,
    )
