"""Generates requests out of the target's document, sends them as ours, looks for smaller ones that fail, too.

The engine is synchronous: it runs in a worker thread, and what has to be sent comes back to trio.
"""

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import trio

from conformance.check import contract_rules as rules
from conformance.check.contract_document import DOCUMENT, Document, read, streams
from conformance.probe import binding
from conformance.probe.binding import Own
from conformance.probe.draft import Draft, Phase
from conformance.probe.generator import Amounts, Answer, Generator
from conformance.probe.permit import Permit
from conformance.probe.policy import READING
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange
from conformance.target import reach
from conformance.target.grade import Effect

# Requests side by side: two cores are shared with the target and with every other scenario.
AT_ONCE = 2

# The whole run certifies within 60 s: after so long what is left of the random drafts is left out.
ENOUGH_SECONDS = 14.0

# Shrinking and chains together; a run where much fails must end, too.
AFTERWARDS_SECONDS = 12.0

# A failing request is made smaller by at most so many others, for so many failures.
SHRINK_TRIES, SHRUNK = 40, 4

CHAINS, STEPS = 10, 8

SEED_BITS = 32

# How the run's seed stands in the transcript, and what was not sent and why.
SEEDED, KEPT_BACK, LEFT_OUT = "generator", "kept back", "left out"

