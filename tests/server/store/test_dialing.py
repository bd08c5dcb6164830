"""What is dialed is never left behind, also where nobody waits for it any more."""

import threading

import trio
import trio.testing

from reference_server.store import dialing


class _Opened:
    """Tells when it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


async def test_what_comes_for_a_cancelled_caller_is_closed() -> None:
    line, may_come = _Opened(), threading.Event()

    def dial() -> _Opened:
        may_come.wait(10)
        return line

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dialing.dialed, dial)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert not line.closed.is_set()
    may_come.set()
    assert await trio.to_thread.run_sync(line.closed.wait, 10)


async def test_what_comes_in_time_stays_open() -> None:
    line = _Opened()
    assert await dialing.dialed(lambda: line) is line
    assert not line.closed.is_set()
