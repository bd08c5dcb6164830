"""Who the target is: its version and the digest of its OpenAPI document (protocol, section 10a)."""

import hashlib
import json
import uuid
from dataclasses import dataclass

from conformance.probe.legible import legible
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange

# A version or a document comes at once; a server that hangs must not take the whole run's time.
PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetIdentity:
    """What must be the same at the beginning and at the end of a run."""

    version: str
    openapi_sha256: str


async def probe(stage: Stage) -> None:
    """Asks for version and document, and plants the canary: a credential that no server knows."""
    await stage.request("version", "GET", "/v1/version", timeout=PROBE_SECONDS)
    await stage.request("openapi", "GET", "/v1/openapi.json", timeout=PROBE_SECONDS)
    stage.present("canary", stage.canary)
    nobody = uuid.UUID(bytes=stage.rng.randbytes(16), version=4)
    path = f"/v1/nodes/{nobody}/state"
    await stage.request("canary", "GET", path, identity="canary", timeout=PROBE_SECONDS)


def of(version: Exchange | None, openapi: Exchange | None) -> TargetIdentity | None:
    """The identity in the two answers, or None if nothing answers there at all."""
    if version is None or openapi is None or (version.head is None and openapi.head is None):
        return None
    digest = hashlib.sha256(openapi.body).hexdigest() if _ok(openapi) else ""
    return TargetIdentity(version=_version(version), openapi_sha256=digest)


def _version(exchange: Exchange) -> str:
    if not _ok(exchange):
        return ""
    try:
        told = json.loads(exchange.body)
    except ValueError:
        return ""
    return legible(str(told.get("version", ""))) if isinstance(told, dict) else ""


def _ok(exchange: Exchange) -> bool:
    return exchange.head is not None and exchange.head.status == 200  # noqa: PLR2004  # RFC 9110 15.3.1
