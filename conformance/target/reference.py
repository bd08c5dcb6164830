"""Starts the reference server as a child process, by module name alone, and writes the target that it is."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import trio

from conformance.target.model import DriverSpec, Identity, PinnedKey, Target

LAUNCH = ("-m", "reference_server", "serve")

# GATE-1: the ports whose absence makes the signed event bus unprovisioned.
DESCOPED_PORTS = ("EventStream", "NonceStore", "SignatureVerifier", "RelationChecker", "NodeRepo")
DESCOPED = "descoped"

# Imports and a new store take a second or two here; a busy machine several times that.
READY_SECONDS = 60.0
_READY_PAUSE = 0.05

# SSE-8's grace period is the server's; afterwards the process is killed.
STOP_SECONDS = 15.0

_SEED = """\
[[operators]]
name = "operator"
relations = [{relation = "manage", object = "*"}]

[[operators]]
name = "operator_agent"
relations = [{relation = "node-agent", object = "*"}]

[[domains]]
name = "Reference A"
slug = "reference-a"
mesh_cidr = "10.32.0.0/24"
signing_key = "active"

[[domains]]
name = "Reference B"
slug = "reference-b"
mesh_cidr = "10.33.0.0/24"
signing_key = "active"

[[nodes]]
name = "node_a"
domain = "reference-a"
revoked = false

[[nodes]]
name = "node_b"
domain = "reference-a"
revoked = false

[[nodes]]
name = "node_other"
domain = "reference-b"
revoked = false

[[nodes]]
name = "revoked"
domain = "reference-a"
revoked = true
"""


class ReferenceFailed(Exception):
    """The reference server did not come up; the text is its own last line."""


@asynccontextmanager
async def started(
    *, descoped: bool, claims: Sequence[str], launch: Sequence[str] = LAUNCH, log_file: Path | None = None
) -> AsyncIterator[Target]:
    """A fresh reference server on a free loopback port, stopped with the block. Raises ReferenceFailed.

    `launch` is what comes behind the interpreter: a server with a planted defect has its own. `log_file`
    keeps what the server says.
    """
    with tempfile.TemporaryDirectory(prefix="busproof-") as directory:
        room = Path(directory)
        (room / "seed.toml").write_text(_SEED, encoding="utf-8")
        said = log_file or room / "server.log"
        with said.open("wb") as log:
            process = await trio.lowlevel.open_process(
                _command(room, launch, descoped=descoped),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
            try:
                ready = await _ready(process, room, said)
                yield _target(room, ready, claims)
            finally:
                with trio.CancelScope(shield=True):
                    await _stopped(process)


def prospect(claims: Sequence[str]) -> Target:
    """What `started` would yield, as far as it is known before: for a plan."""
    labels = ("operator", "operator_agent", "node_a", "node_b", "node_other", "revoked")
    return Target(
        name="reference",
        base_url="http://127.0.0.1",
        identities=MappingProxyType({label: Identity(label=label) for label in labels}),
        claims=tuple(claims),
        driver=DriverSpec(kind="socket"),
        may_disrupt=True,
        ephemeral=True,
    )


def _command(room: Path, launch: Sequence[str], *, descoped: bool) -> list[str]:
    unwired = DESCOPED_PORTS if descoped else ()
    return [
        *(sys.executable, *launch, "--host", "127.0.0.1", "--port", "0"),
        *("--data", str(room / "bus.db"), "--seed-file", str(room / "seed.toml")),
        *("--credentials-file", str(room / "credentials.json"), "--ready-file", str(room / "ready.json")),
        *("--faults", str(room / "faults.sock"), "--log-format", "json"),
        *(part for port in unwired for part in ("--unwire", port)),
    ]


def _environment() -> Mapping[str, str]:
    """Ours, with the source tree on the path: in an installation the directory is the installed one."""
    tree = str(Path(__file__).resolve().parent.parent.parent)
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((tree, before)) if before else tree}


async def _ready(process: trio.Process, room: Path, said: Path) -> Mapping[str, Any]:
    path = room / "ready.json"
    with trio.move_on_after(READY_SECONDS):
        while process.poll() is None:
            if path.exists():
                ready: Mapping[str, Any] = json.loads(path.read_bytes())
                return ready
            await trio.sleep(_READY_PAUSE)
    raise ReferenceFailed(f"the reference server did not become ready: {_last_line(said)}")


def _last_line(said: Path) -> str:
    last = said.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    return last or "it said nothing"


async def _stopped(process: trio.Process) -> None:
    if process.poll() is None:
        process.terminate()
    with trio.move_on_after(STOP_SECONDS):
        await process.wait()
    if process.poll() is None:
        process.kill()
        await process.wait()


def _target(room: Path, ready: Mapping[str, Any], claims: Sequence[str]) -> Target:
    told = json.loads((room / "credentials.json").read_bytes())
    return Target(
        name=f"reference {ready.get('version', '')}".strip(),
        base_url=str(ready["url"]).rstrip("/"),
        identities=MappingProxyType({**_operators(told), **_nodes(told)}),
        claims=tuple(claims),
        pinned=_pinned(told),
        driver=DriverSpec(kind="socket", socket=str(room / "faults.sock")),
        may_disrupt=True,
        ephemeral=True,
    )


def _operators(told: Mapping[str, Any]) -> dict[str, Identity]:
    return {name: Identity(label=name, credential=each["token"]) for name, each in told["operators"].items()}


def _nodes(told: Mapping[str, Any]) -> dict[str, Identity]:
    return {
        name: Identity(
            label=name, credential=each["credential"], node_id=each["id"], domain_id=each["domain_id"]
        )
        for name, each in told["nodes"].items()
    }


def _pinned(told: Mapping[str, Any]) -> tuple[PinnedKey, ...]:
    return tuple(
        PinnedKey(domain_id=each["id"], key_id=each["signing_key_id"], public_key=each["signing_public_key"])
        for each in told["domains"].values()
        if each.get("signing_key_id")
    )
