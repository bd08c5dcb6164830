"""The hub over fakes: hand-over, slow readers, ends, places of keys. Time jumps."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from reference_server.stream.limits import Limits
from reference_server.wire import frames
from tests.server.stream.fakes import DOMAIN, NODE, OTHER_DOMAIN, OTHER_NODE, Bench, body, frame


async def test_a_live_stream_carries_its_own_entries_in_order_and_nobody_elses() -> None:
    """CUR-5, CUR-6."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        first, second = body(1), body(2)
        bench.log.put(first, OTHER_NODE, NODE)
        bench.log.put(second, OTHER_NODE)
        bench.log.put(second, NODE)
        await pipe.wait_for(b"\n\n", 2)
        assert bytes(pipe.got) == frame(2, first) + frame(4, second)
        nursery.cancel_scope.cancel()


async def test_without_a_cursor_nothing_older_is_sent() -> None:
    """CUR-1: also where the reader has yet to pass the head at admission."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        bench.log.put(body(1), NODE)
        pipe = bench.open(nursery)
        bench.log.put(body(2), NODE)
        await pipe.wait_for(b"\n\n")
        await wait_all_tasks_blocked()
        assert bytes(pipe.got) == frame(2, body(2))
        nursery.cancel_scope.cancel()


async def test_replay_sends_what_lies_behind_the_cursor_and_not_the_cursor_itself() -> None:
    """CUR-2, CUR-3; in pieces of 100."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        for number in range(1, 351):
            bench.log.put(body(number), NODE if number % 2 else OTHER_NODE)
        await wait_all_tasks_blocked()
        pipe = bench.open(nursery, after=7)
        await wait_all_tasks_blocked()
        assert bytes(pipe.got) == b"".join(frame(n, body(n)) for n in range(9, 351, 2))
        nursery.cancel_scope.cancel()


async def test_hand_over_at_many_offsets_has_neither_gap_nor_repeat() -> None:
    """CUR-2: streams open at every cursor while events are being published."""
    bench = Bench(tail_entries=3, node_entries=5)
    last = 120
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipes = []
        for number in range(1, last + 1):
            bench.log.put(body(number), NODE, OTHER_NODE)
            pipes.append((number, bench.open(nursery, after=number)))
            for _ in range(number % 7):
                await trio.lowlevel.checkpoint()
            if number % 10 == 0:
                await wait_all_tasks_blocked()  # or newer streams would push out every replay
        await wait_all_tasks_blocked()
        for after, pipe in pipes:
            expected = b"".join(frame(2 * n - 1, body(n)) for n in range(1, last + 1) if 2 * n - 1 > after)
            sent = bytes(pipe.got)
            assert expected.startswith(sent), f"cursor {after}"
            assert sent == expected or pipe.state != "open", f"cursor {after}"
        assert sum(pipe.state == "open" for _, pipe in pipes) == 4
        nursery.cancel_scope.cancel()


async def test_a_stream_beyond_the_limit_ends_the_oldest() -> None:
    """SSE-12."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipes = []
        for _ in range(5):
            pipes.append(bench.open(nursery))
            await wait_all_tasks_blocked()
        assert [pipe.state for pipe in pipes] == ["finished"] + ["open"] * 4
        nursery.cancel_scope.cancel()


async def test_a_slow_reader_is_cut_and_the_others_are_served(autojump_clock: MockClock) -> None:
    """SSE-9."""
    bench = Bench(Limits(pending_bytes=4000))
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        slow, quick = bench.open(nursery, window=50), bench.open(nursery, OTHER_NODE)
        await wait_all_tasks_blocked()
        for number in range(1, 50):
            bench.log.put(body(number, size=100), NODE, OTHER_NODE)
            await wait_all_tasks_blocked()
        assert slow.state == "aborted"
        assert quick.got.count(b"\n\n") == 49
        nursery.cancel_scope.cancel()


async def test_a_reader_that_catches_up_gets_every_byte() -> None:
    """SSE-9: whoever stays within the bound misses nothing."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery, window=10, chunked=True)
        await wait_all_tasks_blocked()
        for number in range(1, 40):
            bench.log.put(body(number), NODE)
        await wait_all_tasks_blocked()
        assert len(pipe.got) == 10
        pipe.open_window(None)
        await wait_all_tasks_blocked()
        assert _unchunked(bytes(pipe.got)) == b"".join(frame(n, body(n)) for n in range(1, 40))
        nursery.cancel_scope.cancel()


def _unchunked(data: bytes) -> bytes:
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole, data = whole + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return whole


async def test_a_peer_that_takes_nothing_is_given_up(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery, window=5)
        await wait_all_tasks_blocked()
        bench.log.put(body(1), NODE)
        began = trio.current_time()
        await pipe.wait_over()
        assert pipe.state == "aborted"
        assert 59 < trio.current_time() - began <= 61
        nursery.cancel_scope.cancel()


