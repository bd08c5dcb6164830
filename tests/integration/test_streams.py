"""Streams of the real process: through outbox, relay and log, over loopback."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
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
            reachability = {"state": "healthy", "changed_at": "2026-01-01T00:00:00Z"}
            payload = {"node_id": node["id"], "reachability": reachability, "state": state}
            faults.do(
                "publish",
                domain_id=node["domain_id"],
                node_ids=[node["id"]],
                type="node_state_updated",
                payload=payload,
            )


def test_hand_over_while_events_are_published_has_neither_gap_nor_repeat(server: Running) -> None:
    """CUR-2: streams open at many places while a producer writes; each is a piece of the same whole."""
    writer = threading.Thread(target=publish, args=(server, "alpha", "the-last", 400))
    seen: list[tuple[int, list[int]]] = []
    place = 0
    writer.start()
    while writer.is_alive() or not seen:
        cursor = max(0, place - len(seen) * 7 % 50)
        with raw(server, "alpha", cursor) as stream:
            while len(stream.ids()) < 60 and b"the-last" not in stream.frames:
                stream.frames += stream.chunk()
            seen.append((cursor, stream.ids()))
        place = seen[-1][1][-1] - 20
    writer.join()
    with raw(server, "alpha", 0) as stream:
        stream.read_to(b"the-last")
        everything = stream.ids()
    assert len(seen) > 3
    for cursor, ids in seen:
        assert ids == [at for at in everything if at > cursor][: len(ids)]


def test_a_slow_reader_is_cut_and_finds_everything_when_it_comes_back(server: Running) -> None:
    """SSE-9."""
    with raw(server, "beta") as slow, raw(server, "beta") as quick:
        writer = threading.Thread(target=partial(publish, server, "beta", "enough", 120, fill=100_000))
        writer.start()
        quick.read_to(b"enough")
        writer.join()
        with pytest.raises((EOFError, ConnectionResetError)):
            while True:
                slow.frames += slow.chunk()
        whole = slow.frames[: slow.frames.rfind(b"\n\n") + 2]
        slow.frames = whole
        got = slow.ids()
        assert len(got) < 120
        with raw(server, "beta", got[-1] if got else quick.ids()[0] - 1) as again:
            again.read_to(b"enough")
            assert got + again.ids() == quick.ids()


def test_stop_ends_streams_behind_a_whole_frame(tmp_path: Path) -> None:
    """SSE-8: live, and in the middle of a replay that the peer is slow to read."""
    with process.running(tmp_path, data=":memory:") as server:
        publish(server, "alpha", "stored", 100, fill=100_000)
        with raw(server, "alpha") as live, raw(server, "alpha", 0) as replaying:
            publish(server, "alpha", "fresh", 1)
            live.read_to(b"fresh")
            replaying.frames += replaying.chunk()
            ended = threading.Thread(target=server.stop)
            ended.start()
            for stream in (live, replaying):
                while piece := stream.chunk():
                    stream.frames += piece
                assert stream.frames.endswith(b"\n\n")
                assert stream.ids()
            ended.join()
            assert server.child.returncode == 0


def test_a_revoked_node_loses_its_streams_within_five_seconds(tmp_path: Path) -> None:
    """GATE-15."""
    with process.running(tmp_path, data=":memory:") as server, raw(server, "alpha") as stream:
        began = time.monotonic()
        path = f"/v1/nodes/{server.node('alpha')['id']}"
        assert server.http.delete(path, headers=server.root).status_code in (200, 204)
        while piece := stream.chunk():
            stream.frames += piece
        assert time.monotonic() - began < 5
        stream.ids()


def test_streams_end_with_the_log_and_the_pull_stays(tmp_path: Path) -> None:
    """GATE-11."""
    with process.running(tmp_path, data=":memory:") as server, server.faults() as faults:
        with raw(server, "alpha") as stream:
            faults.do("stop", what="log")
            while stream.chunk():
                pass
        with server.stream("alpha") as refused:
            assert refused.status == 503
            assert refused.response.headers["retry-after"]
        assert server.state("alpha").status_code == 200
        faults.do("start", what="log")
        until = time.monotonic() + PATIENCE
        while raw_status(server) != 200:
            assert time.monotonic() < until


def raw_status(server: Running) -> int:
    """What opening a stream is answered now."""
    with raw(server, "alpha") as stream:
        return int(stream.head.split(b" ")[1])


def test_eviction_makes_old_cursors_gone_and_leaves_live_streams_alone(tmp_path: Path) -> None:
    """CUR-4, CUR-9, GATE-10."""
    memory = process.running(tmp_path, data=":memory:")
    with memory as server, server.faults() as faults, raw(server, "alpha") as stream:
        publish(server, "alpha", "first", 5)
        stream.read_to(b"first")
        last = stream.ids()[-1]
        faults.do("evict")
        with server.stream("alpha", last - 1) as gone:
            assert gone.status == 410
        with server.stream("alpha", last) as kept:
            assert kept.status == 200
        publish(server, "alpha", "second", 1)
        stream.read_to(b"second")
        assert stream.ids()[-1] > last
