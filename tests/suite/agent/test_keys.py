"""The chain: every way to break it has its clause, and each lost agent finds its way back."""

import base64
import json

from conformance.agent import envelope, keys, mint
from conformance.agent.keys import Standing

DOMAIN = "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1"
SEEDS = {f"k-{n}": bytes([n]) * 32 for n in range(1, 5)}


def public(key_id: str) -> str:
    return base64.b64encode(envelope.public_key(SEEDS[key_id])).decode()


def signed(
    key_id: str, event_type: str = "rotate_keys", payload: object = None, domain: str = DOMAIN
) -> bytes:
    header = {
        "id": "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a0",
        "type": event_type,
        "scope": f"domain:{domain}",
        "key_id": key_id,
        "issued_at": "2026-05-27T10:00:00Z",
    }
    return mint.wire(header, json.dumps(payload).encode(), SEEDS[key_id])


def rotation(old: str, new: str, previous: str | None = None) -> bytes:
    payload = {"key_id": new, "public_key": public(new), "previous_key_id": previous or old}
    return signed(old, keys.ROTATION, {**payload, "transition_expires": "2026-05-27T11:00:00Z"})


def answer(pinned: str, active: str, *rotations: bytes) -> bytes:
    head = {
        "active_key_id": active,
        "active_public_key": public(active),
        "pinned_key_id": pinned,
        "pinned_public_key": public(pinned),
    }
    return json.dumps(head).encode()[:-1] + b', "rotations":[' + b",".join(rotations) + b"]}"


def start() -> keys.Chain:
    return keys.pinned(DOMAIN, "k-1", public("k-1"))


def walk(chain: keys.Chain, *frames: bytes) -> tuple[keys.Chain, list[str]]:
    seen = []
    for data in frames:
        step = keys.follow(chain, data)
        chain = step.chain
        seen.append(step.violations[0].clause if step.violations else step.standing.value)
    return chain, seen


def test_two_rotations_are_followed() -> None:
    chain, seen = walk(start(), signed("k-1"), rotation("k-1", "k-2"), signed("k-2"), rotation("k-2", "k-3"))
    assert seen == ["trusted"] * 4
    assert chain.active == "k-3"


def test_the_old_key_after_its_rotation_is_key_3() -> None:
    _, seen = walk(start(), rotation("k-1", "k-2"), signed("k-1"))
    assert seen == ["trusted", "KEY-3"]


def test_a_key_that_nobody_introduced_is_env_8() -> None:
    assert walk(start(), signed("k-2"))[1] == ["ENV-8"]


def test_a_rotation_signed_by_the_incoming_key_is_not_believed() -> None:
    assert walk(start(), rotation("k-2", "k-2", previous="k-1"))[1] == ["ENV-8"]


def test_a_key_id_is_never_used_again() -> None:
    assert walk(start(), rotation("k-1", "k-2"), rotation("k-2", "k-1"))[1] == ["trusted", "KEY-2"]


def test_another_domain_is_env_9() -> None:
    other = signed("k-1", domain="0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0ff")
    assert walk(start(), other)[1] == ["ENV-9"]


def test_catching_up_reaches_the_active_key_and_drops_what_is_under_way() -> None:
    one, two = rotation("k-1", "k-2"), rotation("k-2", "k-3")
    chain, broken = keys.catch_up(start(), answer("k-1", "k-3", one, two))
    assert broken == ()
    assert chain.active == "k-3"
    chain, seen = walk(chain, signed("k-1"), one, signed("k-2"), two, signed("k-3"), signed("k-2"))
    assert seen == ["stale", "trusted", "stale", "trusted", "trusted", "KEY-3"]


def test_without_a_key_the_first_one_is_pinned() -> None:
    chain, broken = keys.catch_up(keys.pinned(DOMAIN), answer("k-1", "k-2", rotation("k-1", "k-2")))
    assert (chain.active, broken) == ("k-2", ())


def test_an_answer_whose_active_key_nobody_introduced_is_refused() -> None:
    chain, broken = keys.catch_up(start(), answer("k-1", "k-2"))
    assert [each.clause for each in broken] == ["KEY-6"]
    assert chain == start()


def test_an_answer_older_than_the_stream_changes_nothing() -> None:
    chain, _ = walk(start(), rotation("k-1", "k-2"))
    after, broken = keys.catch_up(chain, answer("k-1", "k-1"))
    assert (after.active, broken) == ("k-2", ())


def test_standings_are_words() -> None:
    assert {each.value for each in Standing} == {"trusted", "stale", "refused"}
