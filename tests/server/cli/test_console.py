"""The console script: one command over both programs, each imported only when it is asked for."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

import busproof
from tests.process import PATIENCE, ROOT


def test_every_command_is_listed() -> None:
    shown = CliRunner().invoke(busproof.main, ["--help"]).output
    for name in ("run", "serve", "list", "explain", "target", "broken", "db", "relay"):
        assert f"\n  {name} " in shown


def test_an_unknown_command_is_refused() -> None:
    done = CliRunner().invoke(busproof.main, ["nonsense"])
    assert (done.exit_code, "nonsense" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [(["list"], "reference_server"), (["serve", "--help"], "conformance"), (["db", "--help"], "conformance")],
)
def test_a_command_imports_its_own_program_alone(command: list[str], unwanted: str) -> None:
    script = (
        "import sys, busproof\n"
        f"try: busproof.main({command!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"assert not [name for name in sys.modules if name.startswith({unwanted!r})]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_broken_servers_are_listed_and_unknown_ones_refused() -> None:
    listed = subprocess.run(
        [sys.executable, "busproof.py", "broken"],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (listed.returncode, len(listed.stdout.splitlines()) > 10) == (0, True)
    unknown = subprocess.run(
        [sys.executable, "busproof.py", "broken", "nothing-of-the-kind"],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert unknown.returncode == 2
