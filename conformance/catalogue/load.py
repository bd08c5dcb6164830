"""Reads the catalogue: clauses (shared with the contract), profiles, and what is known about each check."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

_PACKAGE = Path(__file__).resolve().parent.parent

# The contract's clauses: beside the packages in a source tree, among the server's data in a wheel.
_CONTRACT_PLACES = (_PACKAGE.parent / "openapi", _PACKAGE.parent / "reference_server" / "openapi")
_CLAUSES, _DOCUMENT = "clauses.yaml", "bus.v1.yaml"

MUST = "MUST"


class CatalogueMissing(Exception):
    """The catalogue cannot be read: our own fault, never the target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause of the protocol; `observable` is wire or inside."""

    id: str
    keyword: str
    text: str
    source: str = ""
    observable: str = "wire"

    @property
    def binding(self) -> bool:
        """True for a MUST or MUST NOT."""
        return self.keyword.startswith(MUST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A set of checks that a target claims as one; `planned` ones have no checks yet."""

    name: str
    title: str
    planned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEntry:
    """What the catalogue knows about a check beside its code: the planted defects that it catches."""

    id: str
    kills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The data that a run is held against."""

    revision: str
    clauses: Mapping[str, Clause]
    profiles: Mapping[str, Profile]
    levels: Mapping[str, tuple[str, ...]]
    checks: Mapping[str, CheckEntry]

    @property
    def digest(self) -> str:
        """SHA-256 over clause texts, profiles and check ids: two runs of one digest were held to the same."""
        lines = [f"revision {self.revision}"]
        lines += [f"clause {each.id} {each.keyword} {each.text}" for each in self.clauses.values()]
        lines += [f"profile {name}" for name in self.profiles]
        lines += [f"check {name}" for name in self.checks]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


@cache
def catalogue() -> Catalogue:
    """The catalogue of this suite; raises CatalogueMissing."""
    profiles = _mapping(_PACKAGE / "catalogue" / "profiles.yaml")
    return Catalogue(
        revision=str(profiles["revision"]),
        clauses=clauses_from(_contract_file(_CLAUSES)),
        profiles=MappingProxyType({each["name"]: Profile(**each) for each in profiles["profiles"]}),
        levels=MappingProxyType({name: tuple(parts) for name, parts in profiles["levels"].items()}),
        checks=_check_entries(_PACKAGE / "catalogue" / "checks.yaml"),
    )


@cache
def contract() -> Mapping[str, Any]:
    """Our own OpenAPI document, for targets that serve none; raises CatalogueMissing."""
    return MappingProxyType(_mapping(_contract_file(_DOCUMENT)))


def clauses_from(path: Path) -> Mapping[str, Clause]:
    """The clauses in a file, by id; raises CatalogueMissing."""
    entries = _mapping(path).get("clauses")
    if not isinstance(entries, Sequence) or not entries:
        raise CatalogueMissing(f"{path.name} holds no clauses")
    found: dict[str, Clause] = {}
    for entry in entries:
        clause = _clause(entry)
        if clause.id in found:
            raise CatalogueMissing(f"{path.name} holds {clause.id} twice")
        found[clause.id] = clause
    return MappingProxyType(found)


def _clause(entry: Mapping[str, object]) -> Clause:
    observable = str(entry.get("observable", entry.get("observability", "wire")))
    return Clause(
        id=str(entry["id"]),
        keyword=str(entry.get("keyword") or MUST),
        text=" ".join(str(entry["text"]).split()),
        source=str(entry.get("source", "")),
        observable=observable,
    )


def _contract_file(name: str) -> Path:
    for place in _CONTRACT_PLACES:
        if (place / name).is_file():
            return place / name
    raise CatalogueMissing(f"openapi/{name} is neither in the source tree nor in the installation")


def _check_entries(path: Path) -> Mapping[str, CheckEntry]:
    if not path.is_file():
        return MappingProxyType({})
    entries = _mapping(path).get("checks", ())
    found = {
        str(each["id"]): CheckEntry(id=str(each["id"]), kills=tuple(each.get("kills", ())))
        for each in entries
    }
    return MappingProxyType(found)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as wrong:
        raise CatalogueMissing(f"{path.name} cannot be read: {type(wrong).__name__}") from wrong
    if not isinstance(content, dict):
        raise CatalogueMissing(f"{path.name} is no mapping")
    return content
