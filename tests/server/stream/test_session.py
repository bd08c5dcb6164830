"""The table of a stream's life, whole: every stage with every move."""

from itertools import product

import pytest

from reference_server.ports import Caller
from reference_server.stream.session import MOVES, IllegalMove, Move, Session, Stage
from tests.server.stream.fakes import DOMAIN, NODE


class _Nobody:
    """A Peer that is never spoken to."""

    def send_nowait(self, data: bytes | memoryview) -> int:
        raise BrokenPipeError

    async def wait_writable(self) -> None: ...

    async def wait_gone(self) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


def session(stage: Stage) -> Session:
    made = Session(
        node_id=NODE,
        domain_id=DOMAIN,
        caller=Caller(node_id=NODE),
        rung=0,
        after=0,
        peer=_Nobody(),
        chunked=True,
    )
    made.stage = stage
    return made


@pytest.mark.parametrize(("stage", "move"), list(product(Stage, Move)))
def test_a_move_is_in_the_table_or_illegal(stage: Stage, move: Move) -> None:
    stream = session(stage)
    assert stream.can(move) == ((stage, move) in MOVES)
    if (stage, move) in MOVES:
        stream.make(move)
        assert stream.stage is MOVES[stage, move]
    else:
        with pytest.raises(IllegalMove):
            stream.make(move)
        assert stream.stage is stage


def test_every_stage_but_the_last_can_be_lost_and_nothing_leaves_the_last() -> None:
    assert {stage for stage, move in MOVES if move is Move.LOSE} == set(Stage) - {Stage.OVER}
    assert not any(stage is Stage.OVER for stage, _ in MOVES)


def test_the_last_chunk_is_taken_once() -> None:
    """SSE-8."""
    stream = session(Stage.LIVE)
    stream.say(b":x\n\n")
    stream.make(Move.END)
    assert stream.take() == b"4\r\n:x\n\n\r\n0\r\n\r\n"
    assert stream.take() == b""
