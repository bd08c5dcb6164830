"""The wheel holds everything: each command works from it alone, with no source tree in reach.

`busproof broken NAME` answers as the planted defect has it, on the wire.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import PATIENCE, ROOT, SEED

PACKAGES = ("busproof", "conformance", "reference_server", "fixtures")


def ran(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=60, **options
    )


def pip(*arguments: object) -> None:
    """pip, without any registry."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    done = ran(sys.executable, "-m", "pip", arguments[0], *quiet, *arguments[1:])
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built and installed into a directory of its own."""
    place = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", place, ROOT)
    (wheel,) = place.glob("busproof-*.whl")
    pip("install", "--target", place / "installed", wheel)
    return place / "installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A place where processes see the wheel, its dependencies, and not this repository."""

    installed: Path
    room: Path

    @property
    def options(self) -> dict[str, Any]:
        """How a process is started there."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"PYTHONPATH": str(self.installed), "PYTHONSAFEPATH": "1"}
        return {"cwd": self.room, "env": environment}

    def command(self, *arguments: object) -> list[str]:
        """The installed command."""
        return [str(self.installed / "bin" / "busproof"), *map(str, arguments)]


@pytest.fixture
def elsewhere(installed: Path, tmp_path: Path) -> Elsewhere:
    return Elsewhere(installed=installed, room=tmp_path)


@contextmanager
def serving(elsewhere: Elsewhere, *arguments: object) -> Iterator[str]:
    """The base URL of a server that the installed command starts."""
    child = subprocess.Popen(elsewhere.command(*arguments), stdout=subprocess.PIPE, **elsewhere.options)
    try:
        assert child.stdout is not None
        ready = child.stdout.readline()
        assert ready, "it ended without a ready line"
        yield json.loads(ready)["url"]
    finally:
        child.kill()
        child.wait(PATIENCE)
        assert child.stdout is not None
        child.stdout.close()


def first_frame(url: str, facts: Mapping[str, Any]) -> tuple[httpx.Headers, bytes]:
    """The head of a Node's stream, and the bytes of the first event that a change brings to it."""
    node, operator = facts["nodes"]["alpha"], facts["operators"]["root"]["token"]
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
        agent = {"Authorization": f"Bearer {node['credential']}"}
        path = f"/v1/nodes/{node['id']}"
        with http.stream("GET", f"{path}/events", headers=agent) as stream:
            assert stream.status_code == 200
            done = httpx.put(
                f"{url}{path}/state/metadata/k",
                headers={"Authorization": f"Bearer {operator}"},
                json={"value": "v"},
                timeout=PATIENCE,
                trust_env=False,
            )
            assert done.is_success, done.text
            body = b""
            for piece in stream.iter_raw():
                body += piece
                if b"data:" in body and body.endswith(b"\n\n"):
                    break
            return stream.headers, body


def seeded(tmp_path: Path) -> tuple[object, ...]:
    (tmp_path / "seed.toml").write_text(SEED)
    files = ("--seed-file", tmp_path / "seed.toml", "--credentials-file", tmp_path / "credentials.json")
    return ("--port", 0, "--data", ":memory:", *files)


@pytest.mark.parametrize(
    ("command", "content_type", "event"),
    [
        (("serve",), "text/event-stream", b"\nevent: node_state_updated\n"),
        (("broken", "octet-stream"), "application/octet-stream", b"\nevent: node_state_updated\n"),
        (("broken", "no-space-after-colon"), "text/event-stream", b"\nevent:node_state_updated\n"),
    ],
)
def test_a_planted_defect_answers_from_the_wheel(
    command: tuple[str, ...], content_type: str, event: bytes, elsewhere: Elsewhere
) -> None:
    with serving(elsewhere, *command, *seeded(elsewhere.room)) as url:
        facts = json.loads((elsewhere.room / "credentials.json").read_text())
        headers, body = first_frame(url, facts)
    assert headers["Content-Type"].startswith(content_type) and event in body


def test_a_null_server_answers_from_the_wheel(elsewhere: Elsewhere) -> None:
    listed = ran(*elsewhere.command("broken"), **elsewhere.options).stdout.split()
    assert {"octet-stream", "no-space-after-colon"} <= set(listed)
    with serving(elsewhere, "broken", "null-404", "--port", "0") as url:
        assert httpx.get(f"{url}/v1/version", trust_env=False).status_code == 404


def test_the_suite_finds_its_data_in_the_wheel(elsewhere: Elsewhere) -> None:
    """Clauses, schemas, vectors and the reference are there: a selection passes, the example too."""
    command = ("run", "--reference", "--select", "PULL-001", "--select-ok", "--out", "r")
    done = ran(*elsewhere.command(*command), **elsewhere.options)
    assert done.returncode == 0, done.stdout + done.stderr
    example = elsewhere.installed / "fixtures" / "drivers" / "vectors.py"
    done = ran(*elsewhere.command("vectors", "--", sys.executable, example), **elsewhere.options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_of_it_comes_from_this_repository(elsewhere: Elsewhere) -> None:
    script = (
        "import importlib, sys\n"
        f"for name in {PACKAGES}: importlib.import_module(name)\n"
        "import busproof\n"
        "try: busproof.main(['broken'])\n"
        "except SystemExit: pass\n"
        f"own = [each for name, each in sys.modules.items() if name.split('.')[0] in {PACKAGES}]\n"
        "print('\\n'.join(each.__file__ for each in own if each.__file__), file=sys.stderr)\n"
    )
    done = ran(sys.executable, "-c", script, **elsewhere.options)
    files = [Path(line) for line in done.stderr.splitlines() if line.endswith(".py")]
    assert done.returncode == 0 and len(files) > 10, done.stderr
    assert [each for each in files if not each.is_relative_to(elsewhere.installed)] == []
