"""What the program has: commands with their flags, settings, metrics, log lines; for what speaks of it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

import busproof
from reference_server import metrics
from reference_server.settings import ROWS

ROOT = Path(__file__).resolve().parents[2]


def check_command(words: list[str]) -> None:
    """Fails where the words after `busproof` are no command with such flags and as many arguments."""
    command: click.Command = busproof.main
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    flags = {name for option in command.params for name in option.opts if isinstance(option, click.Option)}
    flags.add("--help")
    used = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert set(used) <= flags, f"{command.name} has no {set(used) - flags}"
    assert not isinstance(command, click.Group) or command.invoke_without_command, (
        f"{command.name} does nothing"
    )
    has_arguments = any(isinstance(parameter, click.Argument) for parameter in command.params)
    assert has_arguments or not words or words[0].startswith("--"), f"{command.name} takes no {words[0]}"


def commands(text: str) -> Iterator[list[str]]:
    """The words after `busproof` of every command line in shell blocks and in code spans."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`(busproof [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in [*lines, *spans]:
        words = shlex.split(line)
        if words[:1] == ["busproof"]:
            yield words[1:]


def metric_names() -> dict[str, str]:
    """The name that Prometheus shows, and the kind, of every metric of the server's registry."""
    shown = {}
    for family in metrics.create().registry.collect():
        shown[family.name + ("_total" if family.type == "counter" else "")] = family.type
    return shown


def log_lines() -> set[str]:
    """Every event name that the server logs."""
    pattern = re.compile(r'\.(?:info|warning|error|exception)\(\s*"([a-z_]+)"')
    sources = (ROOT / "reference_server").rglob("*.py")
    return {name for source in sources for name in pattern.findall(source.read_text(encoding="utf-8"))}


def settings() -> set[str]:
    """Every setting by its name."""
    return set(ROWS)
