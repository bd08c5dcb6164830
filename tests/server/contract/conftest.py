"""A real server on a free loopback port, as these tests' clients meet it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.contract.served import Served

ROOT = Path(__file__).parents[3]

SEED = """
[[operators]]
name = "root"
relations = [
    {relation = "manage", object = "*"},
    {relation = "node-agent", object = "*"},
    {relation = "auditor", object = "domain:seeded"},
]

[[operators]]
name = "nobody"
relations = []

[[domains]]
name = "Seeded"
slug = "seeded"
mesh_cidr = "10.200.0.0/16"
signing_key = "active"

[[nodes]]
name = "one"
domain = "seeded"

[[nodes]]
name = "two"
domain = "seeded"

[[nodes]]
name = "gone"
domain = "seeded"
revoked = true
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("served")
    (place / "seed.toml").write_text(SEED)
    credentials = place / "credentials.json"
    command = [sys.executable, "-m", "reference_server", "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--data", ":memory:", "--seed-file", str(place / "seed.toml")]
    command += ["--credentials-file", str(credentials), "--log-format", "json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ)
    ) as process:
        try:
            url = _ready_url(process)
            drain = threading.Thread(target=_drain, args=(process,), daemon=True)
            drain.start()
            yield Served(url=url, credentials=json.loads(credentials.read_bytes()))
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0


def _ready_url(process: subprocess.Popen[bytes]) -> str:
    """The URL of the ready line; fails with what the server said instead."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.decode(errors="replace"))
        found = _url_in(line)
        if found is not None:
            return found
    raise AssertionError("the server ended before it was ready:\n" + "".join(said))


def _url_in(line: bytes) -> str | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    url = document.get("url") if isinstance(document, dict) else None
    return url if isinstance(url, str) else None


def _drain(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    for _line in process.stdout:
        pass
