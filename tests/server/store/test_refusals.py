"""What counts as a database that is away."""

import pg8000.exceptions
import pytest
from structlog.testing import capture_logs

from reference_server.ports import Unavailable
from reference_server.seldom import Seldom
from reference_server.store import refusals


@pytest.mark.parametrize("failure", [TimeoutError("timed out"), BrokenPipeError(), ConnectionResetError()])
def test_a_socket_that_fails_under_a_statement_is_a_database_that_is_away(failure: OSError) -> None:
    with (
        pytest.raises(Unavailable, match="the database cannot be reached") as told,
        refusals.as_unavailable(),
    ):
        raise failure
    assert refusals.is_out_of_reach(told.value)


def test_whoever_operates_the_server_reads_why_and_not_a_thousand_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(refusals, "_telling", Seldom(lambda: now[0]))

    def told_by(calls: int, failure: OSError | pg8000.exceptions.DatabaseError) -> list[object]:
        with capture_logs() as lines:
            for _ in range(calls):
                with pytest.raises(Unavailable), refusals.as_unavailable():
                    raise failure
        return [(line["event"], line["reason"], line["log_level"]) for line in lines]

    cut, locked = ConnectionResetError(), pg8000.exceptions.DatabaseError({"C": "55P03"})
    assert told_by(1000, cut) == [("database_away", "it cannot be reached", "warning")]
    assert told_by(1000, locked) == [("database_away", "it is locked for too long", "warning")]
    now[0] += 59
    assert told_by(2, cut) == []
    now[0] += 2
    assert len(told_by(2, cut)) == 1
