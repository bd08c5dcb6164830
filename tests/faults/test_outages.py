"""NATS, Postgres or both: killed, stopped, black-holed or with a full disk; all resumes by itself (OUT-8).

Disks are small file systems in memory that are filled; they need root, without which that form is left out.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.faults import scale
from tests.faults.agents import Agent, until
from tests.faults.proxy import Proxy
from tests.faults.test_replicas import agent_of, asked, put
from tests.services import deployment
from tests.services.deployment import DATABASE, Deployment, Member
from tests.services.nats import Nats

_NATS, _POSTGRES = "nats", "postgres"
_FORMS = ("killed", "stopped", "black", "full") if os.geteuid() == 0 else ("killed", "stopped", "black")
_SHORT: list[tuple[tuple[str, ...], str]] = [
    ((_NATS,), "full"),
    ((_POSTGRES,), "stopped"),
    ((_NATS, _POSTGRES), "black"),
]
_LONG: list[tuple[tuple[str, ...], str]] = [
    (which, form) for form in _FORMS for which in ((_NATS,), (_POSTGRES,), (_NATS, _POSTGRES))
]
_CASES = [case for case in scale.of(_SHORT, _LONG) if case[1] in _FORMS]

# How long an outage lasts once it was noticed; each case throws the dice.
_LASTS = scale.of((0.0,), (0.0, 6.0))

# Three pings without an answer (6 s), and the deadlines of a statement and of a line (10 s) where whoever is
# let in has to be looked up in a database that stands still, too; the rest is what a busy machine takes.
_NOTICED_SECONDS = 24.0
_BACK_SECONDS = 30.0
_PAUSE = 0.1
_HEALTH_SECONDS = 3.0

_DISK = "192m"
# What Postgres writes ahead would fill such a disk by itself, sooner or later.
_BOUNDS_OF_ITS_LOG = ("max_wal_size = '48MB'", "min_wal_size = '32MB'")
_GROWTH_KB = 64 * 1024


@dataclass(kw_only=True)
class Broken:
    """The deployment, its wires and disks, and the agent whose stream is watched."""

    on: Deployment
    wires: dict[str, Proxy]
    agent: Agent

    @property
    def replica(self) -> Member:
        return self.on.replicas[0]

    def engine(self, which: str) -> Any:
        """The Postgres or the NATS."""
        return self.on.nats if which == _NATS else self.on.postgres

    def stop(self, which: str, form: str) -> None:
        """Break an engine."""
        if form == "killed":
            _signal(self.engine(which), signal.SIGKILL)
        elif form == "stopped":
            _signal(self.engine(which), signal.SIGSTOP)
        elif form == "black":
            trio.from_thread.run_sync(self.wires[which].blacken)
        else:
            filler = (self.on.room / which / "filler").open("wb", buffering=0)  # nothing left for its end
            with filler, suppress(OSError):
                while True:
                    filler.write(b"\0" * 65536)

    def mend(self, which: str, form: str) -> None:
        """What an operator does: the engine is whole again; nothing is done to our processes."""
        engine = self.engine(which)
        if form == "killed":
            engine._ended()
            engine.start()
        elif form == "stopped":
            _signal(engine, signal.SIGCONT)
        elif form == "black":
            trio.from_thread.run_sync(self.wires[which].lighten)
        else:
            (self.on.room / which / "filler").unlink()
            if which == _NATS:  # it turns JetStream off until it is started anew
                engine.stop()
                engine.start()
            elif engine.process.poll() is not None:  # it may give up where its own log finds no room
                engine.start()

    async def checks(self) -> tuple[int, dict[str, str]]:
        """Status of health, and what it says of each part; it answers in time whatever is away."""
        began = time.monotonic()
        answer = await asked(self.on, self.replica, "GET", "/v1/health")
        assert time.monotonic() - began < _HEALTH_SECONDS, time.monotonic() - began
        return answer.status_code, {each["name"]: each["status"] for each in answer.json()["checks"]}


def _signal(engine: Any, number: signal.Signals) -> None:
    """Send it to an engine and to all processes that it has started."""
    first = engine.process.pid
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(first)], capture_output=True, check=False)
    for pid in (first, *map(int, found.stdout.split())):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def _small_disk(path: Path) -> Iterator[None]:
    path.mkdir()
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=755", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@asynccontextmanager
async def _running(room: Path) -> AsyncIterator[Broken]:
    wires: list[Proxy] = []
    with ExitStack() as disks:
        for which in (_POSTGRES, _NATS):
            disks.enter_context(_small_disk(room / which))
        async with trio.open_nursery() as nursery:

            async def between(port: int) -> int:
                wires.append(Proxy(port))
                await nursery.start(wires[-1].serve)
                return wires[-1].port

            options = ("--retention-bytes", "0", "--relay-tick-seconds", "0.5")
            async with deployment.running(room, between=between, options=options) as on:
                with on.postgres.connected("postgres") as connection:
                    for bound in _BOUNDS_OF_ITS_LOG:
                        connection.run(f"ALTER SYSTEM SET {bound}")
                    connection.run("SELECT pg_reload_conf()")
                agent = agent_of(on, "node_a", on.replicas[0])
                broken = Broken(on=on, wires=dict(zip((_POSTGRES, _NATS), wires, strict=True)), agent=agent)
                nursery.start_soon(agent.run)
                yield broken
            nursery.cancel_scope.cancel()


async def _comes_true(wanted: Callable[[], Any], seconds: float) -> None:
    with trio.fail_after(seconds):
        while not await wanted():  # noqa: ASYNC110  # health has to be asked for
            await trio.sleep(_PAUSE)


async def _put(broken: Broken, value: str) -> int:
    with suppress(httpx.TransportError):
        return (await put(broken.on, broken.replica, "node_a", value)).status_code
    return 0


async def _pulled(broken: Broken) -> httpx.Response:
    path = f"/v1/nodes/{broken.agent.node_id}/state"
    return await asked(broken.on, broken.replica, "GET", path, node="node_a")


async def _log_is_away(broken: Broken) -> None:
    """Streams end and are refused with a time to come back; everything else goes on."""

    async def noticed() -> bool:
        return (await broken.checks())[1]["event_stream"] != "ok"

    await _comes_true(noticed, _NOTICED_SECONDS)
    refused = len(broken.agent.refused)
    await until(lambda: len(broken.agent.refused) > refused, _NOTICED_SECONDS)
    status, after = broken.agent.refused[-1]
    assert status == 503 and int(after or 0) > 0


async def _database_is_away(broken: Broken) -> None:
    """Streams stay, pulls are answered from memory and say so, changes are refused."""

    async def noticed() -> bool:
        return (await broken.checks())[1]["database"] != "ok"

    await _comes_true(noticed, _NOTICED_SECONDS)
    pulled = await _pulled(broken)
    assert pulled.status_code == 200 and int(pulled.headers["Age"]) >= 0
    assert await _put(broken, "refused") == 503


async def _disk_is_full(broken: Broken, which: Sequence[str]) -> None:
    """Nothing can be written; what reads goes on, or says that it does not."""
    for number in range(5):
        status = await _put(broken, f"full{number}")
        assert status in ({200, 503} if _POSTGRES in which else {200})
    assert (await broken.checks())[0] in ({200, 503} if _POSTGRES in which else {200})
    assert (await _pulled(broken)).status_code == 200


async def _outage(broken: Broken, which: Sequence[str], form: str, lasts: float) -> None:
    opened = broken.agent.opened
    assert await _put(broken, f"before {which} {form} {lasts} {time.monotonic()}") == 200
    for each in which:
        await trio.to_thread.run_sync(broken.stop, each, form)
    if form == "full":
        await _disk_is_full(broken, which)
    else:
        if _NATS in which:
            await _log_is_away(broken)
        if _POSTGRES in which:
            await _database_is_away(broken)
        else:
            assert (await broken.checks())[0] == 200
            assert (await _pulled(broken)).headers.get("Age") is None
            assert await _put(broken, f"during {form} {time.monotonic()}") == 200
        if _NATS not in which:
            assert broken.agent.is_open and broken.agent.opened == opened  # it stayed
    await trio.sleep(lasts)
    for each in random.sample(which, len(which)):
        await trio.to_thread.run_sync(broken.mend, each, form)
    await _comes_true(partial(_is_whole, broken), _BACK_SECONDS)


async def _is_whole(broken: Broken) -> bool:
    """Changes are taken, and the stream has brought every row that was ever committed for the Node."""
    status, parts = await broken.checks()
    if status != 200 or set(parts.values()) != {"ok"}:
        return False
    if await _put(broken, f"after {time.monotonic()}") != 200:
        return False
    wanted = await trio.to_thread.run_sync(_committed, broken)
    with trio.move_on_after(2.0):
        while _told(broken.agent) != wanted:  # noqa: ASYNC110  # what an agent saw is looked at
            await trio.sleep(_PAUSE)
        return True
    return False


def _told(agent: Agent) -> list[str]:
    """The changes of its own state that an agent saw; its peers' reachability changes, too, meanwhile."""
    sequences = [sequence for sequence, _ in agent.frames]
    assert sequences == sorted(set(sequences))
    envelopes = [json.loads(data) for _, data in agent.frames]
    return [envelope["id"] for envelope in envelopes if envelope["type"] == "node_state_updated"]


