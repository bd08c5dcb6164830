"""One process owns a store file: a lock beside it says so for as long as the process lives."""

import fcntl
import os
from pathlib import Path

from reference_server.store.refusals import StoreRefused


class Ownership:
    """An advisory lock on `<store>.lock`, released with the process or by `release`.

    The lock has a file of its own, since closing a descriptor of the database would drop SQLite's locks.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, store: Path) -> None:
        """Take the lock. Raises StoreRefused where another process holds it, OSError where it cannot be."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(store.with_name(store.name + ".lock"), flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StoreRefused(f"the store {store} is in use by another process") from None

    def release(self) -> None:
        """Let another process have the store."""
        os.close(self._descriptor)
