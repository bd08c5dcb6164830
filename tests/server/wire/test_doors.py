"""The limits of the doors, over real sockets; short ones, so that nothing has to sleep."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from reference_server.wire.limits import Limits
from tests.server.wire.house import House, opened, read_answer

KNOWN = b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
STREAM = b"GET /v1/nodes/x/events HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\n"
SOON = 0.2


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def stream_on(house: House) -> trio.SocketStream:
    """A stream that has said hello."""
    stream = await house.connect()
    await stream.send_all(STREAM)
    got = b""
    while not got.endswith(b":hello\n\n\r\n"):
        got += await stream.receive_some(1000)
    return stream


async def test_a_head_must_come_whole_and_in_time() -> None:
    """Drops of bytes do not extend the time; who says nothing is closed without a word."""
    async with opened(Limits(head_seconds=SOON)) as house:
        assert status_of(await house.call(b"GET /v1/things/a HTTP/1.1\r\n")) == 408
        assert await house.call(b"") == b""
        async with await house.connect() as stream:
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_drip, stream)
                    assert status_of(await stream.receive_some(1000)) == 408
                    nursery.cancel_scope.cancel()


async def _drip(stream: trio.SocketStream) -> None:
    while True:
        try:
            await stream.send_all(b"X")
        except trio.BrokenResourceError:
            return
        await trio.sleep(SOON / 10)


async def test_a_body_must_come_in_time() -> None:
    async with opened(Limits(body_seconds=SOON)) as house:
        assert status_of(await house.call(POST + b"Content-Length: 9\r\n\r\nabc")) == 408


async def test_an_idle_connection_is_closed() -> None:
    async with opened(Limits(idle_seconds=SOON)) as house, await house.connect() as stream:
        await stream.send_all(KNOWN.replace(b"Connection: close\r\n", b""))
        answer, rest = await read_answer(stream)
        assert (status_of(answer), rest) == (200, b"")
        with trio.fail_after(5):
            assert await stream.receive_some(1) == b""


@pytest.mark.parametrize("line", [b"X-A: %b\r\n", b"%b"], ids=["one header", "no line end"])
async def test_a_head_of_ten_megabytes_is_431(line: bytes) -> None:
    async with opened() as house:
        head = b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\n" + line % (b"a" * 10_000_000)
        answer = await house.call(head)
        assert status_of(answer) == 431
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 431


async def test_a_body_over_its_cap_is_413_that_a_sending_client_reads() -> None:
    """ERR-6: with and without a length; ten megabytes are under way when the answer comes."""
    big = b"x" * 10_000_000
    async with opened() as house:
        for sent in (
            POST + b"Content-Length: %d\r\n\r\n" % len(big) + big,
            POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(big) + big,
        ):
            answer = await house.call(sent)
            assert status_of(answer) == 413
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert problem["code"] == "endpoint_body_too_large"


async def test_a_body_at_its_cap_passes() -> None:
    async with opened() as house:
        for size, status in ((4096, 200), (4097, 413)):
            body = b"x" * size
            head = POST + b"Connection: close\r\n"
            assert status_of(await house.call(head + b"Content-Length: %d\r\n\r\n" % size + body)) == status
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + body + b"\r\n0\r\n\r\n"
            assert status_of(await house.call(chunked)) == status


async def test_bodies_share_a_budget_that_comes_back() -> None:
    async with opened(Limits(bodies_bytes=5000)) as house:
        async with await house.connect() as hoarder:
            await hoarder.send_all(POST + b"Content-Length: 4000\r\n\r\n")
            while house.site.bodies.left == 5000:
                await trio.lowlevel.checkpoint()
            assert status_of(await house.call(POST + b"Content-Length: 2000\r\n\r\n")) == 503
        while house.site.bodies.left < 5000:
            await trio.lowlevel.checkpoint()
        sent = POST + b"Connection: close\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000
        assert status_of(await house.call(sent)) == 200


async def test_connections_beyond_the_limit_are_closed_and_the_others_go_on() -> None:
    async with opened(Limits(connections=3)) as house:
        streams = [await stream_on(house) for _ in range(3)]
        assert await house.call(b"") == b""
        await streams.pop().aclose()
        await house.wait_connections(2)
        assert status_of(await house.call(KNOWN)) == 200
        for stream in streams:
            await stream.aclose()


async def test_two_thousand_silent_connections_harm_nobody() -> None:
    async with opened(Limits(head_seconds=1.0)) as house, trio.open_nursery() as nursery:
        stream = await stream_on(house)
        for _ in range(2000):
            await nursery.start(_be_silent, house)
        assert status_of(await house.call(KNOWN)) == 200
        await house.wait_connections(1)
        with trio.move_on_after(0.01) as patience:
            await stream.receive_some(1)
        assert patience.cancelled_caught  # still open
        await stream.aclose()


async def _be_silent(house: House, task_status: trio.TaskStatus[None]) -> None:
    async with await house.connect() as stream:
        task_status.started()
        assert await stream.receive_some(1) == b""


async def test_a_client_that_does_not_read_its_answer_is_cut() -> None:
    async with opened(Limits(write_seconds=SOON)) as house, await house.connect() as stream:
        await stream.send_all(b"GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        await house.wait_connections(1)
        with trio.fail_after(10):
            await house.wait_connections(0)


async def test_stop_closes_idle_connections_and_answers_what_is_under_way() -> None:
    async with (
        opened() as house,
        await house.connect() as silent,
        await house.connect() as idle,
        await house.connect() as busy,
    ):
        await idle.send_all(KNOWN.replace(b"Connection: close\r\n", b""))
        await read_answer(idle)
        await busy.send_all(POST + b"Content-Length: 3\r\n\r\na")
        while house.site.bodies.left == house.site.limits.bodies_bytes:
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.server.stop, 10)
            assert await silent.receive_some(1) == b""
            assert await idle.receive_some(1) == b""
            await busy.send_all(b"bc")
            answer, _ = await read_answer(busy)
            assert answer.endswith(b"\r\n\r\nabc")
            assert b"Connection: close" in answer


async def test_stop_waits_no_longer_than_its_grace() -> None:
    async with opened() as house:
        stream = await stream_on(house)
        with trio.fail_after(5):
            await house.server.stop(SOON)
        await stream.aclose()


_EXHAUSTED = """
import resource, sys, trio
sys.path.insert(0, {root!r})
from tests.server.wire import house
from tests.server.wire.test_doors import KNOWN, stream_on, status_of

