"""What all commands of the server share: one line for what is refused, and where their settings come from."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from reference_server import exits, settings
from reference_server.exits import Outcome
from reference_server.settings import ROWS, Row, Settings, SettingsRefused


def option(name: str, row: Row) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of one setting; click leaves its value as it came, `settings.resolve` checks it."""
    default = Settings.__dataclass_fields__[name].default
    notes = [f"one of {', '.join(row.choices)}"] if row.choices else []
    if row.low is not None:
        notes.append(f"{row.low:,g} to {row.high:,.12g}" if row.high is not None else f"at least {row.low:g}")
    if default not in (None, ()):
        notes.append(f"default {default:,.12g}" if isinstance(default, int | float) else f"default {default}")
    notes.append(settings.environment_name(name))
    if row.kind is bool:
        return click.option(
            settings.flag_name(name),
            name,
            is_flag=True,
            default=None,
            help=f"{row.help}  [{settings.environment_name(name)}]",
        )
    return click.option(
        settings.flag_name(name),
        name,
        multiple=row.kind is tuple,
        metavar=row.unit.upper() or ("NUMBER" if row.kind in (int, float) else "TEXT"),
        help=f"{row.help}  [{'; '.join(notes)}]",
    )


def with_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flags of these settings, or of all that are no secrets, and `--config`."""
    wanted = names or tuple(name for name, row in ROWS.items() if not row.secret)

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(wanted):
            command = option(name, ROWS[name])(command)
        explained = "TOML file of settings, named as the flags with _ for -."
        return click.option("--config", metavar="FILE", help=explained)(command)

    return decorated


class OneLine(click.Command):
    """A command whose usage errors are one line, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click. Refuses like everything else that cannot be used."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as usage:
            refuse(usage.format_message(), ctx)


class OneLineGroup(click.Group):
    """A group whose usage errors are one line, too."""

    command_class = OneLine

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click. Refuses like everything else that cannot be used."""
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise  # it shows the commands
        except click.UsageError as usage:
            refuse(usage.format_message(), ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click. A command that is not there is refused in one line, too."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as usage:
            refuse(usage.format_message(), ctx)


def resolved(flags: Mapping[str, object], config: str | None) -> Settings:
    """The settings of a command, all sources together. Raises SettingsRefused."""
    return settings.resolve(flags, os.environ, document(config), config or "")


def document(path: str | None) -> bytes | None:
    """The content of the TOML file, if one is named. Raises SettingsRefused."""
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as trouble:
        raise SettingsRefused(f"{path}: cannot be read: {trouble.strerror}") from None


def say(line: str) -> None:
    """One line on standard output."""
    click.echo(line)


def refuse(why: object, context: click.Context | None = None) -> NoReturn:
    """Say in one line why nothing was done, and end."""
    with suppress(BrokenPipeError):
        print(f"busproof {_program(context)}: {why}", file=sys.stderr, flush=True)  # noqa: T201  # the one line for the operator
    raise SystemExit(exits.code(Outcome.REFUSED))


def _program(context: click.Context | None) -> str:
    """The words of the command, without what stands before them."""
    context = context or click.get_current_context(silent=True)
    names: list[str] = []
    while context is not None and context.command.name not in (None, "main"):
        names.insert(0, str(context.command.name))
        context = context.parent
    return " ".join(names) or "serve"
