"""kill -9 of the relay over real engines: all that was committed is on the log once, in order (OUT-3, LOG-3).

BUSPROOF_KILLS says how often, BUSPROOF_KILL_SEED repeats a run. From 100 kills on the run is written to
docs/evidence/relay-crash.json.
"""

import base64
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio
from sqlalchemy import Connection, select

from reference_server.master_key import unlock
from reference_server.settings import Settings
from reference_server.store import tables
from tests.process import ROOT
from tests.real import bus
from tests.real.bus import RealBus
from tests.services import nats
from tests.services.deployment import Member

_KILLS = int(os.environ.get("BUSPROOF_KILLS", "4"))
_SEED = int(os.environ.get("BUSPROOF_KILL_SEED", str(random.SystemRandom().randrange(10**6))))
_EVIDENCE_FROM = 100
_EVIDENCE = ROOT / "docs" / "evidence" / "relay-crash.json"

# A start takes under a second; in between a broadcast to all of these is under way most of the time.
_NODES = 200 if _KILLS >= _EVIDENCE_FROM else 20
_LONGEST_LIFE = 0.6
_PAUSE = 0.3


async def _produce(
    real: RealBus, domain: str, nodes: list[str], told: list[str], dice: random.Random
) -> None:
    """Broadcasts without end, and what went out in their order."""
    while True:
        told += await real.publish(domain, nodes, dice.randrange(1, 4))
        await trio.sleep(dice.random() * _PAUSE)


async def test_a_relay_killed_at_any_moment_loses_and_doubles_nothing(
    fresh_database: Callable[[], str], nats_engine: nats.Nats, tmp_path: Path
) -> None:
    began, dice = time.monotonic(), random.Random(_SEED)
    url = fresh_database()
    master_key = b"m" * 32
    (tmp_path / "key").write_text(base64.b64encode(master_key).decode())
    command = ("relay", "--database-url", url, "--nats-url", nats_engine.url)
    command += ("--master-key-file", str(tmp_path / "key"), "--log-format", "json")
    relay = Member(name="relay", room=tmp_path, command=(sys.executable, "-m", "reference_server", *command))
    async with bus.opened(url, nats_engine.url) as real:
        settings = Settings(database_url=url, master_key=base64.b64encode(master_key).decode())
        await unlock(settings, real.store)
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(_NODES)]
        told: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_produce, real, domain, nodes, told, dice)
            for _ in range(_KILLS):
                await relay.start()
                await trio.sleep(dice.random() * _LONGEST_LIFE)  # a random moment is what is wanted
                relay.kill()
            nursery.cancel_scope.cancel()
        committed = await real.store.read(_all_events)
        await relay.start()
        with trio.fail_after(60):
            while await real.pending():  # noqa: ASYNC110  # rows tell nobody when they are settled
                await trio.sleep(0.1)
        await relay.stop()
        wrong = [node for node in nodes if await real.on_log(domain, node) != committed]
        assert not wrong, f"{len(wrong)} of {_NODES} Nodes, seed {_SEED}"
        assert set(told) <= set(committed)
    if _KILLS >= _EVIDENCE_FROM:
        _write_evidence(time.monotonic() - began, len(committed))


def _all_events(connection: Connection) -> list[str]:
    rows = tables.outbox_events.c
    return list(connection.execute(select(rows.event_id).order_by(rows.id)).scalars())


def _write_evidence(seconds: float, events: int) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = {
        "command": f"BUSPROOF_KILLS={_KILLS} BUSPROOF_KILL_SEED={_SEED} make crash",
        "commit": commit.stdout.strip(),
        "runs": [
            {"kills": _KILLS, "seed": _SEED, "seconds": round(seconds, 1), "exit": 0, "events": events}
            | {"publishes": events * _NODES, "lost": 0, "repeated": 0}
        ],
    }
    told["digest"] = hashlib.sha256(json.dumps(told["runs"], sort_keys=True).encode()).hexdigest()
    _EVIDENCE.write_text(json.dumps(told, indent=2) + "\n")