async def test_silence_is_broken_by_the_exact_keep_alive(autojump_clock: MockClock) -> None:
    """SSE-4."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        last = trio.current_time()
        for _ in range(3):
            pipe.got.clear()
            await pipe.wait_for(b"\n\n")
            assert bytes(pipe.got) == b":keep-alive\n\n"
            assert 24.9 < trio.current_time() - last <= 25.6
            last = trio.current_time()
        await trio.sleep(20)
        bench.log.put(body(1), NODE)
        await wait_all_tasks_blocked()
        pipe.got.clear()
        await trio.sleep(24)
        assert not pipe.got  # the event was the last thing said
        nursery.cancel_scope.cancel()


async def test_stop_ends_every_stream_at_a_frame_boundary(autojump_clock: MockClock) -> None:
    """SSE-8: also one in the middle of a write, and one in the middle of its replay."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        for number in range(1, 500):
            bench.log.put(body(number), NODE)
        await wait_all_tasks_blocked()
        live, stuck = (bench.open(nursery, chunked=True) for _ in range(2))
        stuck.open_window(700)
        replaying = bench.open(nursery, after=0, window=3000, chunked=True)
        await wait_all_tasks_blocked()
        for number in range(500, 520):
            bench.log.put(body(number), NODE)
        await wait_all_tasks_blocked()
        nursery.start_soon(bench.hub.stop, 10)
        await wait_all_tasks_blocked()
        for pipe in (stuck, replaying):
            pipe.open_window(None)
        for pipe in (live, stuck, replaying):
            await pipe.wait_over()
            assert pipe.got.endswith(b"\n\n\r\n" + frames.LAST_CHUNK)
            assert pipe.got.count(frames.LAST_CHUNK) == 1
            whole = _unchunked(bytes(pipe.got[: -len(frames.LAST_CHUNK)]))
            assert whole.endswith(b"\n\n")
        assert b"id: 519\n" in live.got
        assert b"id: 519\n" in stuck.got
        assert b"id: 519\n" not in replaying.got
        nursery.cancel_scope.cancel()


async def test_stop_cuts_who_does_not_read(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery, window=5)
        await wait_all_tasks_blocked()
        bench.log.put(body(1), NODE)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await bench.hub.stop(1.0)
        assert trio.current_time() - began <= 1.1
        assert pipe.state == "aborted"
        nursery.cancel_scope.cancel()


async def test_an_open_stream_ends_soon_after_its_credential_is_revoked(autojump_clock: MockClock) -> None:
    """GATE-15: within 5 s, and a peer that does not read is cut."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        reading, stuck = bench.open(nursery), bench.open(nursery, window=3)
        other = bench.open(nursery, OTHER_NODE)
        await trio.sleep(10)
        bench.log.put(body(1), NODE)
        await wait_all_tasks_blocked()
        bench.standing.revoke(NODE)
        began = trio.current_time()
        await reading.wait_over()
        await stuck.wait_over()
        assert trio.current_time() - began < 5
        assert reading.state in ("finished", "closed")
        assert (stuck.state, other.state) == ("aborted", "open")
        nursery.cancel_scope.cancel()


async def test_nobody_is_looked_at_twice_while_nothing_changes(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        bench.open(nursery)
        await trio.sleep(60)
        assert bench.standing.looks == 1
        nursery.cancel_scope.cancel()


async def test_streams_end_when_the_log_goes_and_open_again_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    """GATE-11."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        bench.log.put(body(1), NODE)
        await pipe.wait_for(b"\n\n")
        bench.log.stop()
        await pipe.wait_over()
        assert bytes(pipe.got) == frame(1, body(1))
        bench.log.put(body(2), NODE)
        bench.log.start()
        await bench.hub.reader.wait_current()
        again = bench.open(nursery, after=1)
        await again.wait_for(b"\n\n")
        assert bytes(again.got) == frame(2, body(2))
        nursery.cancel_scope.cancel()


async def test_what_fails_a_check_is_withheld_and_the_stream_goes_on() -> None:
    """LOG-4: counted, told once, not sent; live and in a replay."""
    bench = Bench()
    bad, stray = body(1), body(2, domain_id=OTHER_DOMAIN)
    bench.verifier.faults[bad.event_id] = "bad_signature"
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        for item in (bad, stray, body(3)):
            bench.log.put(item, NODE)
        await wait_all_tasks_blocked()
        again = bench.open(nursery, after=0)
        await wait_all_tasks_blocked()
        assert bytes(pipe.got) == bytes(again.got) == frame(3, body(3))
        assert [(entry.reason, entry.sequence) for entry in bench.withheld] == [
            ("bad_signature", 1),
            ("wrong_scope", 2),
        ]
        counted = bench.metrics.registry.get_sample_value
        assert counted("sse_verify_reject_total", {"reason": "bad_signature"}) == 2
        nursery.cancel_scope.cancel()


async def test_a_check_that_cannot_be_completed_ends_the_streams_concerned_alone() -> None:
    """LOG-4: no failure, but nothing may pass it either."""
    bench = Bench()
    riddle = body(1)
    bench.verifier.away.add(riddle.event_id)
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe, other = bench.open(nursery), bench.open(nursery, OTHER_NODE)
        await wait_all_tasks_blocked()
        bench.log.put(riddle, NODE)
        bench.log.put(body(2), NODE, OTHER_NODE)
        await wait_all_tasks_blocked()
        assert (pipe.state, bytes(pipe.got)) == ("finished", b"")
        assert bytes(other.got) == frame(3, body(2))
        assert not bench.withheld
        nursery.cancel_scope.cancel()


