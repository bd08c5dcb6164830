"""`db status|upgrade|downgrade|restored`: the schema of a store moved on purpose, and a restored one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from reference_server import exits
from reference_server.commands import console
from reference_server.exits import Outcome
from reference_server.ports import Unavailable
from reference_server.settings import MEMORY, Settings, SettingsRefused
from reference_server.store import dialing, migrating, places, restoring, schema
from reference_server.store.places import Kept
from reference_server.store.refusals import StoreRefused

T = TypeVar("T")

_ENGINES = ("data", "database_url")


@click.group("db", cls=console.OneLineGroup)
def db_command() -> None:
    """Keep a store, a file or a Postgres database: its schema, and its return from a backup.

    The password of a database comes as BUSPROOF_DATABASE_PASSWORD.
    """


@db_command.command("status")
@console.with_options(*_ENGINES)
def status_command(config: str | None, **flags: object) -> None:
    """Show the revision of the schema, that of this program, and what is pending."""

    def look(kept: Kept) -> None:
        with places.looked_at(kept) as connection:
            standing = migrating.standing(connection, kept.shown)
        console.say(f"store    {kept.shown}")
        console.say(f"current  {standing.current}")
        console.say(f"head     {schema.HEAD}")
        for revision, does in standing.pending:
            console.say(f"pending  {revision}  {does}")
        raise SystemExit(exits.code(Outcome.PENDING if standing.pending else Outcome.AT_HEAD))

    over_store(look, flags, config)


@db_command.command("upgrade")
@click.argument("revision", default=schema.HEAD)
@console.with_options(*_ENGINES)
def upgrade_command(revision: str, config: str | None, **flags: object) -> None:
    """Bring the schema to REVISION, or to the newest; servers do so by themselves when they start."""

    def move(kept: Kept) -> None:
        if kept.place is not None or Path(kept.shown).exists():
            with places.looked_at(kept) as connection:  # refuses before anything is touched
                migrating.standing(connection, kept.shown)
        with places.changed(kept, alone=False) as connection:
            before = migrating.standing(connection, kept.shown).current
            migrating.upgrade(connection, kept.shown, revision)
        _moved(kept, before, revision)

    over_store(move, flags, config)


@db_command.command("downgrade")
@click.argument("revision")
@click.option("--force", is_flag=True, help="Do it also where rows are lost (OUT-9).")
@console.with_options(*_ENGINES)
def downgrade_command(revision: str, force: bool, config: str | None, **flags: object) -> None:
    """Take the schema back to REVISION, or to `base`; every server and relay must have stopped."""

    def move(kept: Kept) -> None:
        with places.looked_at(kept) as connection:  # refuses before anything is touched
            migrating.standing(connection, kept.shown)
        with places.changed(kept, alone=True) as connection:
            before = migrating.standing(connection, kept.shown).current
            lost = migrating.losses(connection, kept.shown, revision)
            if lost and not force:
                _would_lose(revision, lost)
            migrating.downgrade(connection, kept.shown, revision)
        for line in lost:
            console.say(f"lost: {line}")
        _moved(kept, before, revision)

    over_store(move, flags, config)


@db_command.command("restored")
@console.with_options(*_ENGINES)
def restored_command(config: str | None, **flags: object) -> None:
    """Say that the store came back from a backup: every cursor from before is refused, and every Node pulls.

    Servers and relays must have stopped. The schema is that of the backup, so `db upgrade` may come first.
    """

    def move(kept: Kept) -> None:
        with places.looked_at(kept) as connection:
            if migrating.standing(connection, kept.shown).pending:
                raise StoreRefused(f"the schema of {kept.shown} is not up to date: busproof db upgrade")
        with places.changed(kept, alone=True) as connection:
            restoring.leave_cursors_behind(connection)
        console.say(f"the store {kept.shown} begins beyond every cursor of before")
        raise SystemExit(exits.code(Outcome.RESTORED))

    over_store(move, flags, config)


def _moved(kept: Kept, before: str, revision: str) -> None:
    way = f"is at {revision} already" if before == revision else f"went from {before} to {revision}"
    console.say(f"the store {kept.shown} {way}")
    raise SystemExit(exits.code(Outcome.MIGRATED))


def _would_lose(revision: str, lost: list[str]) -> NoReturn:
    click.echo(f"busproof db downgrade: {revision} is refused, it would lose:", err=True)
    for line in lost:
        click.echo(f"  {line}", err=True)
    click.echo("  --force does it all the same", err=True)
    raise SystemExit(exits.code(Outcome.WOULD_LOSE))


def _kept(chosen: Settings) -> Kept:
    """The store that the settings name. Raises SettingsRefused, StoreRefused."""
    if chosen.database_url is not None:
        return Kept(place=dialing.place_of(chosen.database_url, chosen.database_password))
    if chosen.data == MEMORY:
        raise SettingsRefused("a store in memory ends with its server")
    return Kept(file=Path(chosen.data))


def _chosen(flags: dict[str, object], config: str | None) -> Settings:
    """The settings; a file on the command line wins over a database named elsewhere."""
    if flags.get("data") is not None and flags.get("database_url") is not None:
        raise SettingsRefused("--data and --database-url name two stores")
    chosen = console.resolved(flags, config)
    if flags.get("data") is not None and chosen.database_url is not None:
        chosen = dataclasses.replace(chosen, database_url=None)
    return chosen


def over_store(work: Callable[[Kept], T], flags: dict[str, object], config: str | None) -> T:
    """Do something with the store that the command names; what stands in its way is refused in one line."""
    try:
        return work(_kept(_chosen(flags, config)))
    except (SettingsRefused, StoreRefused, Unavailable) as refusal:
        console.refuse(refusal)
