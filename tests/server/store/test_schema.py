"""The schema of a new store, and of one that was migrated, are the same."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from reference_server.store import schema
from reference_server.store.refusals import StoreRefused
from reference_server.store.tables import metadata


def _shape(connection: Connection) -> list[tuple[Any, ...]]:
    rows = connection.execute(
        text("SELECT type, name, sql FROM sqlite_master WHERE tbl_name NOT IN ('alembic_version')")
    )
    return sorted((kind, name, " ".join((sql or "").split())) for kind, name, sql in rows)


def test_migrations_end_where_new_stores_begin() -> None:
    made, migrated = create_engine("sqlite://"), create_engine("sqlite://")
    with made.begin() as first, migrated.begin() as second:
        schema.bring_to_head(first, "made")
        schema.upgrade(second, "migrated")
        assert _shape(first) == _shape(second)
        assert compare_metadata(MigrationContext.configure(second), metadata) == []
        schema.bring_to_head(second, "migrated")
    made.dispose()
    migrated.dispose()


def test_an_unfinished_store_is_migrated() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        schema.bring_to_head(connection, "old")
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == schema.HEAD
        assert connection.execute(text("SELECT count(*) FROM outbox_events")).scalar_one() == 0
    engine.dispose()


def test_a_newer_store_is_refused() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.bring_to_head(connection, "new")
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreRefused, match="written by a newer version"):
            schema.bring_to_head(connection, "new")
    engine.dispose()
