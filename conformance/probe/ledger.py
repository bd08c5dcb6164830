"""The ledger: what the suite created on a target, on disk before it exists there, and its removal."""

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.probe.node import SLUG_PREFIX
from conformance.probe.obstacle import CannotAct
from conformance.probe.transcript import Exchange

# What a removal may be answered: gone now, or gone before.
_GONE = frozenset({200, 202, 204, 404, 410})


class BadLedger(ValueError):
    """The file is no ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A Domain that was made, with the Nodes in it; `id` is empty if its creation was never confirmed."""

    slug: str
    id: str
    nodes: tuple[str, ...]


class FileLedger:
    """Appends a line for each step and forces it to disk before the step is made."""

    def __init__(self, path: Path | None, *, base_url: str) -> None:
        self._path = path
        self._entries: list[dict[str, str]] = []
        self._put({"step": "target", "base_url": base_url})

    def intend(self, slug: str) -> None:
        """A Domain of this slug is about to be created."""
        self._put({"step": "intend", "slug": slug})

    def created(self, slug: str, domain_id: str) -> None:
        """The Domain exists now."""
        self._put({"step": "domain", "slug": slug, "id": domain_id})

    def refused(self, slug: str) -> None:
        """The target answered that it did not create the Domain."""
        self._put({"step": "refused", "slug": slug})

    def node(self, domain_id: str, node_id: str) -> None:
        """A Node exists in it now."""
        self._put({"step": "node", "domain_id": domain_id, "id": node_id})

    @property
    def domains(self) -> tuple[Created, ...]:
        """What was created so far."""
        return _domains(self._entries)

    def _put(self, entry: dict[str, str]) -> None:
        self._entries.append(entry)
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read(path: Path) -> tuple[str, tuple[Created, ...]]:
    """The base URL and the Domains of a ledger; a last line that was cut by a crash is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadLedger(f"{path.name} cannot be read") from wrong
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    if not entries or entries[0].get("step") != "target":
        raise BadLedger(f"{path.name} is no ledger")
    return entries[0]["base_url"], _domains(entries)


Remove = Callable[[str, str], Awaitable[Exchange]]


async def clean(domains: Sequence[Created], remove: Remove) -> tuple[str, ...]:
    """Removes what was created, Nodes first; returns what is left over, in words.

    `remove(label, path)` sends a DELETE as the operator. Only slugs of our own prefix are touched.
    """
    left: list[str] = []
    for domain in domains:
        if not domain.slug.startswith(SLUG_PREFIX):
            left.append(f"{domain.slug}: not ours by its name")
        elif not domain.id:
            left.append(f"{domain.slug}: its creation was never confirmed")
        else:
            left += await _clean_one(domain, remove)
    return tuple(left)


async def _clean_one(domain: Created, remove: Remove) -> list[str]:
    steps = [(f"node {node}", f"/v1/nodes/{node}") for node in domain.nodes]
    steps.append((f"domain {domain.slug}", f"/v1/domains/{domain.id}"))
    left = []
    for name, path in steps:
        try:
            exchange = await remove(f"remove {name}", path)
        except CannotAct as obstacle:
            left.append(f"{name}: {obstacle}")
            continue
        status = exchange.head.status if exchange.head is not None else 0
        if status not in _GONE:
            left.append(f"{name}: {'answered ' + str(status) if status else 'no answer'}")
    return left


def _entry(line: str) -> dict[str, str] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _domains(entries: Sequence[dict[str, str]]) -> tuple[Created, ...]:
    ids = {entry["slug"]: entry["id"] for entry in entries if entry["step"] == "domain"}
    nodes = [(entry["domain_id"], entry["id"]) for entry in entries if entry["step"] == "node"]
    refused = {entry["slug"] for entry in entries if entry["step"] == "refused"} - set(ids)
    slugs = [entry["slug"] for entry in entries if entry["step"] == "intend" and entry["slug"] not in refused]
    return tuple(
        Created(
            slug=slug,
            id=ids.get(slug, ""),
            nodes=tuple(node for domain, node in nodes if domain == ids.get(slug)),
        )
        for slug in dict.fromkeys(slugs)
    )
