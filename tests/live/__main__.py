"""python -m tests.live [--out DIR]: looks at a reference server that somebody publishes on."""

import sys
from pathlib import Path

import trio

from conformance.target import reference
from tests.suite import publisher

ROOT = Path(__file__).resolve().parents[2]


async def main(options: list[str]) -> int:
    """The exit code of `busproof run URL --profile live --header …`."""
    async with reference.started(descoped=False, claims=()) as target, trio.open_nursery() as nursery:
        nursery.start_soon(publisher.publish, target)
        header = f"Authorization: Bearer {target.identities[publisher.NODE].credential}"
        command = [sys.executable, "busproof.py", "run", target.base_url, "--profile", "live"]
        done = await trio.run_process([*command, "--header", header, *options], cwd=ROOT, check=False)
        nursery.cancel_scope.cancel()
    return done.returncode


if __name__ == "__main__":
    sys.exit(trio.run(main, sys.argv[1:]))
