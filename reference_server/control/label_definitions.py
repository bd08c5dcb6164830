"""Label definitions: what a label is called, where it applies, which values it takes (contract_facts 10)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, insert, select

from reference_server.control import audit, label_values
from reference_server.control.label_values import ValueSchema
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Change
from reference_server.store import tables

_RELATION = "label_definition.create"

# contract_facts 10: 1–64 of lower case, digits, `. _ -`, no separator at the ends.
_LOCAL_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_KIND_COUNTS = range(1, 64 + 1)
_LONGEST_DESCRIPTION = 512
_ON_DELETE = frozenset({None, "block", "cascade", "orphan"})
# Ours: how long a kind's name is, and how many values one object may have under one key.
_KIND_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_CARDINALITIES = range(1, 64 + 1)

PLATFORM = "platform"
DOMAIN = "domain"
PROJECT = "project"


class Draft(msgspec.Struct, omit_defaults=True, kw_only=True):
    """LabelDefinitionRequest."""

    scope: str
    scope_id: str | None = None
    local_key: str
    value_schema: ValueSchema
    applicable_kinds: list[str]
    required: bool | UnsetType = UNSET
    default_value: object = UNSET
    immutable: bool | UnsetType = UNSET
    on_delete: str | None = None
    cardinality: int = 1
    description: str | None = None


class _Document(Draft, kw_only=True):
    """LabelDefinition."""

    id: str
    qualified_key: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What an assignment is held against."""

    definition_id: str
    qualified_key: str
    draft: Draft

    def admits(self, value: object) -> bool:
        """Whether an object may have this value: one of the schema's, or as many as the cardinality says."""
        if self.draft.cardinality == 1 or not isinstance(value, list):
            return label_values.admits(self.draft.value_schema, value)
        within = 1 <= len(value) <= self.draft.cardinality
        return within and all(label_values.admits(self.draft.value_schema, one) for one in value)


def check(draft: Draft) -> None:
    """Raise Refusal `invalid_label_definition` for a draft that cannot stand, wherever it is to apply."""
    sound = (
        draft.scope in _QUALIFIERS
        and (draft.scope == PLATFORM) == (draft.scope_id is None)
        and _LOCAL_KEY.fullmatch(draft.local_key) is not None
        and len(draft.applicable_kinds) in _KIND_COUNTS
        and all(_KIND_NAME.fullmatch(kind) for kind in draft.applicable_kinds)
        and draft.on_delete in _ON_DELETE
        and draft.cardinality in _CARDINALITIES
        and len(draft.description or "") <= _LONGEST_DESCRIPTION
    )
    if not (sound and _has_sound_values(draft)):
        raise Refusal("invalid_label_definition")


def create(change: Change, draft: Draft, *, subject: str) -> tuple[str, bytes]:
    """Define a label; gives its id and LabelDefinition as JSON. The draft has passed `check`.

    Raises Refusal `domain_not_found`, `project_not_found`, `label_definition_conflict`.
    """
    chain_id, qualifier = _QUALIFIERS[draft.scope](change.connection, draft.scope_id or "")
    definition_id, qualified_key = change.ids.uuid7(), f"{qualifier}/{draft.local_key}"
    definitions = tables.label_definitions
    same = select(definitions.c.id).where(definitions.c.qualified_key == qualified_key)
    if change.connection.execute(same).first() is not None:
        raise Refusal("label_definition_conflict")
    document = msgspec.json.encode(
        _Document(
            **msgspec.structs.asdict(draft),
            id=definition_id,
            qualified_key=qualified_key,
            created_at=instant.render(change.now),
        )
    )
    row = {"id": definition_id, "qualified_key": qualified_key, "document": document}
    scope = {"scope": draft.scope, "scope_id": draft.scope_id, "created_at": change.now}
    change.connection.execute(insert(definitions).values(row | scope))
    audit.append_entry(
        change,
        chain_id=chain_id,
        relation=_RELATION,
        object_type="label_definition",
        object_id=definition_id,
        subject=subject,
    )
    return definition_id, document


def read(connection: Connection, definition_id: str) -> Definition:
    """A definition. Raises Refusal `label_definition_not_found`."""
    definitions = tables.label_definitions
    statement = select(definitions.c.document).where(definitions.c.id == definition_id)
    document = connection.execute(statement).scalar()
    if document is None:
        raise Refusal("label_definition_not_found")
    stored = msgspec.json.decode(document, type=_Document)
    return Definition(definition_id=stored.id, qualified_key=stored.qualified_key, draft=stored)


def domain_of_project(connection: Connection, project_id: str) -> str:
    """The Domain whose lock a definition of a Project needs. Raises Refusal `project_not_found`."""
    projects = tables.projects
    found = connection.execute(select(projects.c.domain_id).where(projects.c.id == project_id)).scalar()
    if found is None:
        raise Refusal("project_not_found")
    return str(found)


def _has_sound_values(draft: Draft) -> bool:
    try:
        label_values.check(draft.value_schema)
    except label_values.BadValueSchema:
        return False
    definition = Definition(definition_id="", qualified_key="", draft=draft)
    return draft.default_value is UNSET or definition.admits(draft.default_value)


def _of_platform(_connection: Connection, _scope_id: str) -> tuple[str, str]:
    return audit.PLATFORM, PLATFORM


def _of_domain(connection: Connection, scope_id: str) -> tuple[str, str]:
    domains = tables.domains
    slug = connection.execute(select(domains.c.slug).where(domains.c.id == scope_id)).scalar()
    if slug is None:
        raise Refusal("domain_not_found")
    return scope_id, str(slug)


def _of_project(connection: Connection, scope_id: str) -> tuple[str, str]:
    domain_id = domain_of_project(connection, scope_id)
    projects = tables.projects
    slug = connection.execute(select(projects.c.slug).where(projects.c.id == scope_id)).scalar_one()
    return domain_id, f"{_of_domain(connection, domain_id)[1]}:{slug}"


# Scope: the audit chain that a definition stands on, and what its key is qualified with
# (`platform/env`, `acme/tier`, `acme:checkout/owner`).
_QUALIFIERS: Mapping[str, Callable[[Connection, str], tuple[str, str]]] = MappingProxyType(
    {PLATFORM: _of_platform, DOMAIN: _of_domain, PROJECT: _of_project}
)
