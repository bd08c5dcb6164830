"""pg8000 with each statement prepared once a connection: one round trip instead of three."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import pg8000.dbapi
from pg8000.converters import make_params

# Statements whose placeholders are known: pg8000 looks at each letter of a statement to find them.
_NUMBERED = 1_024

# What is worth it without parameters, too; "BEGIN" and its like are not.
_QUERIES = ("SELECT", "WITH")

# Statements kept, the least used ones go: lists of ever other lengths must not fill the database's memory.
KEPT = 128


class PreparedConnection(pg8000.dbapi.Connection):  # type: ignore[misc]  # pg8000 ships no types
    """A connection that parses a statement when it first meets it.

    After a change of the schema the database may refuse what was prepared before it (SQLSTATE 0A000); that
    ends the connection, as other trouble of the database does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._prepared: OrderedDict[tuple[str, tuple[int, ...]], tuple[bytes, Any, Any]] = OrderedDict()
        super().__init__(*args, **kwargs)

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Iterable[int] = (), stream: Any = None
    ) -> Any:
        """What pg8000 ends a transaction with: that takes no parameters, and so one round trip."""
        if vals or stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        return self.execute_simple(statement)

    def execute_prepared(self, statement: str, vals: Sequence[Any], oids: tuple[int, ...]) -> Any:
        """The context of a statement that has the database's own placeholders."""
        name, columns, readers = self._prepare((statement, oids))
        return self.execute_named(name, make_params(self.py_types, vals), columns, readers, statement)

    def cursor(self) -> "_Cursor":
        """See the DBAPI."""
        return _Cursor(self)

    def _prepare(self, key: tuple[str, tuple[int, ...]]) -> tuple[bytes, Any, Any]:
        known = self._prepared.get(key)
        if known is None:
            if len(self._prepared) >= KEPT:
                self.close_prepared_statement(self._prepared.popitem(last=False)[1][0])
            known = self._prepared[key] = self.prepare_statement(*key)
        self._prepared.move_to_end(key)
        return known


class _Cursor(pg8000.dbapi.Cursor):  # type: ignore[misc]  # as above
    _input_oids: tuple[int, ...]

    def execute(self, operation: str, args: Sequence[Any] = (), stream: Any = None) -> "_Cursor":
        if stream is not None or not (args or operation.startswith(_QUERIES)):
            super().execute(operation, args, stream)
            return self
        self._context = self._c.execute_prepared(_numbered(operation), args, tuple(self._input_oids))
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self._input_oids = ()
        return self


@lru_cache(_NUMBERED)
def _numbered(operation: str) -> str:
    """The statement with the database's placeholders in place of the DBAPI's."""
    numbered: str = pg8000.dbapi.convert_paramstyle(pg8000.dbapi.paramstyle, operation, ())[0]
    return numbered
