"""Publishing to JetStream: subjects side by side, on each subject one message after the other (LOG-3)."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from reference_server.log import messages, subjects
from reference_server.ports import Outgoing, SignedBody

# A publish that is not acknowledged by then may stand on the log or not; its Node's later ones wait for that.
ACK_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Acknowledged:
    """Where each message stands, by body (its place in the batch) and Node; and whether any has failed."""

    places: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    failed: bool = False


async def publish(stream: JetStreamContext, outgoing: Sequence[Outgoing], *, until: float) -> Acknowledged:
    """Publish each body for each of its Nodes, none after `until` (time of the event loop) (OUT-4).

    A failed publish holds back the later ones of its Node alone.
    """
    done = Acknowledged()
    chains = [_chain(stream, node_id, some, until, done) for node_id, some in _by_node(outgoing).items()]
    await asyncio.gather(*chains)
    return done


def _by_node(outgoing: Sequence[Outgoing]) -> Mapping[str, list[tuple[int, SignedBody]]]:
    chains: dict[str, list[tuple[int, SignedBody]]] = defaultdict(list)
    for number, out in enumerate(outgoing):
        for node_id in out.node_ids:
            chains[node_id].append((number, out.body))
    return chains


async def _chain(
    stream: JetStreamContext,
    node_id: str,
    bodies: Sequence[tuple[int, SignedBody]],
    until: float,
    done: Acknowledged,
) -> None:
    loop = asyncio.get_running_loop()
    for number, body in bodies:
        # Nor is an acknowledgement awaited longer: the database would give the batch up meanwhile.
        left = min(ACK_SECONDS, until - loop.time())
        if left <= 0:
            done.failed = True
            return
        try:
            acknowledged = await stream.publish_async(
                subjects.of_node(body.domain_id, node_id),
                body.wire,
                wait_stall=left,
                stream=subjects.STREAM,
                headers={messages.MESSAGE_ID: subjects.message_id(body.event_id, node_id)},
            )
            answer = await asyncio.wait_for(acknowledged, left)
        except (NatsError, APIError, TimeoutError, OSError):
            done.failed = True
            return
        done.places[number].append((answer.seq, node_id))
