"""The load generator: many streams on one epoll loop, in a process (and on a core) of its own.

It speaks JSON lines: a job comes in on stdin, reports go out on stdout. Frames are counted in the bytes as
they arrive, each stream must end with exactly the number that the server says it sent, and times written
into the payloads (`"t":<nanoseconds>`) give latencies on the clock that both processes share. Where frames
are numbered (`"n":<number>`) each stream must bring its own numbers in order, or the run ends at once.
"""

import json
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from itertools import cycle

from tests.benchmarks.figures import percentiles
from tests.benchmarks.order import Order

READ_SIZE = 262_144
CONNECTS_IN_FLIGHT = 200  # below the usual listen backlog
MARK = b"\ndata: "
STAMP = re.compile(rb'"t":(\d+)')
PLACE = re.compile(rb"id: (\d+)\n")
SERIAL = re.compile(rb'"n":(\d+)')
SURPLUS_SECONDS = 0.2  # what a stream must not bring has so long to come
PATIENCE_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class Stream:
    """One connection: what it asked, what it has got so far."""

    request: bytes
    sock: socket.socket
    order: Order | None = None
    opened: bool = False
    head: bytes = b""
    carry: bytes = b""
    frames: int = 0


def say(report: dict[str, object]) -> None:
    """One report line."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def hear() -> dict[str, object]:
    """One job line."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    job: dict[str, object] = json.loads(line)
    return job


class Load:
    """The streams of one run and the counts over all of them."""

    def __init__(self, addresses: list[tuple[str, int]], latency: bool) -> None:
        self.addresses, self.latency = cycle(addresses), latency
        self.selector = selectors.DefaultSelector()
        self.streams: list[Stream] = []
        self.frames = 0
        self.bytes = 0
        self.first = self.last = 0
        self.delays: list[int] = []
        self.last_of: dict[bytes, int] = {}
        self.closed = 0

    def connect(self, requests: list[bytes], orders: list[Order | None]) -> float:
        """Open every stream and wait for its head; the seconds it took."""
        started = time.monotonic()
        waiting = list(zip(requests, orders, strict=True))[::-1]
        open_heads = 0
        in_flight = 0
        while open_heads < len(requests):
            while waiting and in_flight < CONNECTS_IN_FLIGHT:
                self._dial(*waiting.pop())
                in_flight += 1
            for key, _ in self.selector.select(PATIENCE_SECONDS):
                stream: Stream = key.data
                if not stream.opened and self._head(stream):
                    open_heads += 1
                    in_flight -= 1
                elif stream.opened:
                    self._read(stream)
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise SystemExit(f"only {open_heads} of {len(requests)} streams opened")
        return time.monotonic() - started

    def _dial(self, request: bytes, order: Order | None) -> None:
        sock = socket.create_connection(next(self.addresses))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request)
        sock.setblocking(False)
        stream = Stream(request, sock, order)
        self.streams.append(stream)
        self.selector.register(sock, selectors.EVENT_READ, stream)

    def _head(self, stream: Stream) -> bool:
        stream.head += stream.sock.recv(READ_SIZE)
        head, end, rest = stream.head.partition(b"\r\n\r\n")
        if not end:
            return False
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"refused: {stream.head[:300]!r}")
        stream.opened = True
        stream.head = b""
        self._count(stream, rest)
        return True

    def _read(self, stream: Stream) -> None:
        try:
            chunk = stream.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        if not chunk:
            self.closed += 1
            self.selector.unregister(stream.sock)
            return
        self._count(stream, chunk)

    def _count(self, stream: Stream, chunk: bytes) -> None:
        text = stream.carry + chunk
        if self.latency or stream.order is not None:
            cut = text.rfind(b"\n\n") + 2 if b"\n\n" in text else 0
            whole, stream.carry = text[:cut], text[cut:]
            found = len(self._stamps(whole)) if self.latency else whole.count(MARK)
            if stream.order is not None and not stream.order.holds(
                PLACE.findall(whole), SERIAL.findall(whole)
            ):
                raise SystemExit(f"out of order, {stream.request[:80]!r}: {whole[:2000]!r}")
        else:
            found = text.count(MARK)
            stream.carry = text[-(len(MARK) - 1) :]
        if found:
            self.last = time.monotonic_ns()
            self.first = self.first or self.last
            stream.frames += found
            self.frames += found
        self.bytes += len(chunk)

    def _stamps(self, whole: bytes) -> list[bytes]:
        stamps = STAMP.findall(whole)
        now = time.monotonic_ns()
        for stamp in stamps:
            self.delays.append(now - int(stamp))
            self.last_of[stamp] = now
        return stamps

    def run_until(self, total: int | None, seconds: float) -> None:
        """Read until `total` frames are here, or for `seconds`."""
        end = time.monotonic() + seconds
        while (total is None or self.frames < total) and time.monotonic() < end:
            for key, _ in self.selector.select(0.05):
                self._read(key.data)

    def run_to(self, total: int) -> None:
        """Read until `total` frames are here, for as long as more of them come."""
        seen = -1
        while seen < self.frames < total:
            seen = self.frames
            self.run_until(total, PATIENCE_SECONDS)


