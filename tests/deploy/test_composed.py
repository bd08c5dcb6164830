"""The services of the compose file, started as it says over real engines; only places are of this test."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.deploy import files
from tests.deploy.program import ROOT
from tests.services.nats import Nats

_PATIENCE = 60
_SEED = """
[[operators]]
name = "root"
token = "op_only-for-this-test-0123456789"
relations = [{relation = "manage", object = "*"}]

[[domains]]
name = "A"
slug = "a"
mesh_cidr = "10.1.0.0/16"
signing_key = "active"
"""


def test_servers_and_relay_come_up(
    tmp_path: Path, fresh_database: Callable[[], str], nats_engine: Nats
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "master_key").write_text(base64.b64encode(os.urandom(32)).decode())
    (secrets / "seed").write_text(_SEED)
    places = {
        "postgresql://bus@postgres:5432/bus": fresh_database(),
        "nats://nats:4222": nats_engine.url,
        files.SECRETS_ROOM.rstrip("/"): str(secrets),
    }
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(_started(tmp_path, name, service, places))
            for name, service in files.own_services().items()
        }
        for url in urls.values():
            health = httpx.get(f"{url}/v1/health", trust_env=False)
            assert (health.status_code, health.json()["status"]) == (200, "ok")
        seen = [
            httpx.get(
                f"{urls[name]}/v1/domains",
                headers={"Authorization": "Bearer op_only-for-this-test-0123456789"},
                trust_env=False,
            ).json()
            for name in ("server1", "server2")
        ]
        assert seen[0] == seen[1]
        assert '"slug":"a"' in json.dumps(seen[0], separators=(",", ":"))


@contextmanager
def _started(room: Path, name: str, service: Any, places: dict[str, str]) -> Iterator[str]:
    """One service; its URL once it is ready."""

    def placed(text: str) -> str:
        for there, here in places.items():
            text = text.replace(there, here)
        return text

    ready = room / f"{name}.ready"
    given = files.image_environment() | service["environment"]
    own = {"BUSPROOF_HOST": "127.0.0.1", "BUSPROOF_PORT": "0", "BUSPROOF_READY_FILE": str(ready)}
    environment = {name: placed(value) for name, value in given.items() if name.startswith("BUSPROOF_")}
    environment |= own | {"BUSPROOF_DATABASE_PASSWORD": "unused", "PATH": os.environ["PATH"]}
    with (room / f"{name}.log").open("wb") as log:
        command = [sys.executable, str(ROOT / "busproof.py"), *map(placed, service["command"])]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + _PATIENCE
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < until, (room / f"{name}.log").read_text()
            time.sleep(0.05)
        yield json.loads(ready.read_text())["url"]
    finally:
        process.terminate()
        assert process.wait(_PATIENCE) == 0
