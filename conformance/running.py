"""What `run` and `cleanup` do between the command line and the runner: read, refuse, start, show."""

import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import trio
from rich.console import Console

from conformance import runner
from conformance.acting import leaves
from conformance.catalogue.load import CatalogueMissing, catalogue
from conformance.check import registry
from conformance.probe import ledger as ledgers
from conformance.probe.vault import Vault, WeakSecret
from conformance.progress import Progress, Silent
from conformance.removal import remove_all
from conformance.report import github, record, terminal
from conformance.report.folder import RunFolder, SecretInOutput, Unwritable, guard
from conformance.target import callers, reach, reference
from conformance.target import file as target_file
from conformance.target.model import DriverSpec, Target
from conformance.verdict.exits import Outcome
from conformance.verdict.judge import origin_of
from conformance.verdict.whole import LIVE

RUNS = "busproof-runs"

# Profiles that a reference run does not claim by itself: one needs an unwired server, one certifies nothing.
_NOT_BY_DEFAULT = frozenset({reference.DESCOPED, LIVE})


# What `--format` takes. With the second and the third nothing else is written to standard output.
FORMS = ("text", "json", "github")


class Interrupted(Exception):
    """Somebody ended the run."""


class Refused(Exception):
    """The command cannot be carried out as given: usage, nothing is claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of `run` as they were given."""

    target: str | None
    reference: bool
    profiles: tuple[str, ...]
    select: tuple[str, ...]
    select_ok: bool
    seed: int | None
    out: Path | None
    driver: str | None
    allow: tuple[str, ...]
    headers: tuple[str, ...]
    max_connections: int | None
    budget_seconds: float | None
    form: str
    plan_only: bool


def run(options: RunOptions) -> Outcome:
    """Carries out `run` and says how it ended; every error is one clear line on standard error."""
    try:
        suite = runner.Suite(registry=registry.collect(), catalogue=catalogue())
        target = _target(options)
        order = _order(options, target, suite)
        if options.plan_only:
            return _plan(options, target, order, suite)
        return trio.run(_run, options, target, order, suite)
    except BaseException as error:
        outcome, text = _told(error)
        click.echo(f"busproof: {text}", err=True)
        if options.form == "github":
            click.echo(github.ended(outcome, text))
        return outcome


def cleanup(ledger: Path, spelled: str) -> Outcome:
    """Carries out `cleanup` and says how it ended."""
    try:
        base_url, made = ledgers.read(ledger)
        target = target_file.load(spelled)
        if target.base_url != base_url:
            raise ledgers.BadLedger(f"{ledger.name} is of another target: {base_url}")
        left = trio.run(remove_all, target, made)
    except (ledgers.BadLedger, target_file.BadTarget, WeakSecret) as wrong:
        click.echo(f"busproof: {wrong}", err=True)
        return Outcome.BAD_LEDGER
    for each in left:
        click.echo(f"left over: {each}")
    return Outcome.LEFT_OVER if left else Outcome.CLEANED


async def _run(
    options: RunOptions, target: Target | None, order: runner.Order, suite: runner.Suite
) -> Outcome:
    async with _interruptible(), _started(target, order) as chosen:
        vault = runner.vault_for(chosen, order)
        folder = RunFolder(options.out or _default_out(order), vault)
        with _progress(options, vault) as progress:
            done = await runner.run(chosen, order, suite, vault=vault, folder=folder, progress=progress)
    _show(options, done, vault, folder)
    return done.whole.outcome


@asynccontextmanager
async def _interruptible() -> AsyncIterator[None]:
    """Lets SIGTERM end the run as Ctrl-C does: what was started is stopped, and nothing is claimed."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:

        async def wait() -> None:
            async for _ in signals:
                raise Interrupted

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _started(target: Target | None, order: runner.Order) -> AsyncIterator[Target]:
    if target is not None:
        yield target
        return
    descoped = reference.DESCOPED in order.profiles
    async with reference.started(descoped=descoped, claims=order.profiles) as own:
        yield own


def _target(options: RunOptions) -> Target | None:
    if options.reference == bool(options.target):
        raise Refused("give either a target or --reference")
    if options.target is None:
        return None
    target = callers.with_caller(target_file.load(options.target), _headers(options))
    if options.driver is not None:
        command = tuple(shlex.split(options.driver))
        if not command:
            raise Refused("--driver is empty")
        target = replace(target, driver=DriverSpec(kind="command", command=command))
    return target


def _order(options: RunOptions, target: Target | None, suite: runner.Suite) -> runner.Order:
    select = _patterns(options.select) if options.select else None
    return runner.Order(
        profiles=_profiles(options, target, suite),
        seed=runner.fresh_seed() if options.seed is None else options.seed,
        select=select,
        select_ok=options.select_ok,
        allow=frozenset(options.allow),
        headers=callers.without_caller(_headers(options)),
        max_connections=options.max_connections,
        budget_seconds=options.budget_seconds or runner.DEFAULT_BUDGET_SECONDS,
    )


def _profiles(options: RunOptions, target: Target | None, suite: runner.Suite) -> tuple[str, ...]:
    known = suite.catalogue.profiles
    checked = {each.profile for each in suite.registry.checks.values()}
    own = [name for name in known if name in checked and name not in _NOT_BY_DEFAULT]
    claimed = own if target is None else target.claims
    asked = tuple(dict.fromkeys(options.profiles)) or tuple(claimed)
    if unknown := sorted(set(asked) - set(known)):
        raise Refused(f"no profile {', '.join(unknown)}; there are {', '.join(known)}")
    if not asked:
        raise Refused("the target claims no profile: give --profile")
    if LIVE in asked and len(asked) > 1:
        raise Refused("the live profile sends GETs alone and certifies nothing, so it is a run of its own")
    if LIVE in asked and target is not None and not callers.has_node(target):
        raise Refused(
            "live looks at one Node: --header 'Authorization: Bearer nsk_…', or node_a of a target file"
        )
    if target is None and reference.DESCOPED in asked and len(asked) > 1:
        raise Refused("the descoped profile needs an unwired server, so it is a run of its own")
    return asked


def _patterns(given: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns, those of every @FILE too."""
    found: list[str] = []
    for each in given:
        if not each.startswith("@"):
            found.append(each)
            continue
        try:
            lines = Path(each[1:]).read_text(encoding="utf-8").splitlines()
        except OSError as wrong:
            raise Refused(f"{each}: {wrong.strerror}") from wrong
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise Refused("the selection is empty")
    return tuple(found)