def _streams_job(job: dict[str, object]) -> None:
    """Open the streams, say so, then read while a `stop` job tells how many frames were sent."""
    ports: list[int] = list(job["ports"])  # type: ignore[call-overload]  # JSON list
    load = Load([(str(job["host"]), port) for port in ports], bool(job.get("latency")))
    requests = [str(request).encode() for request in list(job["requests"])]  # type: ignore[call-overload]  # JSON list
    numbered: list[tuple[int, int]] = list(job.get("orders", ()))  # type: ignore[call-overload]  # JSON list
    orders: list[Order | None] = [Order(due, step) for due, step in numbered]
    seconds = load.connect(requests, orders or [None] * len(requests))
    say({"connected": len(load.streams), "seconds": seconds})
    end = time.monotonic() + float(str(job.get("patience", PATIENCE_SECONDS * 3)))
    stdin = selectors.DefaultSelector()
    stdin.register(sys.stdin, selectors.EVENT_READ)
    while not stdin.select(0) and time.monotonic() < end:
        load.run_until(None, 0.02)
    total = hear().get("frames")
    if total is not None:
        load.run_to(int(str(total)))
    if numbered:
        load.run_until(None, SURPLUS_SECONDS)
    elapsed = max(load.last - load.first, 1) / 1e9
    per_stream = [stream.frames for stream in load.streams]
    broadcasts = [last - int(stamp) for stamp, last in load.last_of.items()]
    say(
        {
            "frames": load.frames,
            "expected": total,
            "bytes": load.bytes,
            "seconds": elapsed,
            "counts": per_stream,
            "closed": load.closed,
            "delay_us": percentiles(load.delays),
            "last_byte_us": percentiles(broadcasts),
        }
    )
    for stream in load.streams:
        stream.sock.close()


def _gets_job(job: dict[str, object]) -> None:
    """Keep-alive GETs over a few connections for some seconds: requests a second."""
    address = (str(job["host"]), int(str(job["port"])))
    requests = [str(request).encode() for request in list(job["requests"])]  # type: ignore[call-overload]  # JSON list
    selector = selectors.DefaultSelector()
    for request in requests:
        sock = socket.create_connection(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request)
        selector.register(sock, selectors.EVENT_READ, [request, b"", 0])
    done = 0
    started = time.monotonic()
    while time.monotonic() - started < float(str(job["seconds"])):
        for key, _ in selector.select(1):
            state = key.data
            state[1] += key.fileobj.recv(READ_SIZE)  # type: ignore[union-attr]  # registered sockets only
            if _whole(state[1]):
                if b" 200 " not in state[1][:20]:
                    raise SystemExit(f"refused: {state[1][:300]!r}")
                done += 1
                state[1] = b""
                key.fileobj.sendall(state[0])  # type: ignore[union-attr]  # registered sockets only
    say({"requests": done, "seconds": time.monotonic() - started})


def _whole(text: bytes) -> bool:
    head, end, body = text.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return length is not None and len(body) >= int(length[1])


JOBS = {"streams": _streams_job, "gets": _gets_job}


def main() -> None:
    """One job, then the end."""
    job = hear()
    JOBS[str(job["job"])](job)


if __name__ == "__main__":
    main()
