"""A store that came back from a backup: no cursor of before may mean anything in it (CUR-7, CUR-8)."""

from sqlalchemy import Connection, inspect, update

from reference_server.store import tables

# As far as LOG-2 moves a log that was made again: beyond whatever was given out since the backup.
_LEAP = 1_000_000

_FORGET = ("DELETE FROM log_entries", "DELETE FROM log_bodies")
_MOVED = f"UPDATE sqlite_sequence SET seq = seq + {_LEAP} WHERE name = 'log_entries'"  # noqa: S608  # a number of ours
_BEGUN = f"INSERT INTO sqlite_sequence (name, seq) VALUES ('log_entries', {_LEAP})"  # noqa: S608  # as above


def leave_cursors_behind(connection: Connection) -> None:
    """Have every Node pull: the log goes on beyond all cursors that it may have given out.

    In a file the log itself is emptied and moved. Beside JetStream the recorded sequence is moved, and the
    next server or relay to start moves the log beyond it.
    """
    cursor = tables.sse_relay_cursor
    connection.execute(update(cursor).values(last_sequence=cursor.c.last_sequence + _LEAP))
    if connection.dialect.name == "sqlite":
        _move_embedded(connection)


def _move_embedded(connection: Connection) -> None:
    if "log_entries" not in inspect(connection).get_table_names():
        return
    for statement in _FORGET:
        connection.exec_driver_sql(statement)
    if not connection.exec_driver_sql(_MOVED).rowcount:
        connection.exec_driver_sql(_BEGUN)
