"""The signature chain: from the key pinned at registration every later key is introduced by a trusted one.

Pure and immutable: a chain goes in, a chain comes out. Sections 8 (KEY-2, KEY-3, KEY-6) of the protocol.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from conformance.agent import envelope, lexemes
from conformance.agent.envelope import Envelope, Violation

ROTATION = "signing_key_rotated"

PUBLIC_KEY_BYTES = 32


class Standing(StrEnum):
    """What an agent does with an envelope."""

    TRUSTED = "trusted"  # apply it
    STALE = "stale"  # signed by a key that KEY-6 has overtaken: the pull holds it
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The keys an agent trusts at one place of its stream.

    `retired`: their rotation was seen on the stream, so nothing of theirs may follow (KEY-3). `overtaken`:
    known as retired through KEY-6, what they signed may still be under way.
    """

    scope: str
    active: str = ""
    keys: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    retired: frozenset[str] = frozenset()
    overtaken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one envelope did to the chain."""

    chain: Chain
    standing: Standing
    envelope: Envelope | None = None
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """A rotation's payload, checked for shape."""

    key_id: str
    public_key: bytes
    previous_key_id: str


def pinned(domain_id: str, key_id: str = "", public_key: str = "") -> Chain:
    """The chain of a fresh registration; without a key it pins the first one that KEY-6 names."""
    keys = {key_id: base64.b64decode(public_key, validate=True)} if key_id else {}
    return Chain(scope=f"domain:{domain_id}", active=key_id, keys=MappingProxyType(keys))


def follow(chain: Chain, data: bytes) -> Step:
    """Judges the next envelope of a stream and, if it is a rotation, goes one link further; never raises."""
    reading = envelope.judge(data, chain.keys)
    found = reading.envelope
    if found is None or reading.violations:
        return _refused(chain, found, *reading.violations)
    if found.scope != chain.scope:
        return _refused(chain, found, Violation(clause="ENV-9", at=0, seen=f"scope {found.scope}"))
    if found.key_id in chain.retired:
        wrong = Violation(clause="KEY-3", at=0, seen=f"{found.key_id!r} signs after its rotation")
        return _refused(chain, found, wrong)
    if found.type == ROTATION:
        return _rotate(chain, found)
    stale = found.key_id in chain.overtaken
    return Step(chain=chain, standing=Standing.STALE if stale else Standing.TRUSTED, envelope=found)


def catch_up(chain: Chain, body: bytes) -> tuple[Chain, tuple[Violation, ...]]:
    """The chain after the answer of `GET …/signing-keys` (KEY-6), and what that answer breaks."""
    try:
        answer = json.loads(body)
        rotations = lexemes.items(lexemes.member(body, "rotations") or b"")
        start = chain if chain.keys else _pin(chain, answer["pinned_key_id"], answer["pinned_public_key"])
        active, active_key = answer["active_key_id"], _raw_key(answer["active_public_key"])
    except (ValueError, KeyError, TypeError) as wrong:
        return chain, (Violation(clause="KEY-6", at=0, seen=f"an unreadable answer: {wrong}"),)
    walked, broken = _walk(start, rotations)
    if broken:
        return chain, broken
    if walked.keys.get(active) != active_key:
        return chain, (Violation(clause="KEY-6", at=0, seen=f"{active!r} is reached by no rotation"),)
    if active in chain.retired:
        return replace(chain, keys=walked.keys), ()  # the stream is ahead of the answer
    behind = frozenset(walked.keys) - chain.retired - {active}
    return replace(chain, keys=walked.keys, active=active, overtaken=behind), ()


def introduction(found: Envelope) -> Introduction | None:
    """What a rotation introduces, or None if its payload has not the shape of section 7."""
    try:
        payload = json.loads(found.payload)
        return Introduction(
            key_id=str(payload["key_id"]),
            public_key=_raw_key(payload["public_key"]),
            previous_key_id=str(payload["previous_key_id"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _rotate(chain: Chain, found: Envelope) -> Step:
    new = introduction(found)
    if new is None or new.previous_key_id != found.key_id:
        wrong = Violation(clause="KEY-2", at=0, seen="a rotation that is not signed by the key it retires")
        return _refused(chain, found, wrong)
    known = chain.keys.get(new.key_id)
    if known is not None and (known != new.public_key or found.key_id not in chain.overtaken):
        wrong = Violation(clause="KEY-2", at=0, seen=f"a rotation that uses {new.key_id!r} again")
        return _refused(chain, found, wrong)
    after = replace(
        chain,
        keys=MappingProxyType({**chain.keys, new.key_id: new.public_key}),
        active=chain.active if known is not None else new.key_id,
        retired=chain.retired | {found.key_id},
        overtaken=chain.overtaken - {found.key_id},
    )
    return Step(chain=after, standing=Standing.TRUSTED, envelope=found)


def _walk(start: Chain, rotations: tuple[bytes, ...]) -> tuple[Chain, tuple[Violation, ...]]:
    """Follows the rotations of an answer; links that are already behind the start are verified and passed."""
    chain = replace(start, retired=frozenset(), overtaken=frozenset())
    for data in rotations:
        reading = envelope.judge(data, chain.keys)
        found = reading.envelope
        if found is None or reading.violations:
            return chain, reading.violations
        new = introduction(found)
        if new is not None and chain.keys.get(new.key_id) == new.public_key:
            continue
        step = follow(chain, data)
        if step.violations or found.type != ROTATION:
            return chain, step.violations or (Violation(clause="KEY-6", at=0, seen=f"a {found.type}"),)
        chain = step.chain
    return chain, ()


def _pin(chain: Chain, key_id: str, public_key: str) -> Chain:
    return replace(chain, active=key_id, keys=MappingProxyType({key_id: _raw_key(public_key)}))


def _raw_key(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as wrong:
        raise ValueError("a public key that is no base64") from wrong
    if len(raw) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a public key of {len(raw)} bytes")
    return raw


def _refused(chain: Chain, found: Envelope | None, *violations: Violation) -> Step:
    return Step(chain=chain, standing=Standing.REFUSED, envelope=found, violations=violations)


def trusting(chain: Chain, new: Introduction) -> Chain:
    """The chain as if this rotation had been lawful: for judges that go on after a violation."""
    return replace(
        chain,
        keys=MappingProxyType({**chain.keys, new.key_id: new.public_key}),
        active=new.key_id,
        retired=(chain.retired | {new.previous_key_id}) - {new.key_id},
    )
