"""The command line: `serve`, its options made of the settings table, and the exit codes."""

import os
import sys
from collections.abc import Awaitable, Callable

import click
import structlog
import trio

from reference_server import exits, logs, serve
from reference_server.commands import console
from reference_server.commands.db import db_command
from reference_server.commands.skipped import skipped_command
from reference_server.exits import Outcome
from reference_server.settings import Settings, SettingsRefused

# The store, its log and the fault channel are nobody else's.
_OWNER_ALONE = 0o077


@click.group()
def main() -> None:
    """The reference server of the signed SSE event bus."""


main.add_command(db_command)


@main.command("serve", cls=console.OneLine, short_help="Start the reference server.")
@console.with_options()
def serve_command(config: str | None, **flags: object) -> None:
    """Start the reference server and serve until SIGTERM or SIGINT.

    Every option is a setting: a flag wins over its environment variable, that over the TOML file. Secrets are
    never flags: BUSPROOF_MASTER_KEY (the master key itself, base64 of 32 bytes), BUSPROOF_DATABASE_PASSWORD,
    BUSPROOF_NATS_TOKEN.
    """
    try:
        resume = serve.resumed(os.environ)
        os.environ.pop(serve.RESUME_VARIABLE, None)
        chosen = console.resolved(flags, config)
    except SettingsRefused as refusal:
        console.refuse(refusal)
    raise SystemExit(_serve(chosen, resume))


@main.group(
    "relay",
    cls=console.OneLineGroup,
    invoke_without_command=True,
    short_help="Carry the outbox to the log, and nothing else.",
)
@console.with_options()
@click.pass_context
def relay_command(context: click.Context, /, config: str | None, **flags: object) -> None:
    """Run a relay between Postgres and NATS until SIGTERM or SIGINT, with health and metrics at its port.

    Any number may run: one of them relays, the others stand by. Options and secrets are those of `serve`.
    """
    if context.invoked_subcommand is not None:
        if config is not None or any(given not in (None, ()) for given in flags.values()):
            console.refuse(f"options of `{context.invoked_subcommand}` come after its name")
        return
    try:
        chosen = console.resolved(flags, config)
    except SettingsRefused as refusal:
        console.refuse(refusal)
    raise SystemExit(_run(chosen, lambda: _relay(chosen)))


relay_command.add_command(skipped_command)


async def _relay(chosen: Settings) -> None:
    from reference_server import relaying  # noqa: PLC0415  # what serves a file does not need it

    await relaying.run(chosen, lambda url: serve.tell_ready(chosen, url))


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
            console.refuse(refusal)
        return exits.code(Outcome.CRASHED)
    writer.close()
    return exits.code(Outcome.STOPPED) if left is None else serve.become(left)


def _refusal_in(failure: BaseException) -> SettingsRefused | None:
    """The refusal that ended the start, also where a nursery wrapped it."""
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure if isinstance(failure, SettingsRefused) else None


if __name__ == "__main__":
    main(prog_name="python -m reference_server")
