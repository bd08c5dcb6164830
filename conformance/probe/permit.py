"""Which generated requests may leave: reading always, writing to what is ours alone."""

import json
from collections.abc import Set

from conformance.probe import binding
from conformance.probe.draft import Draft
from conformance.probe.node import SLUG_PREFIX
from conformance.probe.policy import READING

# Creating one of these leaves something that no operation removes.
_LASTING = frozenset({"/v1/projects", "/v1/label-definitions"})
_DOMAINS = "/v1/domains"

# The members of an answer that name what was created.
_CREATED = ("id", "node_id")


class Permit:
    """Says why a draft must stay; empty if it may leave. Learns from answers what exists and what is ours.

    `may_last`: the target may keep what cannot be removed (it is on this machine).
    """

    __slots__ = ("_may_last", "_may_write", "_ours", "_seen")

    def __init__(self, *, ours: Set[str], may_write: bool, may_last: bool) -> None:
        self._ours = {each.lower() for each in ours}
        self._seen: set[str] = set()
        self._may_write = may_write
        self._may_last = may_last

    def refusal(self, draft: Draft) -> str:
        """Why it must not be sent, or nothing."""
        if draft.method in READING:
            return ""
        if not self._may_write:
            return "only reading is allowed on this target"
        named = _ids(draft.target) | _ids(draft.body.decode("latin-1"))
        if named & (self._seen - self._ours):
            return "it names what is not ours"
        if draft.method == "POST" and draft.template in _LASTING and not self._may_last:
            return "what it creates could not be removed"
        if _for_everybody(draft):
            return "it would change what everybody shares"
        return self._domain(draft)

    def accepted(self, draft: Draft, body: bytes) -> None:
        """Takes note of a 2xx: what it names exists, and what we created is ours."""
        self._seen |= _ids(body.decode("latin-1"))
        if draft.method not in READING:
            self._ours |= _created(body)

    def _domain(self, draft: Draft) -> str:
        """A Domain is created under our prefix only, so that it is known for ours whatever happens."""
        if draft.method in READING or draft.template != _DOMAINS or not _is_object(draft.body):
            return ""
        slug = binding.domain_slug(draft)
        return "" if slug is not None and slug.startswith(SLUG_PREFIX) else "a Domain without our prefix"


def _ids(text: str) -> set[str]:
    return {each.lower() for each in binding.UUID.findall(text)}


def _for_everybody(draft: Draft) -> bool:
    return draft.template == "/v1/label-definitions" and b'"platform"' in draft.body


def _created(body: bytes) -> set[str]:
    try:
        members = json.loads(body)
    except ValueError:
        return set()
    told = [members.get(name) for name in _CREATED] if isinstance(members, dict) else []
    return {each.lower() for each in told if isinstance(each, str) and binding.UUID.fullmatch(each)}


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