def _headers(options: RunOptions) -> tuple[tuple[str, str], ...]:
    return tuple(_header(each) for each in options.headers)


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise Refused("a --header is 'NAME: VALUE'")
    return name.strip(), value.strip()


def _plan(options: RunOptions, target: Target | None, order: runner.Order, suite: runner.Suite) -> Outcome:
    """Prints the plan. Nothing is started and nothing is sent."""
    assumed = target or reference.prospect(order.profiles)
    claims, planned = runner.plan(assumed, order, suite)
    click.echo(f"target {assumed.name}, grade up to {claims.grade.name}, seed {order.seed}")
    order_of = (("together", planned.together), ("alone", planned.alone), ("last", planned.last))
    for where, scenarios in order_of:
        for scenario in scenarios:
            checks = ", ".join(each.id for each in planned.checks[scenario.name])
            limits = f"{scenario.grade.name} {scenario.effect.value}, at most {scenario.budget_seconds:g} s"
            if scenario.requests is not None:
                limits += f" and {scenario.requests} requests"
            click.echo(f"{where}: {scenario.name} ({limits}): {checks}")
    for check, reason in planned.out_of_reach:
        click.echo(f"not testable: {check.id}: {reason}")
    for pattern in planned.unmatched:
        click.echo(f"nothing matches {pattern!r}")
    requests, connections = reach.limits(assumed, claims.effects)
    connections = reach.connections(order.max_connections, connections, claims.effects)
    click.echo(f"at most {requests} requests on {connections} connections at once")
    click.echo(f"expected: at most {planned.expected_seconds:g} s")
    return Outcome.PLANNED


def _default_out(order: runner.Order) -> Path:
    return Path(RUNS) / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{order.seed:x}"


@contextmanager
def _progress(options: RunOptions, vault: Vault) -> Iterator[Progress]:
    if options.form != "text":
        yield Silent()
    elif sys.stdout.isatty():
        with terminal.LiveProgress(Console(), vault.named) as live:
            yield live
    else:
        yield terminal.PlainProgress(_say(vault))


def _say(vault: Vault) -> Callable[[str], None]:
    def say(text: str) -> None:
        line = vault.named(text)
        guard(line.encode(), vault, "the terminal")
        click.echo(line)

    return say


def _show(options: RunOptions, done: record.RunRecord, vault: Vault, folder: RunFolder) -> None:
    if options.form == "json":
        click.echo(record.render(record.closed(done)), nl=False)
        return
    say = _say(vault)
    if options.form == "github":
        for line in github.lines(done, folder.root, vault.named):
            say(line)
        return
    if sys.stdout.isatty():
        Console().print(terminal.final_table(done, vault.named))
    for line in terminal.conclusion(done):
        say(line)
    say(f"run directory: {folder.root}")


_OUTCOMES: tuple[tuple[type[BaseException], Outcome], ...] = (
    (Refused, Outcome.USAGE),
    (callers.NoCaller, Outcome.USAGE),
    (target_file.BadTarget, Outcome.USAGE),
    (WeakSecret, Outcome.USAGE),
    (Unwritable, Outcome.UNWRITABLE),
    (SecretInOutput, Outcome.HARNESS_ERROR),
    (reference.ReferenceFailed, Outcome.HARNESS_ERROR),
    (registry.BrokenRegistry, Outcome.HARNESS_ERROR),
    (CatalogueMissing, Outcome.HARNESS_ERROR),
)


def _told(error: BaseException) -> tuple[Outcome, str]:
    """The outcome of an error that ended the command, and its one line."""
    leaf = next(leaves(error))
    if isinstance(leaf, KeyboardInterrupt | Interrupted):
        return Outcome.INCOMPLETE, "interrupted; nothing is claimed"
    if isinstance(leaf, SystemExit | GeneratorExit):
        raise leaf
    for kind, outcome in _OUTCOMES:
        if isinstance(leaf, kind):
            return outcome, str(leaf)
    return Outcome.HARNESS_ERROR, f"the suite broke: {origin_of(leaf)}"