def _committed(broken: Broken) -> list[str]:
    asked = "SELECT event_id FROM outbox_events WHERE source = 'tenancy.NodeStateEntryChanged' ORDER BY id"
    with broken.on.postgres.connected(DATABASE) as connection:
        return [row[0] for row in connection.run(asked)]


def _memory(member: Member) -> int:
    """Resident KiB."""
    assert member.process is not None
    told = Path(f"/proc/{member.process.pid}/status").read_text()
    return int(next(line for line in told.splitlines() if line.startswith("VmRSS")).split()[1])


async def test_every_outage_is_survived_and_said(tmp_path: Path) -> None:
    async with _running(tmp_path) as broken:
        await until(lambda: broken.agent.is_open, 20)
        assert await _put(broken, "first") == 200
        assert (await _pulled(broken)).status_code == 200
        members = [*broken.on.relays, *broken.on.replicas]
        before = [_memory(member) for member in members]
        cases = [(which, form, random.choice(_LASTS)) for which, form in _CASES]
        for which, form, lasts in random.sample(cases, len(cases)) if scale.LONG else cases:
            print(time.strftime("%H:%M:%S"), which, form, lasts, flush=True)
            await _outage(broken, which, form, lasts)
        grown = [_memory(member) - was for member, was in zip(members, before, strict=True)]
        assert max(grown) < _GROWTH_KB
        relayed = broken.on.relays[0].log.read_text()
        assert "relay_paused" in relayed and "relay_resumed" in relayed
        assert "Traceback" not in "".join(member.log.read_text() for member in members)
        assert isinstance(broken.on.nats, Nats)
