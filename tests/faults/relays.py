"""Relay processes over a RealBus, so that tests can kill, stop and wake them."""

import base64
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from sqlalchemy import Connection, select, text

from reference_server.master_key import unlock
from reference_server.settings import Settings
from reference_server.store import tables
from tests.real import bus
from tests.real.bus import RealBus
from tests.services.deployment import Member

_MASTER_KEY = base64.b64encode(b"m" * 32).decode()
_SETTLE_SECONDS = 120.0
_PAUSE = 0.02

# The row that a leader holds through its batch; whoever asks like this waits for nobody.
_CURSOR = text("SELECT stream FROM sse_relay_cursor FOR UPDATE SKIP LOCKED")


@dataclass(kw_only=True)
class Relayed:
    """A bus, its relays, and what was committed to it."""

    real: RealBus
    members: list[Member]
    sent: dict[str, list[str]] = field(default_factory=dict)  # Node: event ids in commit order

    async def publish(self, domain_id: str, node_ids: list[str], count: int = 1) -> None:
        """Commit events, and remember whom they are for."""
        events = await self.real.publish(domain_id, node_ids, count)
        for node_id in node_ids:
            self.sent.setdefault(node_id, []).extend(events)

    async def cursor_is_held(self) -> bool:
        """Whether some relay is in the middle of a batch."""
        found = await self.real.store.change((), lambda change: change.connection.execute(_CURSOR).all())
        return not found

    async def stop_leader(self, member: Member) -> None:
        """SIGSTOP a relay that leads, in the middle of a batch."""
        while True:
            send(member, signal.SIGSTOP)
            if await self.cursor_is_held():
                return
            send(member, signal.SIGCONT)
            await trio.sleep(_PAUSE)

    async def settled(self) -> None:
        """Returns once no row waits."""
        with trio.fail_after(_SETTLE_SECONDS):
            while await self.real.pending():  # noqa: ASYNC110  # rows tell nobody when they are settled
                await trio.sleep(_PAUSE)

    async def assert_exact(self, domain_id: str) -> None:
        """Each Node's subject holds exactly what was committed for it, once, in order."""
        for number, (node_id, told) in enumerate(self.sent.items(), 1):
            stands = await self.real.on_log(domain_id, node_id)
            lost, foreign = set(told) - set(stands), set(stands) - set(told)
            which = f"Node {number}: {len(lost)} lost, {len(foreign)} foreign, {len(stands)} of {len(told)}"
            assert stands == told, which


def send(member: Member, number: signal.Signals) -> None:
    """Signal a process of ours."""
    assert member.process is not None
    member.process.send_signal(number)


async def high(real: RealBus) -> int:
    """The log's head."""
    return (await real.log.bounds()).high


def all_events(connection: Connection) -> list[str]:
    """The ids of all rows, in their order."""
    rows = tables.outbox_events.c
    return list(connection.execute(select(rows.event_id).order_by(rows.id)).scalars())


@asynccontextmanager
async def relayed(
    database_url: str, nats_url: str, room: Path, *, relays: int, window: float = 120, tick: float = 0.5
) -> AsyncIterator[Relayed]:
    """A bus with relays that are not started yet; those that run at the end are stopped."""
    (room / "key").write_text(_MASTER_KEY)
    command = (
        *("relay", "--database-url", database_url, "--nats-url", nats_url),
        *("--master-key-file", str(room / "key"), "--log-format", "json"),
        *("--duplicate-window-seconds", str(window), "--relay-tick-seconds", str(tick)),
    )
    members = [
        Member(name=f"relay{n}", room=room, command=(sys.executable, "-m", "reference_server", *command))
        for n in range(relays)
    ]
    async with bus.opened(database_url, nats_url, window=window) as real:
        await unlock(Settings(database_url=database_url, master_key=_MASTER_KEY), real.store)
        try:
            yield Relayed(real=real, members=members)
        finally:
            with trio.CancelScope(shield=True):
                for member in members:
                    if member.process is not None and member.process.poll() is None:
                        send(member, signal.SIGCONT)
                    await member.stop()
