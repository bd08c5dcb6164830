"""Streams of the real process: through outbox, relay and log, over loopback."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import process
from tests.process import PATIENCE, Running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("streams")
    with process.running(directory, data=":memory:") as running:
        yield running


class Raw:
    """A stream read byte by byte, chunks taken apart."""

    def __init__(self, server: Running, name: str, cursor: int | None = None) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        head = f"GET /v1/nodes/{server.node(name)['id']}/events HTTP/1.1\r\nHost: {host}\r\n"
        head += f"Authorization: {server.agent(name)['Authorization']}\r\n"
        if cursor is not None:
            head += f"Last-Event-ID: {cursor}\r\n"
        self.socket.sendall(head.encode() + b"\r\n")
        self._held = b""
        self.head = self._until(b"\r\n\r\n")
        self.frames = b""

    def _until(self, end: bytes) -> bytes:
        while end not in self._held:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self._held += piece
        found, _, self._held = self._held.partition(end)
        return found

    def chunk(self) -> bytes:
        """The next chunk; empty at the end of the stream."""
        size = int(self._until(b"\r\n"), 16)
        while len(self._held) < size + 2:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self._held += piece
        data, self._held = self._held[:size], self._held[size + 2 :]
        return data

    def read_to(self, needle: bytes) -> None:
        """Read until the frames hold some bytes."""
        while needle not in self.frames:
            self.frames += self.chunk()

    def ids(self) -> list[int]:
        """The ids of the frames so far; a torn one raises."""
        frames = [frame for frame in self.frames.split(b"\n\n") if frame and not frame.startswith(b":")]
        for frame in frames:
            names = [line.partition(b": ")[0] for line in frame.split(b"\n")]
            assert names == [b"id", b"event", b"data"], frame
            json.loads(frame.rpartition(b"data: ")[2])
        return [int(frame.partition(b"\n")[0].removeprefix(b"id: ")) for frame in frames]


@contextmanager
def raw(server: Running, name: str, cursor: int | None = None) -> Iterator[Raw]:
    stream = Raw(server, name, cursor)
    try:
        yield stream
    finally:
        stream.socket.close()


def publish(server: Running, name: str, mark: str, count: int, *, fill: int = 0) -> None:
    """Events for one Node, the last of which carries `mark`."""
    node = server.node(name)
    with server.faults() as faults:
        for number in range(count):
            entry = {"key": mark if number == count - 1 else "k", "value": "x" * fill}
            state = {"metadata": [entry], "data": [], "reports": []}
            reachability = {"state": "healthy", "last_heartbeat_at": None, "changed_at": "2026-01-01T00:00:00Z"}
            payload = {"node_id": node["id"], "reachability": reachability, "state": state}
            faults.do(
                "publish",
                domain_id=node["domain_id"],
                node_ids=[node["id"]],
                type="node_state_updated",
                payload=payload,
            )


def test_hand_over_while_events_are_published_has_neither_gap_nor_repeat(server: Running) -> None:
    """CUR-2: streams open from every place while a producer writes; each gets the same events."""
    writer = threading.Thread(target=publish, args=(server, "alpha", "the-last", 400))
    with raw(server, "alpha") as whole:
        writer.start()
        late = []
        while writer.is_alive():
            with server.faults() as faults:
                high = faults.do("evict", through=0)["high"]
            cursor = max(0, high - len(late) % 40)
            stream = Raw(server, "alpha", cursor)
            stream.chunk() if high > cursor else None
            late.append((cursor, stream))
            if len(late) % 3 == 0:
                late[-2][1].socket.close()
        writer.join()
        live = late[-2:]
        for _, stream in live:
            stream.read_to(b"the-last")
            assert stream.ids() == sorted(set(stream.ids()))
        full = Raw(server, "alpha", 0)
        full.read_to(b"the-last")
        everything = full.ids()
        for cursor, stream in live:
            got = stream.ids()
            assert got == [at for at in everything if at > cursor][-len(got) :]
        for _, stream in [*late, (0, full)]:
            stream.socket.close()
        assert b"200 OK" in whole.head
