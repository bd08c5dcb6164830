"""The 81 envelopes made by Go: verdict, canonical bytes and, where valid, the very signature (ENV-2…7)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from reference_server.envelope import canonical, model, signing

_FILE = Path(__file__).parents[3] / "fixtures" / "vectors" / "envelope_vectors.json"
_GROUPS: list[dict[str, Any]] = json.loads(_FILE.read_bytes())["testGroups"]
_CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (group, case) for group in _GROUPS for case in group["tests"]
]
_VALID = [(group, case) for group, case in _CASES if case["result"] == "valid"]


def _name(part: dict[str, Any]) -> str:
    return f"{part['tcId']}-{part['comment'][:40]}" if "tcId" in part else ""


def _accepted(group: dict[str, Any], wire: bytes) -> bool:
    try:
        envelope = model.parse(wire)
    except model.NotAnEnvelope:
        return False
    public_key = base64.b64decode(group["publicKey"])
    return envelope.key_id in group["trustedKeyIds"] and envelope.verified_by(public_key)


def test_every_case_is_there() -> None:
    assert len(_CASES) == 81


@pytest.mark.parametrize(("group", "case"), _CASES, ids=_name)
def test_verdict(group: dict[str, Any], case: dict[str, Any]) -> None:
    assert _accepted(group, case["data"].encode()) == (case["result"] == "valid")


@pytest.mark.parametrize(("group", "case"), _VALID, ids=_name)
def test_bytes(group: dict[str, Any], case: dict[str, Any]) -> None:
    wire = case["data"].encode()
    envelope = model.parse(wire)
    rendered = canonical.render(
        event_id=envelope.id,
        event_type=envelope.type,
        scope=envelope.scope,
        key_id=envelope.key_id,
        issued_at=envelope.issued_at,
        payload=envelope.payload,
    )
    assert rendered == envelope.canonical == bytes.fromhex(case["canonical"])
    signing_key = signing.key_pair(bytes.fromhex(group["seed"]))[1]
    assert canonical.wire(rendered, signing.encode(signing.sign(rendered, signing_key))) == wire
