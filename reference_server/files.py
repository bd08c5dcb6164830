"""Small files that others wait for or that hold secrets: whole or not there at all."""

import os
from pathlib import Path

OWNER_ALONE = 0o600
EVERYBODY_READS = 0o644


def write_whole(path: str | Path, content: bytes, mode: int) -> None:
    """Put a file in place atomically and durably, with its mode from the first moment. Raises OSError."""
    place = Path(path)
    passing = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask makes of it
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(place)
    finally:
        passing.unlink(missing_ok=True)
