"""The seed file: operators, Domains and Nodes that a server starts with, as TOML.

Operators live in the file alone (CRED-3). Domains and Nodes are made once, through the ordinary control
functions, in one transaction; a later start with the same file finds them by slug and name.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from reference_server.settings import SettingsRefused

_PLACE = re.compile(r"\$\.(?P<table>\w+)\[(?P<index>\d+)\]|\$\.(?P<name>\w+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Relation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A grant; `object` is `*`, `domain:<slug>` or `node:<name or id>`."""

    relation: str
    object: str


class SeedOperator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An operator; without a token a fresh one is made."""

    name: str
    token: str | None = None
    relations: list[Relation] = []


class SeedDomain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A Domain, with one Project of its own."""

    name: str
    slug: str
    mesh_cidr: str
    signing_key: Literal["active", "none"] = "active"


class SeedNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A Node of a Domain of the file; a revoked one is registered and deregistered again."""

    name: str
    domain: str
    revoked: bool = False


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    operators: list[SeedOperator] = []
    domains: list[SeedDomain] = []
    nodes: list[SeedNode] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A seed file that hangs together; `path` and `text` are kept to point at places in it."""

    path: str
    text: str
    operators: tuple[SeedOperator, ...]
    domains: tuple[SeedDomain, ...]
    nodes: tuple[SeedNode, ...]

    def refuse(self, table: str, index: int, why: str) -> NoReturn:
        """Raise SettingsRefused, naming the line where this entry begins."""
        raise SettingsRefused(f"{self.path}:{_line(self.text, table, index)}: {table}[{index}]: {why}")


def read(path: str) -> Seed:
    """The seed file at `path`. Raises SettingsRefused with file, line and reason."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as trouble:
        raise SettingsRefused(f"{path}: cannot be read: {trouble.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsRefused(f"{path}: is not UTF-8") from None
    return parse(text, path)


def parse(text: str, path: str) -> Seed:
    """The seed file with this text. Raises SettingsRefused."""
    try:
        document = msgspec.convert(tomllib.loads(text), _Document)
    except tomllib.TOMLDecodeError as trouble:
        line = re.search(r"line (\d+)", str(trouble))
        raise SettingsRefused(f"{path}:{line[1] if line else len(text.splitlines())}: {trouble}") from None
    except msgspec.ValidationError as trouble:
        raise SettingsRefused(f"{path}:{_line_of(text, str(trouble))}: {trouble}") from None
    seed = Seed(
        path=path,
        text=text,
        operators=tuple(document.operators),
        domains=tuple(document.domains),
        nodes=tuple(document.nodes),
    )
    _check(seed)
    return seed


def _check(seed: Seed) -> None:
    slugs = [domain.slug for domain in seed.domains]
    for table, names in (
        ("operators", [operator.name for operator in seed.operators]),
        ("domains", slugs),
        ("nodes", [node.name for node in seed.nodes]),
    ):
        for index, name in enumerate(names):
            if not _NAME.fullmatch(name):
                seed.refuse(table, index, f"{name!r} is no name: letters, digits and . _ - are")
            if name in names[:index]:
                seed.refuse(table, index, f"{name!r} stands in the file twice")
    for index, node in enumerate(seed.nodes):
        if node.domain not in slugs:
            seed.refuse("nodes", index, f"no Domain of the file has the slug {node.domain!r}")


def _line_of(text: str, trouble: str) -> int:
    place = _PLACE.search(trouble)
    if place is None:
        return 1
    return _line(text, place["table"] or place["name"], int(place["index"] or 0))


def _line(text: str, table: str, index: int) -> int:
    header = re.compile(rf"\s*\[\[\s*{re.escape(table)}\s*\]\]")
    found = [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]
    return found[index] if index < len(found) else 1
