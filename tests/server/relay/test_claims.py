"""The claims go by their indexes, however long the history is (OUT-2, OUT-5)."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event

from reference_server.relay import claims
from reference_server.store import schema


def _plan(work: Callable[[Connection], Any]) -> str:
    """What SQLite does for the one statement that `work` executes, as it is executed."""
    engine = create_engine("sqlite://")
    plans: list[str] = []
    with engine.begin() as connection:
        schema.bring_to_head(connection, "plan")

        @event.listens_for(connection, "before_cursor_execute")
        def explain(_c: object, cursor: Any, statement: str, parameters: Any, *_rest: object) -> None:
            plans.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

        work(connection)
    engine.dispose()
    return "\n".join(plans)


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda connection: claims.pending(connection, 5), "INDEX outbox_pending"),
        (lambda connection: claims.domains_waiting(connection, ["d"], []), "(domain_id=?)"),
        (lambda connection: claims.released(connection, ["d"], 5), "(domain_id=?)"),
        (claims.domains_given_a_key, "(domain_id>?)"),
    ],
    ids=["pending", "waiting", "released", "given a key"],
)
def test_indexed(work: Callable[[Connection], Any], index: str) -> None:
    plan = _plan(work)
    assert index in plan, plan
    assert "SCAN outbox_events\n" not in plan + "\n", plan