async def test_a_second_sequence_of_a_nonce_is_withheld_live_and_in_replay() -> None:
    """LOG-5: the lowest sequence wins, for whoever resumes as for whoever was there."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        for number in (1, 2, 1, 3):
            bench.log.put(body(number), NODE)
        await wait_all_tasks_blocked()
        again, late = bench.open(nursery, after=0), bench.open(nursery, after=2)
        await wait_all_tasks_blocked()
        assert (
            bytes(pipe.got) == bytes(again.got) == frame(1, body(1)) + frame(2, body(2)) + frame(4, body(3))
        )
        assert bytes(late.got) == frame(4, body(3))
        assert [(entry.reason, entry.sequence) for entry in bench.withheld] == [("replayed_nonce", 3)]
        nursery.cancel_scope.cancel()


async def test_the_outgoing_key_is_good_up_to_the_rotation_and_not_behind_it() -> None:
    """KEY-3: live and in a replay that starts before, and behind, the rotation."""
    bench = Bench()
    rotation = body(2, kind="signing_key_rotated")
    items = [body(1), rotation, body(3), body(4, key=1)]
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        for item in items:
            bench.log.put(item, NODE)
        await wait_all_tasks_blocked()
        again, behind = bench.open(nursery, after=0), bench.open(nursery, after=2, rung=1)
        await wait_all_tasks_blocked()
        good = frame(1, items[0]) + frame(2, rotation) + frame(4, items[3])
        assert bytes(pipe.got) == bytes(again.got) == good
        assert bytes(behind.got) == frame(4, items[3])
        assert [(entry.reason, entry.sequence) for entry in bench.withheld] == [("key_out_of_place", 3)]
        nursery.cancel_scope.cancel()


async def test_eviction_under_a_replay_ends_the_stream_instead_of_leaving_a_gap() -> None:
    """CUR-2."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        for number in range(1, 1000):
            bench.log.put(body(number), NODE)
        await wait_all_tasks_blocked()
        pipe = bench.open(nursery, after=0, window=6000)
        await wait_all_tasks_blocked()
        bench.log.evict(900)
        pipe.open_window(None)
        await wait_all_tasks_blocked()
        assert pipe.state == "finished"
        assert bytes(pipe.got) == b"".join(frame(n, body(n)) for n in range(1, 101))
        nursery.cancel_scope.cancel()


async def test_eviction_before_the_reader_came_ends_live_streams() -> None:
    """CUR-2: what nobody here has read is a gap for everybody."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        bench.log.put(body(1), NODE)
        bench.log.evict(1)
        bench.log.put(body(2), NODE)
        await wait_all_tasks_blocked()
        assert (pipe.state, bytes(pipe.got)) == ("finished", b"")
        nursery.cancel_scope.cancel()


async def test_gaps_in_the_sequence_are_no_gaps_in_a_stream() -> None:
    """SSE-3."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        pipe = bench.open(nursery)
        await wait_all_tasks_blocked()
        bench.log.skip(1000)
        bench.log.put(body(1), NODE)
        await pipe.wait_for(b"\n\n")
        assert bytes(pipe.got) == frame(1001, body(1))
        nursery.cancel_scope.cancel()


async def test_a_body_is_checked_once_however_many_streams_carry_it() -> None:
    """LOG-4, performance.md 7."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        for node_id in (NODE, NODE, OTHER_NODE):
            bench.open(nursery, node_id)
        await wait_all_tasks_blocked()
        bench.log.put(body(1), NODE, OTHER_NODE)
        await wait_all_tasks_blocked()
        bench.open(nursery, after=0)
        await wait_all_tasks_blocked()
        assert bench.verifier.checked == [body(1).event_id]
        nursery.cancel_scope.cancel()


async def test_dropping_streams_says_how_many_there_were() -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        for node_id in (NODE, NODE, OTHER_NODE):
            bench.open(nursery, node_id)
        await wait_all_tasks_blocked()
        assert bench.hub.drop_streams(NODE) == 2
        assert bench.hub.drop_streams() == 1
        assert bench.hub.drop_streams() == 0
        nursery.cancel_scope.cancel()


async def test_nonces_of_evicted_entries_are_let_go(autojump_clock: MockClock) -> None:
    """LOG-5: the store stays as small as the log."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await bench.start(nursery)
        for number in range(1, 101):
            bench.log.put(body(number), NODE)
        await wait_all_tasks_blocked()
        bench.log.evict(90)
        await trio.sleep(10)
        nonces = [f"{body(number).event_id}.{NODE}" for number in range(1, 101)]
        assert await bench.nonces.look_up(nonces) == [None] * 90 + list(range(91, 101))
        nursery.cancel_scope.cancel()


def test_the_domain_of_the_fakes_is_the_one_of_their_bodies() -> None:
    assert body(1).domain_id == DOMAIN
