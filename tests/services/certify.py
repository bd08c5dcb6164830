"""`make certify-real`: the suite against a real deployment, two replicas certified as one target."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

from tests.services import deployment, driver, verbs
from tests.services.deployment import Deployment

# As far as this revision has checks; parity moves the clock, which JetStream does not follow.
PROFILES = ("pull", "stream", "replay", "keys", "contract", "durability")


def driver_command(running: Deployment) -> list[str]:
    """The child process that hands verbs on to this deployment."""
    return [sys.executable, str(Path(driver.__file__)), str(running.room / "verbs.sock")]


def target_file(running: Deployment) -> Path:
    """Writes the target file of a deployment, its secrets in files of their own."""
    told = running.credentials
    lines = ["[target]", 'name = "two replicas"', f'base_url = "{running.url}"', f"claims = {list(PROFILES)}"]
    lines += [
        f"base_urls = {[replica.url for replica in running.replicas]}",
        "may_disrupt = true",
        "[driver]",
        'kind = "command"',
        f"command = {json.dumps(driver_command(running))}",
    ]
    secrets = {name: each["token"] for name, each in told["operators"].items()}
    secrets |= {name: each["credential"] for name, each in told["nodes"].items()}
    for name, secret in secrets.items():
        (running.room / f"{name}.secret").write_text(secret)
        lines += [f"[identities.{name}]", f'credential = "file:{name}.secret"']
        node = told["nodes"].get(name)
        if node is not None:
            lines += [f'node_id = "{node["id"]}"', f'domain_id = "{node["domain_id"]}"']
    for domain in told["domains"].values():
        lines += [
            "[[signing_keys]]",
            f'domain_id = "{domain["id"]}"',
            f'key_id = "{domain["signing_key_id"]}"',
        ]
        lines += [f'public_key = "{domain["signing_public_key"]}"']
    path = running.room / "target.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


async def certify(room: Path, out: Path, more: Sequence[str]) -> int:
    """Starts everything, runs the suite, stops everything; the suite's exit code."""
    async with deployment.running(room) as running, trio.open_nursery() as nursery:
        await nursery.start(verbs.serve, room / "verbs.sock", verbs.Levers(running))
        command = ["run", str(target_file(running)), "--allow", "disruptive", "--out", str(out), *more]
        done = await trio.run_process([sys.executable, "busproof.py", *command], check=False)
        nursery.cancel_scope.cancel()
    return done.returncode


def main() -> int:
    """The command line: where the run directory goes, and options for `busproof run`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("busproof-runs/real"))
    parser.add_argument("more", nargs="*", help="further options of busproof run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        return trio.run(certify, Path(room), given.out, given.more)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except subprocess.SubprocessError as failed:
        raise SystemExit(str(failed)) from failed
