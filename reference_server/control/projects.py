"""Projects: tenants of a Domain, with or without an address range of their own (contract_facts 3, 7.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, Row, insert, select, tuple_

from reference_server.control import audit, domains, ranges, texts
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables

_TABLE = tables.projects

# Between slug and id in a list position; no slug holds it.
_SEPARATOR = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A Project as asked for; without a `sub_range_cidr` it takes addresses from the Domain's pool."""

    domain_id: str
    name: str
    slug: str
    description: str
    sub_range_cidr: str | None


def create(change: Change, *, draft: Draft, subject: str) -> Mapping[str, object]:
    """Create a Project; answers its ProjectResponse.

    Raises Refusal: invalid_project, parent_domain_missing, project_slug_conflict, sub_range_overlap.
    """
    name = texts.name(draft.name)
    sub_range = None if draft.sub_range_cidr is None else ranges.read(draft.sub_range_cidr)
    well_formed = name and texts.is_slug(draft.slug) and texts.is_description(draft.description)
    if not well_formed or (draft.sub_range_cidr is not None and sub_range is None):
        raise Refusal("invalid_project")
    _check_place(change.connection, draft, sub_range)
    project_id = change.ids.uuid7()
    change.connection.execute(
        insert(_TABLE).values(
            id=project_id,
            domain_id=draft.domain_id,
            name=name,
            slug=draft.slug,
            description=draft.description,
            sub_range_cidr=None if sub_range is None else str(sub_range),
            created_at=change.now,
            updated_at=change.now,
        )
    )
    append.append(
        change,
        domain_id=draft.domain_id,
        source="ProjectCreated",
        recipients=(),
        payload=msgspec.json.encode({"project_id": project_id, "domain_id": draft.domain_id}),
    )
    audit.append_entry(
        change,
        chain_id=draft.domain_id,
        relation="project.create",
        object_type="project",
        object_id=project_id,
        subject=subject,
    )
    return render(read(change.connection, project_id))


def find(connection: Connection, project_id: str) -> Row[tuple[object, ...]] | None:
    """The Project's row, or None."""
    return connection.execute(select(_TABLE).where(_TABLE.c.id == project_id)).one_or_none()


def read(connection: Connection, project_id: str) -> Row[tuple[object, ...]]:
    """The Project's row. Raises Refusal(`project_not_found`)."""
    row = find(connection, project_id)
    if row is None:
        raise Refusal("project_not_found")
    return row


def domain_of(connection: Connection, project_id: str) -> str:
    """The Domain whose lock a change of the Project needs. Raises Refusal(`project_not_found`)."""
    domain_id: str = read(connection, project_id)._mapping["domain_id"]
    return domain_id


def after_position(
    connection: Connection, domain_id: str | None, position: str | None, count: int
) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `count` Projects in slug order, of one Domain or of all, after a position."""
    statement = select(_TABLE).order_by(_TABLE.c.slug, _TABLE.c.id).limit(count)
    if domain_id is not None:
        statement = statement.where(_TABLE.c.domain_id == domain_id)
    if position is not None:
        slug, _, project_id = position.partition(_SEPARATOR)
        statement = statement.where(tuple_(_TABLE.c.slug, _TABLE.c.id) > (slug, project_id))
    return connection.execute(statement).all()


def position_of(row: Row[tuple[object, ...]]) -> str:
    """Where a row stands in the list: slugs repeat from Domain to Domain, so its id belongs to it."""
    return f"{row._mapping['slug']}{_SEPARATOR}{row._mapping['id']}"


def render(row: Row[tuple[object, ...]]) -> Mapping[str, object]:
    """ProjectResponse of a row."""
    project = row._mapping
    answer = {name: project[name] for name in ("id", "domain_id", "name", "slug", "description")}
    if project["sub_range_cidr"] is not None:
        answer["sub_range_cidr"] = project["sub_range_cidr"]
    return answer | {name: instant.render(project[name]) for name in ("created_at", "updated_at")}


def _check_place(connection: Connection, draft: Draft, sub_range: ranges.Network | None) -> None:
    domain = domains.find(connection, draft.domain_id)
    if domain is None:
        raise Refusal("parent_domain_missing")
    siblings = select(_TABLE.c.slug, _TABLE.c.sub_range_cidr).where(_TABLE.c.domain_id == draft.domain_id)
    rows = connection.execute(siblings).all()
    if sub_range is not None:
        pool = ranges.read(domain._mapping["mesh_cidr"])
        if pool is None or not ranges.contains(pool, sub_range):
            raise Refusal("invalid_project")
    if any(slug == draft.slug for slug, _ in rows):
        raise Refusal("project_slug_conflict")
    if sub_range is not None and ranges.overlaps_any(sub_range, (cidr for _, cidr in rows if cidr)):
        raise Refusal("sub_range_overlap")
