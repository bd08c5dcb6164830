"""Is the driver honest? What it says it published must be on the wire, what it says it ended must be over."""

import uuid

from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

# An event follows its commit within a second (SSE-7); three leave room for a busy machine.
SEEN_SECONDS = 3.0

# GATE-15 and drop_streams end a stream within 5 s.
ENDED_SECONDS = 5.0

_PUBLISHED, _DROPPED, _EFFECT = "honesty.published", "honesty.dropped", "honesty.effect"


def effect(stage: Stage, verb: str, *, seen: bool, missing: str) -> None:
    """Notes whether a verb that was answered had its effect; without it `missing` is what was seen."""
    stage.mark(_EFFECT, verb=verb, seen=seen, missing=missing)


async def examine(stage: Stage) -> None:
    """Publishes past a stream of our own, once without the driver (the twin) and once with it."""
    node = await stage.fresh_node("witness")
    async with stage.stream("witness", identity="witness") as witness:
        await witness.head(SEEN_SECONDS)
        await stage.put_entry(node, "busproof-honesty", "twin")
        twin = await witness.until(lambda frame: frame.event == "node_state_updated", SEEN_SECONDS)
        if twin is None:
            return
        payload = {
            "node_id": node.id,
            "rotation_id": str(uuid.UUID(bytes=stage.rng.randbytes(16), version=4)),
            "requested_at": "2026-11-01T00:00:00Z",
        }
        told = await stage.driver.publish(
            domain_id=node.domain_id, node_ids=[node.id], type="rotate_keys", payload=payload
        )
        seen = await witness.until(lambda frame: frame.envelope.get("id") == told, SEEN_SECONDS)
        stage.mark(_PUBLISHED, event_id=told, seen=seen is not None)
        if stage.driver.offers("drop_streams"):
            facts = await stage.driver.drop_streams(node.id)
            over = await witness.ended(ENDED_SECONDS)
            stage.mark(_DROPPED, told=facts.get("dropped", 0), over=over)


def lies(transcript: Transcript) -> tuple[str, ...]:
    """What the driver said that was not so. A target that shows nothing says nothing about its driver."""
    found = [
        f"the driver said that it published {mark.facts['event_id']!r}, which never came"
        for mark in transcript.marked(_PUBLISHED)
        if not mark.facts["seen"]
    ]
    found += [
        "the driver said that it ended the Node's streams, and the stream went on"
        for mark in transcript.marked(_DROPPED)
        if mark.facts["told"] and not mark.facts["over"]
    ]
    found += [
        f"the driver said that it did {mark.facts['verb']!r}, but {mark.facts['missing']}"
        for mark in transcript.marked(_EFFECT)
        if not mark.facts["seen"]
    ]
    return tuple(found)
