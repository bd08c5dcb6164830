"""What counts as a database that is away."""

import pytest

from reference_server.ports import Unavailable
from reference_server.store import refusals


@pytest.mark.parametrize("failure", [TimeoutError("timed out"), BrokenPipeError(), ConnectionResetError()])
def test_a_socket_that_fails_under_a_statement_is_a_database_that_is_away(failure: OSError) -> None:
    with (
        pytest.raises(Unavailable, match="the database cannot be reached") as told,
        refusals.as_unavailable(),
    ):
        raise failure
    assert refusals.is_out_of_reach(told.value)
