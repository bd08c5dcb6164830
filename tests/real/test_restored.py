"""The restore runbook of docs/operations.md, word by word, over a real deployment (CUR-7, CUR-8)."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.deploy.program import ROOT
from tests.services import deployment, postgres
from tests.services.deployment import DATABASE, Deployment

_PATIENCE = 60


async def test_a_backup_comes_back_and_every_node_pulls(tmp_path: Path) -> None:
    async with deployment.running(tmp_path, replicas=1) as bus:
        await _put(bus, "kept")
        backup = tmp_path / "bus.dump"
        await _run(bus, "pg_dump", "-Fc", "-d", DATABASE, "-f", str(backup))
        cursor = await _put(bus, "lost")
        for member in (*bus.replicas, *bus.relays):
            await member.stop()
        await _run(bus, "dropdb", DATABASE)
        await _run(bus, "createdb", DATABASE)
        await _run(bus, "pg_restore", "-d", DATABASE, str(backup))
        for words in (("db", "upgrade"), ("db", "restored")):
            await _busproof(*words, "--database-url", bus.postgres.url(DATABASE))
        for member in (*bus.replicas, *bus.relays):
            await member.start()
        await _in_thread(_check_behind, bus, cursor)
        state = await _in_thread(_state, bus)
        assert "kept" in state and "lost" not in state
        assert await _put(bus, "new") > cursor + 900_000
        await _in_thread(_check_behind, bus, cursor)  # also now that events have come


def _node(bus: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = bus.credentials["nodes"]["node_a"]
    return found


@contextmanager
def _client(bus: Deployment) -> Iterator[httpx.Client]:
    agent = {"Authorization": f"Bearer {_node(bus)['credential']}"}
    url = f"{bus.replicas[0].url}/v1/nodes/{_node(bus)['id']}"
    with httpx.Client(base_url=url, headers=agent, timeout=_PATIENCE, trust_env=False) as http:
        yield http


def _check_behind(bus: Deployment, cursor: int) -> None:
    with _client(bus) as http, http.stream("GET", "/events", headers={"Last-Event-ID": str(cursor)}) as late:
        assert late.status_code == 410


def _state(bus: Deployment) -> str:
    with _client(bus) as http:
        return http.get("/state").text


async def _put(bus: Deployment, key: str) -> int:
    """Change a Node's state; the sequence under which its stream tells so."""
    return await _in_thread(_put_and_hear, bus, key)


def _put_and_hear(bus: Deployment, key: str) -> int:
    root = {"Authorization": f"Bearer {bus.credentials['operators']['operator']['token']}"}
    with _client(bus) as http, _client(bus) as other, http.stream("GET", "/events") as stream:
        assert stream.status_code == 200
        put = other.put(f"/state/metadata/{key}", headers=root, json={"value": "1"})
        assert put.status_code < 300, put.text
        sequence = 0
        for line in stream.iter_lines():
            if line.startswith("id:"):
                sequence = int(line.removeprefix("id:"))
            if line.startswith("data:") and f'"{key}"' in line:
                return sequence
    raise AssertionError("the stream ended")


_in_thread = trio.to_thread.run_sync


async def _run(bus: Deployment, program: str, *arguments: str) -> None:
    where = ("-h", str(bus.postgres.sockets), "-p", str(bus.postgres.port), "-U", postgres.USER)
    await trio.run_process([str(postgres.binary(program)), *where, *arguments], stderr=subprocess.DEVNULL)


async def _busproof(*words: str) -> None:
    await trio.run_process([sys.executable, "busproof.py", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
