"""The second bus as a child process."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from conformance.target import file as target_file
from conformance.target.model import Target

ROOT = Path(__file__).resolve().parents[3]

# Longer than a loaded machine needs; nothing waits so long unless it fails.
PATIENCE = 30.0


@asynccontextmanager
async def second(room: Path) -> AsyncIterator[Target]:
    """A fresh second bus as the target that its own file tells of."""
    command = [sys.executable, "-m", "fixtures.second", "--out", str(room)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = b""
        with trio.fail_after(PATIENCE):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some()
        yield target_file.load(json.loads(line)["target"])
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            await process.wait()
            await process.stdout.aclose()
