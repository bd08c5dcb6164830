"""What scenarios have in common: counting what they publish, and keeping the pinned key in the record."""

import json
from collections.abc import Callable

from conformance.check.reading import STEP
from conformance.probe.frames import Frame
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe


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
