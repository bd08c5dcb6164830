"""kill -9 at random moments: nothing acknowledged is lost or comes twice, order and sequences hold (OUT-3).

BUSPROOF_KILLS says how often; the seed of the moments is printed, so that a failure can be tried again with
BUSPROOF_KILL_SEED.
"""

import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from sqlalchemy import Connection, select

from reference_server.store import tables
from tests.crash.producer import DOMAINS
from tests.server.bus import Bus, opened

_KILLS = int(os.environ.get("BUSPROOF_KILLS", "12"))
_SEED = int(os.environ.get("BUSPROOF_KILL_SEED", str(random.SystemRandom().randrange(10**6))))

# From the ready line on a producer commits some hundred times in this long.
_LONGEST_LIFE = 0.4
_LONGEST_START = 0.3

# So many lives begin to count at their first acknowledged event: a busy machine may take long to that.
_AFTER_AN_EVENT = 0.7


@dataclass(kw_only=True)
class Promised:
    """What has been seen of one store over all lives of its process."""

    acknowledged: dict[str, list[tuple[str, frozenset[str]]]] = field(
        default_factory=lambda: {domain: [] for domain in DOMAINS}
    )
    log: dict[int, tuple[str, str]] = field(default_factory=dict)  # sequence: event, Node
    high: int = 0


def _live_and_die(path: Path, dice: random.Random) -> list[str]:
    """One life of the producer; answers the lines that it got out, the torn one left off."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.producer", str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        first = b""
        if dice.random() < 0.2:
            _pause(dice.uniform(0, _LONGEST_START))  # killed while it starts
        else:
            first = process.stdout.readline()
            assert first == b"ready\n"
            if dice.random() < _AFTER_AN_EVENT:
                first += process.stdout.readline()
            _pause(dice.uniform(0, _LONGEST_LIFE))
    finally:
        process.send_signal(signal.SIGKILL)
    written = first + process.stdout.read()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return written.decode().split("\n")[:-1]


def _pause(seconds: float) -> None:
    trio.run(trio.sleep, seconds)  # the moment of the kill is what is random, nothing is waited for


def _note(promised: Promised, lines: list[str]) -> None:
    for line in lines:
        if line.startswith("ack "):
            _, domain_id, event_id, nodes = line.split()
            promised.acknowledged[domain_id].append((event_id, frozenset(nodes.split(","))))


def _rows(domain_id: str, connection: Connection) -> list[str]:
    rows = tables.outbox_events.c
    return list(
        connection.execute(
            select(rows.event_id).where(rows.domain_id == domain_id).order_by(rows.id)
        ).scalars()
    )


async def _examine(path: Path, promised: Promised, *, evict: bool) -> None:
    async with opened(str(path)) as bus:
        for domain_id in DOMAINS:
            if not await bus.store.read(partial(_has_key, domain_id)):
                await bus.provision(domain_id)
        await bus.drain()
        entries = await bus.whole_log()
        _compare(promised, entries)
        for domain_id in DOMAINS:
            _check_order(promised, domain_id, await bus.store.read(partial(_rows, domain_id)))
        assert await bus.store.read(_unsent) == []
        promised.high = (await bus.log.bounds()).high
        if evict:
            await _evict(bus)


async def _evict(bus: Bus) -> None:
    """Leave an empty log behind: the next sequence must come after the highest all the same."""
    bounds = await bus.log.evict()
    assert bounds.low == bounds.high + 1


def _has_key(domain_id: str, connection: Connection) -> bool:
    keys = tables.signing_keys.c
    return connection.execute(select(keys.key_id).where(keys.domain_id == domain_id)).first() is not None


def _unsent(connection: Connection) -> list[str]:
    rows = tables.outbox_events.c
    return list(connection.execute(select(rows.event_id).where(rows.status != "published")).scalars())


def _compare(promised: Promised, entries: list[tuple[int, str, str]]) -> None:
    """What stood on the log stands there still, and what is new stands after it."""
    for sequence, node, event in entries:
        assert sequence in promised.log or sequence > promised.high, f"sequence {sequence} came late"
        known = promised.log.setdefault(sequence, (event, node))
        assert known == (event, node), f"sequence {sequence} was used twice"
    carried = list(promised.log.values())
    assert len(carried) == len(set(carried)), "an event stands twice on the log of one Node"


def _check_order(promised: Promised, domain_id: str, rows: list[str]) -> None:
    acknowledged = [event for event, _ in promised.acknowledged[domain_id]]
    known = set(acknowledged)
    assert [event for event in rows if event in known] == acknowledged, "an acknowledged row is gone"
    of_domain = set(rows)
    order = [event for _, (event, _) in sorted(promised.log.items()) if event in of_domain]
    assert list(dict.fromkeys(order)) == rows, "the log's order is not the commit order"
    nodes: dict[str, set[str]] = {}
    for event, node in promised.log.values():
        nodes.setdefault(event, set()).add(node)
    for event, recipients in promised.acknowledged[domain_id]:
        assert nodes[event] == {node.replace("-", "") for node in recipients}


def test_killed_at_random_moments(tmp_path: Path) -> None:
    print(f"BUSPROOF_KILL_SEED={_SEED}")
    dice = random.Random(_SEED)
    promised = Promised()
    for kill in range(_KILLS):
        _note(promised, _live_and_die(tmp_path / "store.db", dice))
        trio.run(partial(_examine, tmp_path / "store.db", promised, evict=kill % 4 == 3))
    told = sum(map(len, promised.acknowledged.values()))
    print(f"{_KILLS} kills, {told} acknowledged events, {len(promised.log)} entries")
    assert told > _KILLS
    assert promised.high == max(promised.log)
