"""Reads a target: a TOML file checked by its schema, or a bare URL. Secrets come by reference only."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from conformance.schemas import validate
from conformance.target.model import DriverSpec, Identity, PinnedKey, Target


class BadTarget(ValueError):
    """The target cannot be used; nothing was sent and nothing is claimed."""


def load(spelled: str, *, environment: Mapping[str, str] | None = None) -> Target:
    """The target that a URL or a path names; raises BadTarget with one clear line."""
    if spelled.startswith(("http://", "https://")):
        return _bare(spelled)
    path = Path(spelled)
    return _built(read(path), path, os.environ if environment is None else environment)


def read(path: Path) -> dict[str, Any]:
    """The file's content, checked against its schema; no secret is looked up. Raises BadTarget."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise BadTarget(f"{path.name} cannot be read: {wrong.strerror}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise BadTarget(f"{path.name} is no TOML: {wrong}") from wrong
    try:
        validate.check("target", content)
    except validate.Invalid as wrong:
        raise BadTarget(f"{path.name}: {wrong}") from wrong
    return content


def _bare(url: str) -> Target:
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise BadTarget("a target URL is a scheme, a host, perhaps a port and a path, and nothing else")
    return Target(name=parts.netloc, base_url=url.rstrip("/"))


def _built(content: Mapping[str, Any], path: Path, environment: Mapping[str, str]) -> Target:
    told, tls = content["target"], content.get("tls", {})
    near = path.resolve().parent
    return Target(
        name=told.get("name", urlsplit(told["base_url"]).netloc),
        base_url=told["base_url"].rstrip("/"),
        base_urls=tuple(each.rstrip("/") for each in told.get("base_urls", ())),
        identities=MappingProxyType(
            {
                label: _identity(label, entry, near, environment)
                for label, entry in sorted(content.get("identities", {}).items())
            }
        ),
        claims=tuple(told.get("claims", ())),
        pinned=tuple(PinnedKey(**entry) for entry in content.get("signing_keys", ())),
        driver=_driver(content.get("driver", {"kind": "none"}), near),
        may_disrupt=told.get("may_disrupt", False),
        ca_file=_beside(tls.get("ca_file"), near),
        client_certificate=_beside(tls.get("client_certificate"), near),
        trust_env=told.get("trust_env", False),
    )


def _identity(label: str, entry: Mapping[str, str], near: Path, environment: Mapping[str, str]) -> Identity:
    return Identity(
        label=label,
        credential=_secret(label, entry["credential"], near, environment),
        node_id=entry.get("node_id"),
        domain_id=entry.get("domain_id"),
    )


def _secret(label: str, reference: str, near: Path, environment: Mapping[str, str]) -> str:
    kind, _, place = reference.partition(":")
    if kind == "env":
        found = environment.get(place, "")
    else:
        try:
            found = (near / place).read_text(encoding="utf-8")
        except OSError as wrong:
            raise BadTarget(f"identities.{label}: {reference} cannot be read: {wrong.strerror}") from wrong
    if not found.strip():
        raise BadTarget(f"identities.{label}: {reference} is empty or not set")
    return found.strip()


def _driver(entry: Mapping[str, Any], near: Path) -> DriverSpec:
    socket = _beside(entry.get("socket"), near) or ""
    return DriverSpec(kind=entry["kind"], command=tuple(entry.get("command", ())), socket=socket)


def _beside(place: str | None, near: Path) -> str | None:
    return None if place is None else str(near / place)
