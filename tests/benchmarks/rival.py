"""The rival: sse-starlette on uvicorn (httptools, uvloop), sending as many distinct frames.

One bounded queue per stream; the producer waits for a full queue, so what is counted was really sent. Every
frame has its own id; a broadcast is signed once, as in the reference server. No auth, metrics or logs: the
comparison is in the rival's favour.
"""

import asyncio
import base64
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from nacl.signing import SigningKey
from sse_starlette.sse import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.benchmarks.workload import DOMAIN, payload, stored_frames

QUEUE_SIZE = 256
KEY = SigningKey(b"\x07" * 32)
SNAPSHOT = {"peers": [{"node_id": DOMAIN, "mesh_ip": "10.0.0.1", "public_key": "A" * 44} for _ in range(3)]}


class Bus:
    """Queues by Node, and one counter for all of them."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[tuple[int, str]]] = {}
        self.sequence = 0
        self.sent = 0

    def sign(self, body: str) -> str:
        envelope = {
            "id": "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a0",
            "type": "node_state_updated",
            "scope": f"domain:{DOMAIN}",
            "key_id": "did:web:busproof.test#key-1",
            "issued_at": "2026-05-27T10:00:00Z",
            "payload": json.loads(body),
        }
        canonical = json.dumps(envelope, separators=(",", ":"))
        signature = base64.b64encode(KEY.sign(canonical.encode()).signature).decode()
        return f'{canonical[:-1]},"signature":"{signature}"}}'

    async def broadcast(self) -> None:
        data = self.sign(payload(time.monotonic_ns()))
        for queue in self.queues.values():
            self.sequence += 1
            self.sent += 1
            if queue.full():
                await queue.put((self.sequence, data))
            else:
                queue.put_nowait((self.sequence, data))

    async def single(self, node: str) -> None:
        self.sequence += 1
        self.sent += 1
        await self.queues[node].put((self.sequence, self.sign(payload(time.monotonic_ns()))))


BUS = Bus()


async def events(request: Request) -> EventSourceResponse:
    """The stream of one Node, with a stored replay where a cursor is sent."""
    node = request.path_params["node"]
    queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue(QUEUE_SIZE)
    BUS.queues[node] = queue
    replay = "last-event-id" in request.headers

    async def frames() -> AsyncIterator[ServerSentEvent]:
        if replay:
            for sequence, data in stored_frames():
                yield ServerSentEvent(id=str(sequence), event="node_state_updated", data=data)
        while True:
            sequence, data = await queue.get()
            yield ServerSentEvent(id=str(sequence), event="node_state_updated", data=data)

    return EventSourceResponse(frames(), ping=25)


async def state(_: Request) -> JSONResponse:
    """A small JSON answer, the like of a snapshot."""
    return JSONResponse(SNAPSHOT)


async def produce(job: dict[str, Any]) -> dict[str, object]:
    """Run one production job; what was sent."""
    BUS.sent = 0
    end = time.monotonic() + float(job["seconds"])
    nodes = list(BUS.queues)
    at = 0
    while time.monotonic() < end:
        if job["kind"] == "single":
            await BUS.single(nodes[at % len(nodes)])
            at += 1
            if at % 64 == 0:
                await asyncio.sleep(0)
        else:
            await BUS.broadcast()
            await asyncio.sleep(float(job.get("pause", 0)))
    return {"frames": BUS.sent}


app = Starlette(routes=[Route("/v1/nodes/{node}/events", events), Route("/v1/nodes/{node}/state", state)])


class Server(uvicorn.Server):
    """uvicorn that tells its port and takes jobs from stdin."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._jobs, args=(loop,), daemon=True).start()
        print(json.dumps({"ready": port}), flush=True)

    def _jobs(self, loop: asyncio.AbstractEventLoop) -> None:
        for line in sys.stdin:
            report = asyncio.run_coroutine_threadsafe(produce(json.loads(line)), loop).result()
            print(json.dumps(report), flush=True)
        self.should_exit = True


if __name__ == "__main__":
    Server(
        uvicorn.Config(app, port=0, log_level="error", loop="uvloop", http="httptools", backlog=4096)
    ).run()
