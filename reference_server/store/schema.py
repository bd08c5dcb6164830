"""Brings a store's schema to the revision that this program knows."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from reference_server.store.refusals import StoreRefused
from reference_server.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"

# Whoever changes the schema of a Postgres database holds this advisory lock; Domains' locks lie elsewhere.
LOCK = 2

_MIGRATIONS = Path(__file__).with_name("migrations")


def bring_to_head(connection: Connection, place: str) -> None:
    """Make the tables of a new store, or run the migrations that an older one still needs.

    Runs inside the caller's writing transaction. Raises StoreRefused for a database of something else, and
    for one that a newer program has written.
    """
    found = revision(connection, place)
    if found == HEAD:
        return
    if found is None:
        metadata.create_all(connection)
        connection.execute(
            text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
        return
    upgrade(connection, place)


def revision(connection: Connection, place: str) -> str | None:
    """The revision of a store, "none" before the first, None where there are no tables at all.

    Raises StoreRefused for a database of something else.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreRefused(f"the store {place} is a database of another program")
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "none"


def upgrade(connection: Connection, place: str) -> None:
    """Run the Alembic migrations up to HEAD on this connection. Raises StoreRefused for unknown revisions."""
    # Imported here: it takes longer than the rest of the start, and most starts do not need it.
    from alembic import command  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = configured()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError:
        raise StoreRefused(f"the store {place} was written by a newer version of this program") from None


def configured() -> "Config":
    """Alembic's configuration for the migrations beside this file."""
    from alembic.config import Config  # noqa: PLC0415  # as in `upgrade`

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
