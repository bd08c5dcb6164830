"""The console script: one command over the two programs, each imported only when its command is called.

This file alone knows both; they never import each other.
"""

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import click

_SUITE = ("conformance.cli", "cli")


def _load(module: str, attribute: str) -> click.Command:
    loaded = getattr(importlib.import_module(module), attribute)
    assert isinstance(loaded, click.Command)  # noqa: S101  # what the callers name
    return loaded


def _serve() -> click.Command:
    return _load("reference_server.__main__", "serve_command")


def _relay() -> click.Command:
    return _load("reference_server.__main__", "relay_command")


def _db() -> click.Command:
    return _load("reference_server.commands.db", "db_command")


def _broken() -> click.Command:
    """Passes everything on: a defect is planted before the server, and so its options, may be imported."""
    launcher = importlib.import_module("fixtures.broken.__main__")

    def launch(arguments: tuple[str, ...]) -> None:
        launcher.main(list(arguments))

    return click.Command(
        "broken",
        callback=launch,
        params=[
            click.Argument(
                ["arguments"], nargs=-1, type=click.UNPROCESSED, metavar="[NAME] [OPTIONS OF serve]"
            )
        ],
        help="Serve one of the planted defects or null servers; without a name, list them.",
        context_settings={"ignore_unknown_options": True},
    )


# The commands that are not the suite's own.
_ELSEWHERE: Mapping[str, Callable[[], click.Command]] = MappingProxyType(
    {"serve": _serve, "relay": _relay, "db": _db, "broken": _broken}
)


class _Commands(click.Group):
    """The suite's commands, `serve`, `relay`, `db` and `broken`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command by name."""
        suite = _load(*_SUITE)
        own = suite.list_commands(ctx) if isinstance(suite, click.Group) else []
        return sorted([*own, *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, from where it lives."""
        if cmd_name in _ELSEWHERE:
            return _ELSEWHERE[cmd_name]()
        suite = _load(*_SUITE)
        return suite.get_command(ctx, cmd_name) if isinstance(suite, click.Group) else None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="busproof", prog_name="busproof")
def main() -> None:
    """Conformance suite and reference server of the signed SSE event bus."""


if __name__ == "__main__":
    main(prog_name="busproof")
