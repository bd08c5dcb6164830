"""The reference server as a child process, and what talks to it: HTTP, streams, the fault channel."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

ROOT = Path(__file__).resolve().parents[1]
SEED = """
[[operators]]
name = "root"
relations = [{relation = "manage", object = "*"}, {relation = "node-agent", object = "domain:one"}]

[[domains]]
name = "One"
slug = "one"
mesh_cidr = "10.1.0.0/16"

[[domains]]
name = "Two"
slug = "two"
mesh_cidr = "10.2.0.0/16"

[[domains]]
name = "Keyless"
slug = "keyless"
mesh_cidr = "10.3.0.0/16"
signing_key = "none"

[[nodes]]
name = "alpha"
domain = "one"

[[nodes]]
name = "beta"
domain = "one"

[[nodes]]
name = "other"
domain = "two"

[[nodes]]
name = "mute"
domain = "keyless"

[[nodes]]
name = "gone"
domain = "one"
revoked = true
"""
# Long enough for a loaded machine; nothing waits so long unless it fails.
PATIENCE = 30.0


def command(*arguments: object) -> list[str]:
    """The command line of the server."""
    return [sys.executable, "-m", "reference_server", "serve", *map(str, arguments)]


def refused(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to refuse."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )


@dataclass(kw_only=True)
class Running:
    """A server that has said that it is ready."""

    directory: Path
    child: "subprocess.Popen[bytes]"
    url: str
    facts: dict[str, Any]
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    @property
    def root(self) -> dict[str, str]:
        """The operator's header."""
        return {"Authorization": f"Bearer {self.facts['operators']['root']['token']}"}

    def node(self, name: str) -> dict[str, Any]:
        """What the credentials file tells of a Node."""
        found: dict[str, Any] = self.facts["nodes"][name]
        return found

    def agent(self, name: str) -> dict[str, str]:
        """The header of a Node."""
        return {"Authorization": f"Bearer {self.node(name)['credential']}"}

    def domain(self, slug: str) -> str:
        """The id of a Domain."""
        return str(self.facts["domains"][slug]["id"])

    def state(self, name: str) -> httpx.Response:
        """A Node's pull."""
        return self.http.get(f"/v1/nodes/{self.node(name)['id']}/state", headers=self.agent(name))

    @contextmanager
    def stream(self, name: str, cursor: int | None = None) -> Iterator["Stream"]:
        """A Node's open stream."""
        headers = self.agent(name) | ({} if cursor is None else {"Last-Event-ID": str(cursor)})
        with httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False) as http:
            path = f"/v1/nodes/{self.node(name)['id']}/events"
            with connect_sse(http, "GET", path, headers=headers) as source:
                yield Stream(source.response.status_code, source.response, source.iter_sse())

    def put_entry(self, name: str, key: str, value: str) -> httpx.Response:
        """Change a Node's metadata, which its stream tells of."""
        path = f"/v1/nodes/{self.node(name)['id']}/state/metadata/{key}"
        return self.http.put(path, headers=self.root, json={"value": value})

    def faults(self) -> "Faults":
        """A connection to the fault channel."""
        return Faults(self.directory / "faults.sock")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.child.kill()
        self.child.wait(PATIENCE)
        self.http.close()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; answers its exit code."""
        self.child.send_signal(by)
        try:
            return self.child.wait(PATIENCE)
        finally:
            self.http.close()

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.directory / "stderr.log").read_text()


@dataclass(kw_only=False)
class Stream:
    """An open stream's head, and its events."""

    status: int
    response: httpx.Response
    events: Iterator[Any]

    def next(self) -> tuple[int, str, dict[str, Any]]:
        """The next event: sequence, type, envelope."""
        event = next(self.events)
        return int(event.id), event.event, json.loads(event.data)

    def rest(self) -> list[tuple[int, str]]:
        """Every event until the stream ends."""
        return [(int(event.id), event.event) for event in self.events]


class Faults:
    """A caller of the fault channel; one request at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self._count = 0

    def __enter__(self) -> "Faults":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def send(self, line: bytes) -> dict[str, Any]:
        """Write bytes, read one answer."""
        self._socket.sendall(line)
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def ask(self, verb: str, **parameters: object) -> dict[str, Any]:
        """One request's whole answer."""
        self._count += 1
        call = {"id": self._count, "verb": verb, "parameters": parameters}
        answer = self.send(json.dumps(call).encode() + b"\n")
        assert answer["id"] == self._count
        return answer

    def do(self, verb: str, **parameters: object) -> dict[str, Any]:
        """One request that must be carried out; its result."""
        answer = self.ask(verb, **parameters)
        assert answer["ok"], answer
        result: dict[str, Any] = answer["result"]
        return result


def start(directory: Path, *arguments: object, data: str = "bus.db", faults: bool = True) -> Running:
    """Start a server over `data` in a directory, seeded with SEED, and wait for its ready line."""
    seed = directory / "seed.toml"
    if not seed.exists():
        seed.write_text(SEED)
    where = data if data == ":memory:" else directory / data
    options: list[object] = ["--port", 0, "--data", where, "--seed-file", seed]
    options += ["--credentials-file", directory / "credentials.json"]
    options += ["--ready-file", directory / "ready.json"]
    if faults:
        options += ["--faults", directory / "faults.sock"]
    with (directory / "stderr.log").open("ab") as log:
        child = subprocess.Popen(command(*options, *arguments), stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
    assert child.stdout is not None
    with child.stdout:
        ready = child.stdout.readline()
    assert ready, (directory / "stderr.log").read_text()
    facts = json.loads((directory / "credentials.json").read_text())
    return Running(directory=directory, child=child, url=json.loads(ready)["url"], facts=facts)


@contextmanager
def running(directory: Path, *arguments: object, data: str = "bus.db") -> Iterator[Running]:
    """A server for the length of a block."""
    server = start(directory, *arguments, data=data)
    try:
        yield server
    finally:
        if server.child.poll() is None:
            server.kill()
        server.http.close()
