"""What scenarios have in common: counting what they publish, and keeping the pinned key in the record."""

import json
from collections.abc import Callable, Sequence

from conformance.check.reading import STEP
from conformance.probe.frames import Frame
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe

EVENTS, STATE = "events", "state"

# A refusal comes at once; a server that opens a stream instead, or hangs, is left after this long.
REFUSED_SECONDS = 3.0


def note_node(stage: Stage, node: NodeHandle) -> None:
    """Puts the Node and the key pinned at its creation in the transcript, where the checks find them."""
    stage.mark(
        f"node {node.identity}",
        node_id=node.id,
        domain_id=node.domain_id,
        key_id=node.signing_key_id,
        public_key=node.signing_public_key,
        mesh_ip=node.mesh_ip,
        mesh_key=node.public_key,
    )


async def own_node(stage: Stage, name: str, domain: str = "own") -> NodeHandle:
    """A fresh Node, noted. Raises CannotAct."""
    node = await stage.fresh_node(name, domain)
    note_node(stage, node)
    return node


async def knock(
    stage: Stage,
    label: str,
    node_id: str,
    *,
    surface: str = EVENTS,
    identity: str = "none",
    headers: Sequence[tuple[str, str]] = (),
    method: str = "GET",
) -> None:
    """Asks at a door that should refuse; a stream that is opened is left at once."""
    if surface != EVENTS or method != "GET":
        path = f"/v1/nodes/{node_id}/{surface}"
        await stage.request(label, method, path, identity=identity, headers=headers, timeout=REFUSED_SECONDS)
        return
    async with stage.stream(label, identity=identity, node=node_id, headers=headers) as probe:
        await probe.head(REFUSED_SECONDS)


async def say(stage: Stage, node: NodeHandle, number: int) -> None:
    """Publishes the next number for a Node: one `node_state_updated` event. Raises CannotAct."""
    await stage.put_entry(node, STEP, str(number))


def tells(number: int) -> Callable[[Frame], bool]:
    """True for the frame that tells this number."""

    def wanted(frame: Frame) -> bool:
        return _told(frame) == str(number)

    return wanted


async def heard(probe: StreamProbe, number: int, within: float = 10.0) -> str | None:
    """The id of the frame that tells this number, None if it does not come."""
    frame = await probe.until(tells(number), within)
    return None if frame is None else frame.id


def _told(frame: Frame) -> str | None:
    try:
        entries = json.loads(frame.data)["payload"]["state"]["metadata"]
        return next((str(each["value"]) for each in entries if each["key"] == STEP), None)
    except (ValueError, KeyError, TypeError):
        return None
