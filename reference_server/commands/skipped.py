"""`relay skipped list|requeue|discard`: what the relay has set aside, and what becomes of it (OUT-6)."""

import getpass
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import click
import trio
from sqlalchemy import Connection

from reference_server import exits
from reference_server.clock import SystemClock
from reference_server.commands import console, db
from reference_server.control import skipped
from reference_server.envelope import instant
from reference_server.exits import Outcome
from reference_server.ids import Uuid7Ids
from reference_server.outbox import parked
from reference_server.outbox.parked import Parked
from reference_server.ports import Change, Store
from reference_server.store import migrating, places
from reference_server.store.engine import SqliteStore
from reference_server.store.places import Kept
from reference_server.store.postgres import PostgresStore
from reference_server.store.refusals import StoreRefused

_ENGINES = ("data", "database_url")
_HEADINGS = ("ROW", "PARKED", "REASON", "NODES", "SOURCE", "DOMAIN", "EVENT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which rows: those named, or all that the two filters let through."""

    ids: Sequence[int]
    domain: str | None
    reason: str | None

    def takes(self, row: Parked) -> bool:
        """Whether a row is one of them."""
        return (
            (not self.ids or row.outbox_id in self.ids)
            and self.domain in (None, row.domain_id)
            and self.reason in (None, row.reason)
        )


_Handle = Callable[[Change, int], str]


@click.group("skipped", cls=console.OneLineGroup)
def skipped_command() -> None:
    """List what the relay has set aside, put it back, or give it up.

    The password of a database comes as BUSPROOF_DATABASE_PASSWORD. A file must not be in use for `requeue`
    and `discard`; over Postgres relays and servers go on.
    """


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    reason = click.option("--reason", metavar="TEXT", help="Only rows parked for this reason.")
    return click.option("--domain", metavar="ID", help="Only rows of this Domain.")(reason(command))


@skipped_command.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@_filters
@console.with_options(*_ENGINES)
def list_command(
    form: str, domain: str | None, reason: str | None, config: str | None, **flags: object
) -> None:
    """List the parked rows, oldest first; a row of `no_signing_key` leaves by itself once there is a key."""
    chosen = Chosen(ids=(), domain=domain, reason=reason)

    def look(kept: Kept) -> None:
        with places.looked_at(kept) as connection:
            _refuse_old(connection, kept)
            rows = (row for row in _all(connection) if chosen.takes(row))
            _FORMS[form](rows)

    db.over_store(look, flags, config)
    raise SystemExit(exits.code(Outcome.LISTED))


@skipped_command.command("requeue")
@click.argument("rows", nargs=-1, type=int, metavar="[ROW]...")
@click.option("--all", "everything", is_flag=True, help="Every row that the filters let through.")
@_filters
@console.with_options(*_ENGINES)
def requeue_command(rows: tuple[int, ...], everything: bool, config: str | None, **flags: object) -> None:
    """Put ROWs back as new ones, with the present state and key; audited."""

    def handle(change: Change, outbox_id: int) -> str:
        event_id = skipped.requeue(change, outbox_id, subject=_subject())
        return f"row {outbox_id} goes out as event {event_id}"

    _handle(rows, everything, flags, config, handle)


@skipped_command.command("discard")
@click.argument("rows", nargs=-1, type=int, metavar="[ROW]...")
@click.option("--all", "everything", is_flag=True, help="Every row that the filters let through.")
@_filters
@console.with_options(*_ENGINES)
def discard_command(rows: tuple[int, ...], everything: bool, config: str | None, **flags: object) -> None:
    """Give ROWs up for good; their Nodes are told to pull; audited."""

    def handle(change: Change, outbox_id: int) -> str:
        row = skipped.discard(change, outbox_id, subject=_subject())
        return f"row {outbox_id} is given up; {len(row.node_ids)} Nodes are told to pull"

    _handle(rows, everything, flags, config, handle)


def _handle(
    rows: tuple[int, ...], everything: bool, flags: dict[str, object], config: str | None, handle: _Handle
) -> None:
    """Handle each row in a transaction of its own, and end with the outcome of all."""
    domain, reason = flags.pop("domain"), flags.pop("reason")
    if bool(rows) == everything:
        console.refuse("name rows, or say --all")
    if rows and (domain is not None or reason is not None):
        console.refuse("--domain and --reason go with --all")
    chosen = Chosen(
        ids=rows,
        domain=None if domain is None else str(domain),
        reason=None if reason is None else str(reason),
    )

    def work(kept: Kept) -> bool:
        with places.looked_at(kept) as connection:
            _refuse_old(connection, kept)
            found = {row.outbox_id: row.domain_id for row in _all(connection) if chosen.takes(row)}
        for row in sorted(set(rows) - found.keys()):
            click.echo(f"row {row} is not parked", err=True)
        done = trio.run(partial(_each, kept, found, handle)) if found else 0
        return done == len(set(rows) or found)

    done = db.over_store(work, flags, config)
    raise SystemExit(exits.code(Outcome.HANDLED if done else Outcome.SOME_STAY))


async def _each(kept: Kept, found: dict[int, str], handle: _Handle) -> int:
    """How many rows were handled."""
    store, close = await _opened(kept)
    done = 0
    try:
        for outbox_id, domain_id in found.items():
            try:
                console.say(await store.change([domain_id], partial(_one, handle, outbox_id)))
                done += 1
            except parked.NotParked:
                click.echo(f"row {outbox_id} is not parked any more", err=True)
            except skipped.StaysParked as why:
                click.echo(f"row {outbox_id} stays: {why}", err=True)
    finally:
        await close()
    return done


def _one(handle: _Handle, outbox_id: int, change: Change) -> str:
    return handle(change, outbox_id)


async def _opened(kept: Kept) -> tuple[Store, Callable[[], Awaitable[None]]]:
    """The store, and what closes it. Raises StoreRefused, also for a file that a server uses."""
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    if kept.place is not None:
        database = await PostgresStore.open(kept.place, clock=clock, ids=ids)
        return database, database.aclose
    file = await SqliteStore.open(str(kept.file), clock=clock, ids=ids)
    return file, file.aclose


def _all(connection: Connection) -> Iterator[Parked]:
    """Every parked row by id, a page in memory at a time."""
    page = parked.list_parked(connection)
    while page:
        yield from page
        page = parked.list_parked(connection, after_id=page[-1].outbox_id)


def _refuse_old(connection: Connection, kept: Kept) -> None:
    if migrating.standing(connection, kept.shown).pending:
        raise StoreRefused(f"the schema of {kept.shown} is not up to date: busproof db upgrade")


def _subject() -> str:
    """Who did it, as far as this machine knows."""
    try:
        return f"shell:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"shell:{os.getuid()}"


def _as_table(rows: Iterator[Parked]) -> None:
    count = 0
    for count, row in enumerate(rows, 1):
        if count == 1:
            console.say(_LINE.format(*_HEADINGS))
        nodes = len(row.node_ids)
        parked_at = instant.render(row.parked_at)
        console.say(
            _LINE.format(row.outbox_id, parked_at, row.reason, nodes, row.source, row.domain_id, row.event_id)
        )
    console.say(f"{count} parked {'row' if count == 1 else 'rows'}")


_LINE = "{:<8} {:<28} {:<22} {:>6} {:<32} {:<36} {}"


def _as_json(rows: Iterator[Parked]) -> None:
    """One array; an object a line."""
    lead = "["
    for row in rows:
        told = asdict(row) | {"parked_at": instant.render(row.parked_at)}
        console.say(lead + json.dumps(told))
        lead = ","
    console.say("]" if lead == "," else "[]")


_FORMS = {"table": _as_table, "json": _as_json}
