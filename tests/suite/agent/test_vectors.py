"""All cases of the envelope vectors, judged by the suite's own code."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from conformance.agent import envelope, mint

VECTORS = Path(__file__).parents[3] / "fixtures" / "vectors" / "envelope_vectors.json"
GROUPS = json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]
CASES = [(group, case) for group in GROUPS for case in group["tests"]]

# The clause that each kind of invalid case is named for; the more special one where two are broken.
CLAUSES = {
    40: "ENV-7", 41: "ENV-7", 42: "ENV-7", 43: "ENV-7", 44: "ENV-7", 45: "ENV-7", 46: "ENV-7", 47: "ENV-7",
    48: "ENV-7", 49: "ENV-7", 50: "ENV-1", 51: "ENV-7", 52: "ENV-7", 53: "ENV-8", 54: "ENV-8", 55: "ENV-7",
    56: "ENV-7", 57: "ENV-7", 58: "ENV-7", 59: "ENV-7", 60: "ENV-1", 61: "ENV-1", 62: "ENV-1", 63: "ENV-1",
    64: "ENV-1", 65: "ENV-1", 66: "ENV-1", 67: "ENV-1", 68: "ENV-1", 69: "ENV-1", 70: "ENV-1", 71: "ENV-2",
    72: "ENV-4", 73: "ENV-7", 74: "ENV-7", 75: "ENV-7", 76: "ENV-6", 77: "ENV-6", 78: "ENV-7", 79: "ENV-7",
    80: "ENV-7", 81: "ENV-7",
}  # fmt: skip


def trusted(group: dict[str, Any]) -> dict[str, bytes]:
    return dict.fromkeys(group["trustedKeyIds"], base64.b64decode(group["publicKey"]))


def test_there_are_81() -> None:
    assert len(CASES) == 81


@pytest.mark.parametrize(("group", "case"), CASES, ids=[str(case["tcId"]) for _, case in CASES])
def test_case(group: dict[str, Any], case: dict[str, Any]) -> None:
    reading = envelope.judge(case["data"].encode(), trusted(group))
    if case["result"] == "valid":
        assert reading.violations == ()
        assert reading.envelope is not None
        assert reading.envelope.canonical == bytes.fromhex(case["canonical"])
    else:
        assert reading.violations[0].clause == CLAUSES[case["tcId"]]


@pytest.mark.parametrize(
    ("group", "case"),
    [pair for pair in CASES if pair[1]["result"] == "valid"],
    ids=[str(case["tcId"]) for _, case in CASES if case["result"] == "valid"],
)
def test_our_own_signer_makes_the_same_bytes(group: dict[str, Any], case: dict[str, Any]) -> None:
    data = case["data"].encode()
    found = envelope.read(data).envelope
    assert found is not None
    header = {name: getattr(found, name) for name in envelope.HEADER}
    assert mint.wire(header, found.payload, bytes.fromhex(group["seed"])) == data