_METHODS = ("get", "put", "post", "patch", "delete")
_CREATED = range(200, 300)
_UNSERVED = 501


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """As whom requests are sent: the labels of a Node and of an operator, where they are there."""

    node: str | None
    operator: str | None

    def of(self, schemes: Iterable[str]) -> str:
        """The caller for an operation of these security schemes."""
        known = tuple(schemes)
        if "nskBearer" in known and self.node is not None:
            return self.node
        return self.operator if known and self.operator is not None else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one scenario generates: for which operations, how much, within how many requests."""

    reading: bool
    amounts: Amounts
    requests: int


@dataclass(slots=True)
class _Work:
    stage: Stage
    document: Document
    job: Job
    own: Own
    callers: Callers
    permit: Permit
    sent: list[tuple[Draft, Exchange]] = field(default_factory=list)
    unserved: set[str] = field(default_factory=set)
    left: int = field(init=False)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.left = self.job.requests

    async def send(self, draft: Draft) -> Exchange | None:
        """Sends a draft about what is ours, if it may leave and the bound allows it."""
        stage, mine = self.stage, binding.bound(draft, self.own)
        slug = (
            stage.slug(f"generated-{next(self.numbers)}") if binding.domain_slug(mine) is not None else None
        )
        mine = mine if slug is None else binding.with_slug(mine, slug)
        reason = self.permit.refusal(mine)
        if reason:
            stage.mark(KEPT_BACK, reason=reason, method=mine.method, template=mine.template)
        if reason or self.left <= 0:
            if slug is not None:
                stage.settled(slug, None)  # what is not sent creates nothing
            return None
        self.left -= 1
        number = next(self.numbers)
        exchange = await stage.request(
            f"{draft.phase.value} {draft.operation or draft.template} #{number}",
            mine.method,
            mine.target,
            identity=self._caller(mine),
            headers=(("Content-Type", mine.content_type),) if mine.content_type else (),
            body=mine.body or None,
        )
        self.sent.append((draft, exchange))
        self._learn(mine, exchange, slug)
        return exchange

    def _caller(self, draft: Draft) -> str:
        operations = self.document.raw["paths"][draft.template]
        operation = operations.get(draft.method.lower()) or next(
            operations[name] for name in _METHODS if name in operations
        )
        listed = operation.get("security", self.document.raw.get("security", ()))
        return self.callers.of(name for each in listed for name in each)

    def _learn(self, draft: Draft, exchange: Exchange, slug: str | None) -> None:
        status = 0 if exchange.head is None else exchange.head.status
        if status == _UNSERVED:
            self.unserved.add(draft.operation)
        created = status in _CREATED
        if created:
            self.permit.accepted(draft, exchange.body)
        named = rules.named(exchange.body)
        if slug is not None and (created or status in rules.CLIENT_ERRORS):
            self.stage.settled(slug, named.get("id") if created else None)
        if created and draft.method == "POST" and "node_id" in named and "nsk" in named:
            self.stage.took_node(self.own.things.get("domains", ""), named["node_id"])


async def generate(stage: Stage, job: Job, own: Own, callers: Callers) -> None:
    """The whole of it: drafts, sending, shrinking, chains. The seed stands in the transcript."""
    fetched = await stage.request(DOCUMENT, "GET", "/v1/openapi.json")
    document = read(0 if fetched.head is None else fetched.head.status, fetched.body)
    seed = stage.rng.getrandbits(SEED_BITS)
    stage.mark(SEEDED, seed=seed, requests=job.requests)
    may_write = not job.reading and Effect.WRITE_OWN in stage.claims.effects
    permit = Permit(ours=own.ids, may_write=may_write, may_last=reach.loopback(stage.target))
    work = _Work(stage, document, job, own, callers, permit)
    generator = await trio.to_thread.run_sync(lambda: Generator(document.raw, seed=seed))
    await _send_all(work, await trio.to_thread.run_sync(_first, generator, document, job))
    await _send_all(work, await trio.to_thread.run_sync(_drafts, generator, work))
    if rules.conforming(document, (exchange for _, exchange in work.sent)) is None:
        return  # nothing can be concluded from more of it
    with trio.move_on_after(AFTERWARDS_SECONDS):
        await _shrink(work, generator)
        if not job.reading:
            await trio.to_thread.run_sync(_chain, work, generator)


def operations(document: Document, *, reading: bool) -> Iterator[tuple[str, str, str]]:
    """Id, method and template of the operations to generate for; streams have checks of their own."""
    for template, item in document.raw["paths"].items():
        for method in _METHODS:
            operation = item.get(method)
            if operation is not None and (method.upper() in READING) is reading and not streams(operation):
                yield str(operation.get("operationId", f"{method} {template}")), method, template


def own_rng(stage: Stage) -> random.Random:
    """Random numbers for what is bound into drafts, apart from those that the scenario draws itself."""
    return random.Random(stage.rng.getrandbits(SEED_BITS))  # noqa: S311  # to be repeatable


def _first(generator: Generator, document: Document, job: Job) -> list[Draft]:
    """One draft for each operation: for what a target does not serve no more of them are made."""
    return [
        each for each in itertools.starmap(generator.first, operations(document, reading=job.reading)) if each
    ]


def _drafts(generator: Generator, work: _Work) -> list[Draft]:
    """Those of what is served, turn by turn: whatever cuts them off, each operation has had its share."""
    made, first = [], {draft for draft, _ in work.sent}
    for name, method, template in operations(work.document, reading=work.job.reading):
        if name not in work.unserved:
            trio.from_thread.check_cancelled()
            drafts = generator.drafts(name, method, template, work.job.amounts)
            made.append([each for each in drafts if each not in first and _may_leave(each, work.job)])
    turns = itertools.zip_longest(*made)
    return [draft for turn in turns for draft in turn if draft is not None]


def _may_leave(draft: Draft, job: Job) -> bool:
    return not job.reading or draft.method in READING


async def _send_all(work: _Work, drafts: Iterable[Draft]) -> None:
    left = iter(drafts)
    enough = trio.current_time() + ENOUGH_SECONDS

    async def worker() -> None:
        for draft in left:
            if trio.current_time() > enough:
                work.stage.mark(LEFT_OUT, reason=f"{ENOUGH_SECONDS:g} s were over", sent=len(work.sent))
                return
            if draft.operation not in work.unserved:
                await work.send(draft)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(worker)


async def _shrink(work: _Work, generator: Generator) -> None:
    """Smaller requests for what fails and is random: the judge of each is the judge of the checks."""
    exchanges = tuple(exchange for _, exchange in work.sent)
    drafts = {exchange.label: draft for draft, exchange in work.sent}
    worst = rules.smallest(rules.breaches(work.document, exchanges))
    fuzzed = [
        (drafts[breach.exchange.label], breach)
        for breach, _ in worst.values()
        if drafts[breach.exchange.label].phase is Phase.FUZZING
    ]
    for draft, breach in fuzzed[:SHRUNK]:
        await trio.to_thread.run_sync(_shrink_one, work, generator, draft, breach)


def _shrink_one(work: _Work, generator: Generator, draft: Draft, breach: rules.Breach) -> None:
    def wrong(smaller: Draft) -> bool:
        exchange = trio.from_thread.run(work.send, smaller)
        return exchange is not None and any(
            each.wrong is breach.wrong and each.operation == breach.operation
            for each in rules.breaches_of(work.document, exchange)
        )

    generator.shrink(draft, wrong, tries=SHRINK_TRIES)


def _chain(work: _Work, generator: Generator) -> None:
    def send(draft: Draft) -> Answer | None:
        exchange = trio.from_thread.run(work.send, draft)
        if exchange is None or exchange.head is None:
            return None
        return Answer(status=exchange.head.status, headers=dict(exchange.head.headers), body=exchange.body)

    own = {name for reading in (True, False) for name, *_ in operations(work.document, reading=reading)}
    generator.chains(send, own - work.unserved, chains=CHAINS, steps=STEPS)
