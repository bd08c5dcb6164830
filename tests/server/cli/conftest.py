"""A place for a store on each engine."""

from pathlib import Path

import pytest

from tests.server.cli.called import Place


@pytest.fixture(params=["file", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where no store is yet: no file, or an empty database."""
    if request.param == "file":
        return Place(engine="file", where=str(tmp_path / "bus.db"))
    return Place(engine="postgres", where=request.getfixturevalue("fresh_database")())