async def main():
    async with house.opened() as h:
        stream = await stream_on(h)
        crowd = []
        used = len(__import__("os").listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, used + 40))
        try:
            while True:
                crowd.append(await h.connect())
        except OSError:
            pass
        for one in crowd[: len(crowd) // 2]:
            await one.aclose()
        with trio.fail_after(20):
            while True:
                try:
                    if status_of(await h.call(KNOWN)) == 200:
                        break
                except (OSError, IndexError):
                    await trio.sleep(0.02)
        with trio.move_on_after(0.05) as patience:
            await stream.receive_some(1)
        assert patience.cancelled_caught, "the stream was lost"
        refused = h.site.metrics.registry.get_sample_value(
            "busproof_connections_refused_total", {{"reason": "exhausted"}}
        )
        assert refused, "descriptors never ran out"

trio.run(main)
print("went on")
"""


def test_running_out_of_descriptors_loses_no_stream() -> None:
    """In a child, whose own limit is low: server and clients share it."""
    script = _EXHAUSTED.format(root=str(Path(__file__).parents[3]))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.endswith("went on\n"), done.stderr


async def test_a_peer_that_asks_without_a_pause_starves_nobody() -> None:
    """Its pipelined requests are all there; another connection is answered in between."""
    async with opened() as house, await house.connect() as greedy:
        await greedy.send_all(KNOWN.replace(b"Connection: close\r\n", b"") * 5000)
        answer = await house.call(KNOWN)
        assert status_of(answer) == 200
        assert len(house.told) < 5000
