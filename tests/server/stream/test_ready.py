"""Bodies are checked once, however many ask at once; nobody inherits another's refusal or outage (LOG-4)."""

from collections.abc import Sequence

import trio
from trio.testing import wait_all_tasks_blocked

from reference_server.ports import SignedBody, Unavailable
from reference_server.stream.ready import Readied, Ready, Refused
from tests.server.stream.fakes import Believer, body

_AT_ONCE = 20


class Slow(Believer):
    """A Believer that answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.go = trio.Event()

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        self.asked.append(len(bodies))
        await self.go.wait()
        return await super().verify(bodies)


async def test_what_one_has_checked_the_others_wait_for() -> None:
    verifier = Slow()
    readied = Readied(verifier)
    bodies = [body(number) for number in range(1, 6)]
    answers = []

    async def ask(wanted: Sequence[SignedBody]) -> None:
        answers.append(await readied.prepare(wanted))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, bodies[:3])
        await wait_all_tasks_blocked()
        for _ in range(_AT_ONCE):
            nursery.start_soon(ask, bodies)
        await wait_all_tasks_blocked()
        assert verifier.asked == [3, 2]
        verifier.go.set()
    assert sorted(verifier.checked) == sorted(each.event_id for each in bodies)
    assert all(isinstance(ready, Ready) for answer in answers for ready in answer.values())
    assert [len(answer) for answer in sorted(answers, key=len)] == [3] + [5] * _AT_ONCE


async def test_a_refusal_is_found_anew_by_everybody() -> None:
    verifier = Slow()
    verifier.faults[body(1).event_id] = "bad_signature"
    readied = Readied(verifier)
    answers = []

    async def ask() -> None:
        answers.extend((await readied.prepare([body(1)])).values())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert verifier.asked == [1]
        verifier.go.set()
    assert [answer.reason for answer in answers if isinstance(answer, Refused)] == ["bad_signature"] * 3
    assert len(verifier.checked) == 3


async def test_an_outage_is_waited_for_once_and_then_met_by_all_at_once() -> None:
    verifier = Slow()
    verifier.away.add(body(1).event_id)
    readied = Readied(verifier)
    outages = []

    async def ask() -> None:
        try:
            await readied.prepare([body(1)])
        except Unavailable:
            outages.append(len(verifier.asked))

    async with trio.open_nursery() as nursery:
        for _ in range(_AT_ONCE):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        verifier.go.set()
        await wait_all_tasks_blocked()
    assert len(outages) == len(verifier.asked) == _AT_ONCE


async def test_who_waited_for_a_check_that_was_not_completed_tries_by_himself() -> None:
    verifier = Slow()
    verifier.away.add(body(2).event_id)
    readied = Readied(verifier)
    outcomes = []

    async def ask(*numbers: int) -> None:
        try:
            outcomes.append(len(await readied.prepare([body(number) for number in numbers])))
        except Unavailable:
            outcomes.append(0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 1, 2)
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, 1)
        await wait_all_tasks_blocked()
        verifier.go.set()
    assert sorted(outcomes) == [0, 1]


async def test_who_waited_for_somebody_that_went_away_tries_by_himself() -> None:
    verifier = Slow()
    readied = Readied(verifier)
    scope = trio.CancelScope()

    async def ask() -> None:
        with scope:
            await readied.prepare([body(1)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        nursery.start_soon(readied.prepare, [body(1)])
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        verifier.go.set()
    assert verifier.asked == [1, 1]
    assert body(1).wire in readied.known
