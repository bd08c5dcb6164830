"""The fold of section 11 over hand-made snapshots and events."""

import base64
import hashlib
import json
from typing import Any

from conformance.agent import fold

PEER = {"node_id": "a", "mesh_ip": "10.0.0.1", "public_key": "AA="}
RULES_1 = b'[{"action":"allow","protocol":"icmp","source_cidr":"10.0.0.0/8","destination_cidr":"10.0.0.0/8"}]'
RULES_2 = b'[{"action":"deny","protocol":"any","source_cidr":"10.1.0.0/16","destination_cidr":"0.0.0.0/0"}]'


def snapshot(**changes: Any) -> bytes:
    whole: dict[str, Any] = {
        "peers": [],
        "executions": [],
        "sessions": [],
        "reachability": {"state": "never_reported", "changed_at": "2026-05-27T10:00:00Z"},
        "policy": None,
        "bridge": None,
        "state": {"metadata": [], "data": [], "reports": []},
        "reports": None,
    }
    return json.dumps({**whole, **changes}, separators=(",", ":")).encode()


def payload(**members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def policy(policy_id: str, rules: bytes) -> bytes:
    head = payload(node_id="n", policy_id=policy_id, revision_id=f"r-{policy_id}", fingerprint="x")
    return head[:-1] + b',"rules":' + rules + b"}"


def merged(*rules: bytes, revision: str) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha256(b"".join(rules)).digest()).decode()
    return {
        "revision_id": revision,
        "fingerprint": digest,
        "rules": [each for part in rules for each in json.loads(part)],
    }


def blocks(state: fold.Fold, pulled: bytes) -> list[str]:
    return [each.block for each in fold.differences(state, pulled)]


def test_peers_come_go_and_change_keys() -> None:
    state = fold.apply(fold.start(snapshot()), "peer_registered", payload(**PEER))
    assert blocks(state, snapshot(peers=[PEER])) == []
    rekeyed = fold.apply(state, "peer_key_rotated", payload(node_id="a", public_key="BB="))
    assert blocks(rekeyed, snapshot(peers=[{**PEER, "public_key": "BB="}])) == []
    assert blocks(rekeyed, snapshot(peers=[PEER])) == ["peers"]
    assert blocks(fold.apply(state, "peer_deregistered", payload(node_id="a")), snapshot()) == []
    assert fold.apply(state, "peer_key_rotated", payload(node_id="z", public_key="BB=")) == state
    assert fold.apply(state, "action_request", b"{}") == state


def test_reachability_and_state_are_the_last_told() -> None:
    told = {
        "node_id": "n",
        "reachability": {"state": "healthy", "last_heartbeat_at": "x", "changed_at": "y"},
        "state": {"metadata": [{"key": "k", "value": "v"}], "data": [], "reports": [{"key": "r"}]},
    }
    state = fold.apply(fold.start(snapshot()), "node_state_updated", payload(**told))
    pulled = snapshot(
        reachability={"state": "healthy", "last_heartbeat_at": "later", "changed_at": "y"},
        state={"metadata": [{"key": "k", "value": "v"}], "data": [], "reports": []},
    )
    assert blocks(state, pulled) == []
    assert blocks(state, snapshot()) == ["reachability", "state"]


def test_two_policies_are_concatenated_and_unmatched() -> None:
    state = fold.start(snapshot())
    state = fold.apply(state, "policy_updated", policy("p2", RULES_2))
    state = fold.apply(state, "policy_updated", policy("p1", RULES_1))
    assert blocks(state, snapshot(policy=merged(RULES_1, RULES_2, revision="r-p1"))) == []
    state = fold.apply(state, "policy_updated", policy("p1", b"[]"))
    assert blocks(state, snapshot(policy=merged(RULES_2, revision="r-p2"))) == []
    state = fold.apply(state, "policy_updated", policy("p2", b"[]"))
    empty = {"revision_id": "0", "fingerprint": "47", "rules": []}
    assert blocks(state, snapshot()) == blocks(state, snapshot(policy=empty)) == []


def test_sources_let_the_fold_go_on() -> None:
    sources = {
        "policy": [
            {"policy_id": "p1", "revision_id": "r-p1", "fingerprint": "x", "rule_count": 1},
            {"policy_id": "p2", "revision_id": "r-p2", "fingerprint": "x", "rule_count": 1},
        ],
        "bridge": [],
    }
    both = merged(RULES_1, RULES_2, revision="r-p1")
    state = fold.start(snapshot(policy=both, sources=sources))
    state = fold.apply(state, "policy_updated", policy("p1", b"[]"))
    assert blocks(state, snapshot(policy=merged(RULES_2, revision="r-p2"))) == []


def test_without_sources_the_fold_asks_for_a_pull() -> None:
    state = fold.start(snapshot(policy=merged(RULES_1, revision="r-p1")))
    state = fold.apply(state, "policy_updated", policy("p1", b"[]"))
    assert state.needs_pull == {"policy"}
    assert blocks(fold.rebase(state, snapshot()), snapshot()) == []


def test_bridges_with_all_parts_empty_are_none() -> None:
    relay = {"relay": {"enabled": True, "listen_port": 1, "assignments": []}}
    state = fold.start(snapshot())
    told = payload(node_id="n", bridge_resource_id="b", effective_config=relay)
    state = fold.apply(state, "bridge_config_updated", told)
    assert blocks(state, snapshot(bridge=relay)) == []
    gone = payload(node_id="n", bridge_resource_id="b", effective_config={"ingress": {"rules": []}})
    assert blocks(fold.apply(state, "bridge_config_updated", gone), snapshot(bridge={})) == []
