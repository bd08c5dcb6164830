"""Labels of Nodes and Resources: put, taken away, listed (contract_facts 10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, select

from reference_server.control import audit, label_definitions
from reference_server.control.label_definitions import DOMAIN, PLATFORM, PROJECT, Definition
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Change
from reference_server.store import tables
from reference_server.store.upserts import upsert

_PUT_RELATION = "label.put"
_DELETE_RELATION = "label.delete"

# LabelAssignment.assigned_by: whoever comes through the door.
_BY_USER = "user"

# The kinds of objects that exist here and can carry labels.
KINDS: Mapping[str, Table] = MappingProxyType({"node": tables.nodes, "resource": tables.resources})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An object that carries labels, and where it belongs."""

    kind: str
    object_id: str
    domain_id: str
    project_id: str | None


def bearer(connection: Connection, kind: str, object_id: str) -> Bearer:
    """The object. Raises Refusal `object_not_found`, also for a deregistered Node."""
    table = KINDS[kind]
    statement = select(table.c.domain_id, table.c.project_id).where(table.c.id == object_id)
    if table is tables.nodes:
        statement = statement.where(table.c.deregistered_at.is_(None))
    row = connection.execute(statement).first()
    if row is None:
        raise Refusal("object_not_found")
    return Bearer(kind=kind, object_id=object_id, domain_id=row.domain_id, project_id=row.project_id)


def put(
    change: Change, kind: str, object_id: str, *, definition_id: str, value: object, subject: str
) -> Mapping[str, object]:
    """Put a label on an object, in place of its former value; gives the LabelAssignment.

    Raises Refusal `object_not_found`, `label_definition_not_found`, `label_not_applicable`,
    `label_value_invalid`, `label_immutable`.
    """
    carrier = bearer(change.connection, kind, object_id)
    definition = label_definitions.read(change.connection, definition_id)
    _refuse_inapplicable(definition, carrier)
    if not definition.admits(value):
        raise Refusal("label_value_invalid")
    encoded = msgspec.json.encode(value)
    former = _stored(change.connection, carrier, definition.qualified_key)
    if former not in (None, encoded) and definition.draft.immutable is True:
        raise Refusal("label_immutable")
    _write(change, carrier, definition, encoded)
    _audit(change, carrier, _PUT_RELATION, subject)
    return _only(assignments(change.connection, carrier), definition.qualified_key)


def remove(change: Change, kind: str, object_id: str, *, qualified_key: str, subject: str) -> None:
    """Take a label away, if it is there. Raises Refusal `object_not_found`, `label_immutable`."""
    carrier = bearer(change.connection, kind, object_id)
    labels = tables.label_assignments
    at = _at(carrier) & (labels.c.qualified_key == qualified_key)
    definition_id = change.connection.execute(select(labels.c.definition_id).where(at)).scalar()
    if definition_id is None:
        return
    if label_definitions.read(change.connection, definition_id).draft.immutable is True:
        raise Refusal("label_immutable")
    change.connection.execute(delete(labels).where(at))
    _audit(change, carrier, _DELETE_RELATION, subject)


def assignments(connection: Connection, carrier: Bearer) -> Sequence[Mapping[str, object]]:
    """The object's labels as LabelAssignment, by key."""
    labels = tables.label_assignments
    statement = select(labels).where(_at(carrier)).order_by(labels.c.qualified_key)
    return [
        {
            "definition_id": row.definition_id,
            "qualified_key": row.qualified_key,
            "object_kind": carrier.kind,
            "object_id": carrier.object_id,
            "value": msgspec.Raw(row.value),
            "assigned_by": row.assigned_by,
            "assigned_at": instant.render(row.assigned_at),
        }
        for row in connection.execute(statement)
    ]


def _refuse_inapplicable(definition: Definition, carrier: Bearer) -> None:
    draft = definition.draft
    reaches = {
        PLATFORM: True,
        DOMAIN: draft.scope_id == carrier.domain_id,
        PROJECT: draft.scope_id == carrier.project_id,
    }
    if carrier.kind not in draft.applicable_kinds or not reaches[draft.scope]:
        raise Refusal("label_not_applicable")


def _stored(connection: Connection, carrier: Bearer, qualified_key: str) -> bytes | None:
    labels = tables.label_assignments
    at = _at(carrier) & (labels.c.qualified_key == qualified_key)
    value: bytes | None = connection.execute(select(labels.c.value).where(at)).scalar()
    return value


def _write(change: Change, carrier: Bearer, definition: Definition, value: bytes) -> None:
    key = {
        "object_kind": carrier.kind,
        "object_id": carrier.object_id,
        "qualified_key": definition.qualified_key,
    }
    content = {
        "definition_id": definition.definition_id,
        "value": value,
        "assigned_by": _BY_USER,
        "assigned_at": change.now,
    }
    upsert(change.connection, tables.label_assignments, key, content)


def _only(found: Sequence[Mapping[str, object]], qualified_key: str) -> Mapping[str, object]:
    return next(assignment for assignment in found if assignment["qualified_key"] == qualified_key)


def _audit(change: Change, carrier: Bearer, relation: str, subject: str) -> None:
    audit.append_entry(
        change,
        chain_id=carrier.domain_id,
        relation=relation,
        object_type=carrier.kind,
        object_id=carrier.object_id,
        subject=subject,
    )


def _at(carrier: Bearer) -> ColumnElement[bool]:
    labels = tables.label_assignments
    return (labels.c.object_kind == carrier.kind) & (labels.c.object_id == carrier.object_id)
