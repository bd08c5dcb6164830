"""Folding a stream into the state that a pull returns (section 11). Pure: fold in, fold out."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from conformance.agent import lexemes

# Reachability changes this member without an event.
_UNTOLD = "last_heartbeat_at"
_BUCKETS = ("metadata", "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPart:
    """One policy's contribution: `rules` is the compact JSON array as it was signed."""

    revision_id: str
    rules: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """The state of one Node as its stream tells it.

    `policies` and `bridges` are None while the snapshot they come from does not say its sources (PULL-6):
    the block then stands as pulled, and the next event of that type asks for another pull.
    """

    peers: Mapping[str, tuple[str, str]]
    reachability: Mapping[str, Any]
    state: Mapping[str, Any]
    policy: Mapping[str, Any] | None
    bridge: Mapping[str, Any] | None
    policies: Mapping[str, PolicyPart] | None
    bridges: Mapping[str, Mapping[str, Any]] | None
    needs_pull: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One block that differs between the fold and a pull."""

    block: str
    folded: object
    pulled: object


def start(snapshot: bytes) -> Fold:
    """The fold that begins at a pulled snapshot; raises ValueError or KeyError if it is none."""
    pulled = json.loads(snapshot)
    policy, bridge = _policy_block(pulled["policy"]), _bridge_block(pulled["bridge"])
    return Fold(
        peers=MappingProxyType({each["node_id"]: _peer(each) for each in pulled["peers"]}),
        reachability=_reachability(pulled["reachability"]),
        state=_state(pulled["state"]),
        policy=policy,
        bridge=bridge,
        policies=MappingProxyType({}) if policy is None else _policy_sources(snapshot, pulled),
        bridges=MappingProxyType({}) if bridge is None else _bridge_sources(pulled),
    )


def apply(fold: Fold, event_type: str, payload: bytes) -> Fold:
    """The fold after one verified event; types that carry nothing of the compared blocks change nothing."""
    take = _TAKES.get(event_type)
    return fold if take is None else take(fold, payload)


def rebase(fold: Fold, snapshot: bytes) -> Fold:
    """The fold with the blocks that it could not go on with taken from another pull."""
    fresh = start(snapshot)
    if "policy" in fold.needs_pull:
        fold = replace(fold, policy=fresh.policy, policies=fresh.policies)
    if "bridge" in fold.needs_pull:
        fold = replace(fold, bridge=fresh.bridge, bridges=fresh.bridges)
    return replace(fold, needs_pull=frozenset())


def differences(fold: Fold, snapshot: bytes) -> tuple[Difference, ...]:
    """The compared blocks in which the fold and a pull differ."""
    return between(fold, start(snapshot))


def between(fold: Fold, other: Fold) -> tuple[Difference, ...]:
    """The compared blocks in which two folds differ; the other stands for what was pulled."""
    folded, pulled = _blocks(fold), _blocks(other)
    return tuple(
        Difference(block=name, folded=folded[name], pulled=pulled[name])
        for name in folded
        if folded[name] != pulled[name]
    )


def _blocks(fold: Fold) -> dict[str, object]:
    return {
        "peers": dict(sorted(fold.peers.items())),
        "reachability": dict(fold.reachability),
        "state": dict(fold.state),
        "policy": fold.policy,
        "bridge": fold.bridge,
    }


def _put_peer(fold: Fold, payload: bytes) -> Fold:
    peer = json.loads(payload)
    return replace(fold, peers=MappingProxyType({**fold.peers, peer["node_id"]: _peer(peer)}))


def _drop_peer(fold: Fold, payload: bytes) -> Fold:
    gone = json.loads(payload)["node_id"]
    left = {node_id: each for node_id, each in fold.peers.items() if node_id != gone}
    return replace(fold, peers=MappingProxyType(left))


def _rekey_peer(fold: Fold, payload: bytes) -> Fold:
    told = json.loads(payload)
    known = fold.peers.get(told["node_id"])
    if known is None:
        return fold
    peers = {**fold.peers, told["node_id"]: (known[0], told["public_key"])}
    return replace(fold, peers=MappingProxyType(peers))


def _take_state(fold: Fold, payload: bytes) -> Fold:
    told = json.loads(payload)
    return replace(fold, reachability=_reachability(told["reachability"]), state=_state(told["state"]))


def _take_policy(fold: Fold, payload: bytes) -> Fold:
    if fold.policies is None:
        return replace(fold, needs_pull=fold.needs_pull | {"policy"})
    told = json.loads(payload)
    parts = dict(fold.policies)
    parts.pop(told["policy_id"], None)
    if told["rules"]:
        rules = lexemes.member(payload, "rules") or b"[]"
        parts[told["policy_id"]] = PolicyPart(revision_id=told["revision_id"], rules=rules)
    policies = MappingProxyType(dict(sorted(parts.items())))
    return replace(fold, policies=policies, policy=_merged_policy(policies))


def _take_bridge(fold: Fold, payload: bytes) -> Fold:
    if fold.bridges is None:
        return replace(fold, needs_pull=fold.needs_pull | {"bridge"})
    told = json.loads(payload)
    parts = dict(fold.bridges)
    parts.pop(told["bridge_resource_id"], None)
    block = _bridge_block(told["effective_config"])
    if block is not None:
        parts[told["bridge_resource_id"]] = block
    bridges = MappingProxyType(dict(sorted(parts.items())))
    return replace(fold, bridges=bridges, bridge=_merged_bridge(bridges))


_TAKES: Mapping[str, Callable[[Fold, bytes], Fold]] = MappingProxyType(
    {
        "peer_registered": _put_peer,
        "peer_deregistered": _drop_peer,
        "peer_key_rotated": _rekey_peer,
        "node_state_updated": _take_state,
        "policy_updated": _take_policy,
        "bridge_config_updated": _take_bridge,
    }
)


def _peer(members: Mapping[str, Any]) -> tuple[str, str]:
    return members["mesh_ip"], members["public_key"]


def _reachability(block: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({name: each for name, each in block.items() if name != _UNTOLD})


def _state(block: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return MappingProxyType({name: (block or {}).get(name) or [] for name in _BUCKETS})


def _policy_block(block: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """None for null and for the empty block, which are equal."""
    return dict(block) if block and block["rules"] else None


def _merged_policy(parts: Mapping[str, PolicyPart]) -> Mapping[str, Any] | None:
    if not parts:
        return None
    in_order = list(parts.values())
    digest = hashlib.sha256(b"".join(part.rules for part in in_order)).digest()
    return {
        "revision_id": in_order[0].revision_id,
        "fingerprint": base64.b64encode(digest).decode("ascii"),
        "rules": [rule for part in in_order for rule in json.loads(part.rules)],
    }


def _policy_sources(snapshot: bytes, pulled: Mapping[str, Any]) -> Mapping[str, PolicyPart] | None:
    sources = (pulled.get("sources") or {}).get("policy")
    if sources is None:
        return None
    rules = lexemes.items(lexemes.member(snapshot, "policy", "rules") or b"[]")
    parts: dict[str, PolicyPart] = {}
    at = 0
    for source in sources:
        own = rules[at : at + source["rule_count"]]
        at += source["rule_count"]
        parts[source["policy_id"]] = PolicyPart(
            revision_id=source["revision_id"], rules=b"[" + b",".join(own) + b"]"
        )
    return MappingProxyType(parts)


def _bridge_block(block: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """None for null and for a block whose parts are all empty, which are equal."""
    parts = {name: each for name, each in (block or {}).items() if not _is_empty(each)}
    return parts or None


def _is_empty(part: object) -> bool:
    if isinstance(part, Mapping):
        return all(each == [] for each in part.values())
    return part is None


def _merged_bridge(parts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The lowest Resource's relay, lists concatenated (several Resources are possible only in theory)."""
    merged: dict[str, Any] = {}
    for part in parts.values():
        for name, block in part.items():
            merged[name] = block if name not in merged else _joined(merged[name], block)
    return merged or None


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    lists = {name for name, each in first.items() if isinstance(each, list)}
    if "listen_port" in first:
        return first
    return {name: first[name] + second.get(name, []) if name in lists else first[name] for name in first}


def _bridge_sources(pulled: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]] | None:
    sources = (pulled.get("sources") or {}).get("bridge")
    if sources is None:
        return None
    found = {each["bridge_resource_id"]: _bridge_block(each["effective_config"]) for each in sources}
    return MappingProxyType({name: block for name, block in sorted(found.items()) if block is not None})
