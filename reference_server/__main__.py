"""The command line: `serve`, its options made of the settings table, and the exit codes."""

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click
import structlog
import trio

from reference_server import logs, serve, settings
from reference_server.settings import ROWS, Row, Settings, SettingsRefused

# suite.md: 2 says that usage or configuration was refused; 1 that the server ended on a defect.
REFUSED = 2
CRASHED = 1
# The store, its log and the fault channel are nobody else's.
_OWNER_ALONE = 0o077


@click.group()
def main() -> None:
    """The reference server of the signed SSE event bus."""


def _option(name: str, row: Row) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
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


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, row in reversed(list(ROWS.items())):
        if not row.secret:
            command = _option(name, row)(command)
    return command


class _ServeCommand(click.Command):
    """A command whose usage errors are one line, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click. Refuses like everything else that cannot be used."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as usage:
            _refuse(SettingsRefused(usage.format_message()))


@main.command("serve", cls=_ServeCommand, short_help="Start the reference server.")
@click.option("--config", metavar="FILE", help="TOML file of settings, named as the flags with _ for -.")
@_with_options
def serve_command(config: str | None, **flags: object) -> None:
    """Start the reference server and serve until SIGTERM or SIGINT.

    Every option is a setting: a flag wins over its environment variable, that over the TOML file. Secrets are
    never flags: BUSPROOF_MASTER_KEY (the master key itself, base64 of 32 bytes), BUSPROOF_DATABASE_PASSWORD,
    BUSPROOF_NATS_TOKEN.
    """
    try:
        resume = serve.resumed(os.environ)
        os.environ.pop(serve.RESUME_VARIABLE, None)
        chosen = settings.resolve(flags, os.environ, _document(config), config or "")
    except SettingsRefused as refusal:
        _refuse(refusal)
    raise SystemExit(_serve(chosen, resume))


@main.command("relay", cls=_ServeCommand, short_help="Carry the outbox to the log, and nothing else.")
@click.option("--config", metavar="FILE", help="TOML file of settings, named as the flags with _ for -.")
@_with_options
def relay_command(config: str | None, **flags: object) -> None:
    """Run a relay between Postgres and NATS until SIGTERM or SIGINT, with health and metrics at its port.

    Any number may run: one of them relays, the others stand by. Options and secrets are those of `serve`.
    """
    try:
        chosen = settings.resolve(flags, os.environ, _document(config), config or "")
    except SettingsRefused as refusal:
        _refuse(refusal)
    raise SystemExit(_run(chosen, lambda: _relay(chosen)))


async def _relay(chosen: Settings) -> None:
    from reference_server import relaying  # noqa: PLC0415  # what serves a file does not need it

    await relaying.run(chosen, lambda url: serve.tell_ready(chosen, url))


def _document(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as trouble:
        raise SettingsRefused(f"{path}: cannot be read: {trouble.strerror}") from None


def _serve(chosen: Settings, resume: serve.Resume | None) -> int:
    return _run(chosen, lambda: serve.run(chosen, resume))


def _run(chosen: Settings, program: Callable[[], Awaitable[serve.Resume | None]]) -> int:
    """Run one of the two programs to its end; the process's exit code."""
    os.umask(_OWNER_ALONE)
    writer = logs.Writer(sys.stderr.buffer)
    logs.configure(chosen.log_format, chosen.log_level, writer)
    try:
        left = trio.run(program)
    except BaseException as failure:
        refusal = _refusal_in(failure)
        if refusal is None and not isinstance(failure, KeyboardInterrupt):
            structlog.get_logger().error("server_crashed", exc_info=failure)
        writer.close()
        if refusal is not None:
            _refuse(refusal)
        return CRASHED
    writer.close()
    return 0 if left is None else _become(left)


def _refusal_in(failure: BaseException) -> SettingsRefused | None:
    """The refusal that ended the start, also where a nursery wrapped it."""
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure if isinstance(failure, SettingsRefused) else None


def _refuse(refusal: SettingsRefused) -> NoReturn:
    with suppress(BrokenPipeError):
        print(f"busproof {_program()}: {refusal}", file=sys.stderr, flush=True)  # noqa: T201  # the one line for the operator
    raise SystemExit(REFUSED)


def _program() -> str:
    context = click.get_current_context(silent=True)
    return "serve" if context is None or context.info_name is None else context.command.name or "serve"


def _become(left: serve.Resume) -> int:
    """Go on as a fresh process on the same sockets."""
    import msgspec  # noqa: PLC0415  # only a restart needs it here

    os.environ[serve.RESUME_VARIABLE] = msgspec.json.encode(left).decode()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # the very command that started this process


if __name__ == "__main__":
    main(prog_name="python -m reference_server")
