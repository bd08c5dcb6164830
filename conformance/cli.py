"""The commands of the suite, run to vectors. Each ends by a row of verdict/exits.py."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from conformance import running
from conformance.catalogue.load import Catalogue, CatalogueMissing, catalogue
from conformance.check import registry
from conformance.check.model import Check
from conformance.running import RunOptions
from conformance.target import file as target_file
from conformance.target import sample
from conformance.vectors import command as vectoring
from conformance.vectors import tool
from conformance.vectors.command import VectorOptions
from conformance.verdict.exits import Outcome, code

# `-` would read the target from standard input, which nobody asked for.
_TARGET = click.argument("target", required=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="busproof", prog_name="busproof")
def cli() -> None:
    """Conformance suite of the signed SSE event bus."""


@cli.command("run")
@_TARGET
@click.option("--reference", is_flag=True, help="Start the reference server and run against it.")
@click.option("--profile", "profiles", multiple=True, help="A profile to check (default: what is claimed).")
@click.option(
    "--select",
    "select",
    multiple=True,
    metavar="PATTERN",
    help="Only checks whose id, scenario or clause matches; @FILE reads patterns, one a line.",
)
@click.option(
    "--select-ok", is_flag=True, help="A selection that passed exits 0. It still certifies nothing."
)
@click.option("--seed", type=click.IntRange(min=0), help="Repeat a run's order and choices.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The run directory (default: below busproof-runs)."
)
@click.option("--driver", metavar="COMMAND", help="A driver command, instead of the target file's.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["write", "disruptive"]),
    help="Allow more than reading on a target that is not on this machine.",
)
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent with every request.")
@click.option("--max-connections", type=click.IntRange(min=1), help="At most so many at once.")
@click.option("--budget-seconds", type=click.FloatRange(min=1), help="Stop acting after this long.")
@click.option(
    "--format",
    "form",
    type=click.Choice(running.FORMS),
    default="text",
    show_default=True,
    help="json: run.json alone. github: annotations of a workflow alone.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be done; send nothing.")
def run_command(**options: object) -> NoReturn:
    """Run the checks against TARGET, a base URL or a target file."""
    sys.exit(code(running.run(RunOptions(**options))))  # type: ignore[arg-type]  # click's types are these


@cli.command("list")
@click.option("--profile", "profiles", multiple=True, help="Only this profile's checks.")
def list_command(profiles: tuple[str, ...]) -> NoReturn:
    """List the checks with clauses, grade and effect."""
    known = _loaded()
    for check in _of(known, profiles):
        scenario = known[0].scenarios[check.scenario]
        where = f"{check.profile:<10} {scenario.grade.name} {scenario.effect.value:<10}"
        click.echo(f"{check.id:<12} {where} {','.join(check.clauses):<24} {check.title}")
    sys.exit(code(Outcome.LISTED))


@cli.command("explain")
@click.argument("check_id", metavar="CHECK")
def explain_command(check_id: str) -> NoReturn:
    """Explain one check: clauses, what it does, which planted defects it catches."""
    known, data = _loaded()
    check = known.checks.get(check_id)
    if check is None:
        _refuse(f"there is no check {check_id!r}; busproof list shows them", Outcome.UNKNOWN_CHECK)
    for line in _explained(check, known, data):
        click.echo(line)
    sys.exit(code(Outcome.EXPLAINED))


@cli.group("target")
def target_group() -> None:
    """Write and check target files."""


@target_group.command("init")
@click.argument("path", type=click.Path(path_type=Path))
def target_init(path: Path) -> NoReturn:
    """Write a target file to fill in; an existing one is never overwritten."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(sample.TEXT)
    except OSError as wrong:
        _refuse(f"{path.name} cannot be written: {wrong.strerror}", Outcome.TARGET_EXISTS)
    click.echo(f"wrote {path.name}; fill it in, then: busproof target lint {path.name}")
    sys.exit(code(Outcome.TARGET_WRITTEN))


@target_group.command("lint")
@click.argument("path", type=click.Path(path_type=Path))
def target_lint(path: Path) -> NoReturn:
    """Check a target file: its schema, its profiles, and that its secrets can be found."""
    try:
        target = target_file.load(str(path))
        _, data = _loaded()
        if unknown := sorted(set(target.claims) - set(data.profiles)):
            raise target_file.BadTarget(f"no profile {', '.join(unknown)}")
    except target_file.BadTarget as wrong:
        _refuse(str(wrong), Outcome.TARGET_INVALID)
    click.echo(f"{path.name} is valid: {len(target.identities)} identities, driver {target.driver.kind}")
    sys.exit(code(Outcome.TARGET_VALID))


@cli.command("cleanup")
@click.argument("ledger", type=click.Path(path_type=Path))
@click.argument("target")
def cleanup_command(ledger: Path, target: str) -> NoReturn:
    """Remove what a crashed run left on TARGET, by its LEDGER; only Domains of our own prefix."""
    sys.exit(code(running.cleanup(ledger, target)))


@cli.command("vectors", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND…")
@click.option("--case", "chosen", multiple=True, type=click.IntRange(min=1), help="Ask only this case.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=0.1, max=600),
    default=tool.ANSWER_SECONDS,
    show_default=True,
    help="Seconds for one answer.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def vectors_command(**options: object) -> NoReturn:
    """Drive any signer or verifier through the envelope vectors: COMMAND speaks JSON lines."""
    if not options["command"]:
        _refuse("give the command behind --: busproof vectors -- COMMAND…", Outcome.VECTORS_USAGE)
    sys.exit(code(vectoring.run(VectorOptions(**options))))  # type: ignore[arg-type]  # click's types are these


def _explained(check: Check, known: registry.Registry, data: Catalogue) -> Sequence[str]:
    scenario = known.scenarios[check.scenario]
    kills = data.checks[check.id].kills if check.id in data.checks else ()
    lines = [f"{check.id}: {check.title}", f"profile {check.profile}, scenario {check.scenario}"]
    needs = ", ".join((scenario.grade.name, *sorted(scenario.needs)))
    lines.append(f"needs {needs}, effect {scenario.effect.value}")
    lines.append(f"budget {scenario.budget_seconds:g} s: {scenario.budget_reason}")
    for name in check.clauses:
        clause = data.clauses.get(name)
        lines.append(f"{name} {clause.keyword}: {clause.text}" if clause else f"{name}: not in the catalogue")
    lines.append(f"catches: {', '.join(kills) or 'nothing recorded'}")
    return lines


def _of(known: tuple[registry.Registry, Catalogue], profiles: tuple[str, ...]) -> list[Check]:
    if unknown := sorted(set(profiles) - set(known[1].profiles)):
        _refuse(f"no profile {', '.join(unknown)}", Outcome.USAGE)
    return [each for each in known[0].checks.values() if not profiles or each.profile in profiles]


def _loaded() -> tuple[registry.Registry, Catalogue]:
    try:
        return registry.collect(), catalogue()
    except (registry.BrokenRegistry, CatalogueMissing) as broken:
        _refuse(str(broken), Outcome.HARNESS_ERROR)


def _refuse(text: str, outcome: Outcome) -> NoReturn:
    click.echo(f"busproof: {text}", err=True)
    sys.exit(code(outcome))
