"""Whatever a producer may write survives sign, frame, parse and verify (ENV-2…7)."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reference_server.envelope import canonical, model, signing

_PUBLIC, _KEY = signing.key_pair(b"s" * 32)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)
_SPELLINGS = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.none() | st.integers(0, 2), "sort_keys": st.booleans()}
)


@given(value=_VALUES, spelling=_SPELLINGS, event_id=_TEXTS, key_id=_TEXTS, at=st.integers(0, 4 * 10**15))
def test_any_payload_survives(
    value: Any, spelling: dict[str, Any], event_id: str, key_id: str, at: int
) -> None:
    payload = canonical.compact(json.dumps(value, **spelling).encode())
    body = model.build(
        event_id=event_id,
        event_type="node_state_updated",
        domain_id="0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1",
        key_id=key_id,
        issued_at=at,
        payload=payload,
        signing_key=_KEY,
    )
    frame = b"id: 1\nevent: node_state_updated\ndata: " + body.wire + b"\n\n"
    received = frame.split(b"\n")[2].removeprefix(b"data: ")
    envelope = model.parse(received)
    assert envelope.verified_by(_PUBLIC)
    assert (envelope.id, envelope.key_id, envelope.payload) == (event_id, key_id, payload)
    assert json.loads(envelope.payload) == json.loads(json.dumps(value))
    assert canonical.wire(envelope.canonical, signing.encode(envelope.signature)) == received


@given(value=_VALUES, spelling=_SPELLINGS)
def test_compacting_twice_is_compacting_once(value: Any, spelling: dict[str, Any]) -> None:
    once = canonical.compact(json.dumps(value, **spelling).encode())
    assert canonical.compact(once) == once
    assert canonical.is_compact(once)


@given(value=_VALUES, flipped=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_changed_bit_passes(value: Any, flipped: int, bit: int) -> None:
    body = model.build(
        event_id="e",
        event_type="t",
        domain_id="d",
        key_id="k",
        issued_at=0,
        payload=canonical.compact(json.dumps(value).encode()),
        signing_key=_KEY,
    )
    changed = bytearray(body.wire)
    changed[flipped % len(changed)] ^= 1 << bit
    try:
        envelope = model.parse(bytes(changed))
    except model.NotAnEnvelope:
        return
    assert not envelope.verified_by(_PUBLIC)
