"""Puts what is ours into drafts: a generated id becomes that of our own thing, a time the present one. Pure.

Only what looks right is replaced. What a generator spelled wrongly on purpose stays as it is.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode, urlsplit

from conformance.probe import grounds
from conformance.probe.draft import Draft
from conformance.probe.stage import fresh_public_key

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_RANGE = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-fA-F:]+/[0-9]{1,3}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)")
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_TOKEN = re.compile(r"psb_.+")

# Where the segment before an id is no collection (/v1/objects/{kind}/{id}), the thing is our Node.
_ANY = "nodes"
_KIND = ("{kind}", "node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What is ours: an id of each collection, one that may be deleted, and values of body members."""

    things: Mapping[str, str]
    spares: Mapping[str, str]
    words: Mapping[str, str]
    rng: random.Random

    @property
    def ids(self) -> frozenset[str]:
        """Every id that is ours from the start."""
        return frozenset({*self.things.values(), *self.spares.values()})


# The members that name a thing, and its collection.
_NAMING: Mapping[str, str] = MappingProxyType(
    {
        "domain_id": "domains",
        "scope_id": "domains",
        "project_id": "projects",
        "resource_id": "resources",
        "node_id": "nodes",
        "definition_id": "label-definitions",
    }
)

# Members whose example is right in form only: what is replaced, and by what.
_FRESH: Mapping[str, tuple[re.Pattern[str], Callable[[Own], str]]] = MappingProxyType(
    {
        "mesh_cidr": (_RANGE, lambda own: grounds.free_range(own.rng)),
        "public_key": (_KEY, lambda own: fresh_public_key(own.rng)),
        "new_public_key": (_KEY, lambda own: fresh_public_key(own.rng)),
        "client_now": (_TIME, lambda own: _now()),
        "reported_at": (_TIME, lambda own: _now()),
    }
)
_WORDS: Mapping[str, re.Pattern[str]] = MappingProxyType({"bootstrap_token": _TOKEN})

# Only the server can make one: beside others it would hide what is wrong with them.
_OPAQUE = "cursor"

_DOMAINS, _LABELS = "/v1/domains", "/v1/label-definitions"


def bound(draft: Draft, own: Own) -> Draft:
    """The draft about what is ours."""
    return replace(draft, target=_target(draft, own), body=_body(draft, own))


def domain_slug(draft: Draft) -> str | None:
    """The slug of the Domain that this draft would create; None if it creates none."""
    members = _object(draft.body) if (draft.method, draft.template) == ("POST", _DOMAINS) else None
    slug = None if members is None else members.get("slug")
    return slug if isinstance(slug, str) else None


def with_slug(draft: Draft, slug: str) -> Draft:
    """The draft creating a Domain of this slug, if it names one rightly."""
    named = domain_slug(draft)
    if named is None or not _KEBAB.fullmatch(named):
        return draft
    return replace(draft, body=_rendered({**(_object(draft.body) or {}), "slug": slug}))


def _target(draft: Draft, own: Own) -> str:
    parts = urlsplit(draft.target)
    template, segments = draft.template.split("/"), parts.path.split("/")
    if len(template) == len(segments):
        segments = [_segment(draft, own, place, there) for place, there in enumerate(segments)]
    sent = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    kept = [pair for pair in sent if pair[0] != _OPAQUE or len(sent) == 1]
    pairs = [
        (name, own.things.get(_NAMING.get(name, ""), value) if UUID.fullmatch(value) else value)
        for name, value in kept
    ]
    query = parts.query if pairs == sent else urlencode(pairs, errors="surrogateescape")
    return "/".join(segments) + (f"?{query}" if query else "")


def _segment(draft: Draft, own: Own, place: int, there: str) -> str:
    template = draft.template.split("/")
    name = template[place]
    if name == _KIND[0]:
        return _KIND[1] if draft.valid else there
    if not name.startswith("{") or not UUID.fullmatch(there):
        return there
    before = template[place - 1]
    collection = _ANY if before.startswith("{") else before
    ends = draft.method == "DELETE" and place == len(template) - 1
    return (own.spares if ends else own.things).get(collection, there)


def _body(draft: Draft, own: Own) -> bytes:
    members = _object(draft.body)
    if not members:
        return draft.body
    changed = {name: _member(name, value, own) for name, value in members.items()}
    if draft.template == _LABELS and members.get("scope") == "platform" and "domains" in own.things:
        # What is defined for the platform is everybody's: ours is defined for our Domain.
        changed |= {"scope": "domain", "scope_id": own.things["domains"]}
    return draft.body if changed == members else _rendered(changed)


def _member(name: str, value: object, own: Own) -> object:
    if not isinstance(value, str):
        return value
    if name in _NAMING and UUID.fullmatch(value):
        return own.things.get(_NAMING[name], value)
    if name in _FRESH and _FRESH[name][0].fullmatch(value):
        return _FRESH[name][1](own)
    if name in _WORDS and name in own.words and _WORDS[name].fullmatch(value):
        return own.words[name]
    return value


def _object(body: bytes) -> dict[str, object] | None:
    try:
        members = json.loads(body)
    except ValueError:
        return None
    return members if isinstance(members, dict) else None


def _rendered(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
