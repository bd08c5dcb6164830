"""What `busproof vectors` does: choose the cases, ask the command, tell how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import trio

from conformance.acting import leaves
from conformance.schemas import validate
from conformance.vectors import cases, tool
from conformance.vectors.cases import NoVectors, Question, Verb
from conformance.verdict.exits import EXITS, Outcome, code
from conformance.verdict.judge import origin_of

FORMAT = "busproof/vectors/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOptions:
    """The options of `vectors` as they were given."""

    command: tuple[str, ...]
    chosen: tuple[int, ...]
    seconds: float
    form: str


def run(options: VectorOptions) -> Outcome:
    """Carries out `vectors` and says how it ended; every error is one clear line on standard error."""
    try:
        return _run(options)
    except BaseException as error:
        outcome, text = _told(next(leaves(error)))
        click.echo(f"busproof: {text}", err=True)
        return outcome


def _run(options: VectorOptions) -> Outcome:
    every = cases.questions()
    if unknown := sorted(set(options.chosen) - {each.case for each in every}):
        click.echo(f"busproof: there is no case {', '.join(map(str, unknown))}", err=True)
        return Outcome.VECTORS_USAGE
    chosen = [each for each in every if not options.chosen or each.case in options.chosen]
    told = trio.run(_asked, options, chosen)
    outcome = _outcome(told, options)
    _show(told, outcome, options)
    return outcome


def _told(leaf: BaseException) -> tuple[Outcome, str]:
    """The outcome of an error that ended the command, and its one line."""
    if isinstance(leaf, KeyboardInterrupt):
        return Outcome.VECTORS_INCOMPLETE, "interrupted; nothing is claimed"
    if isinstance(leaf, NoVectors):
        return Outcome.VECTORS_BROKEN, str(leaf)
    return Outcome.VECTORS_BROKEN, f"the suite broke: {origin_of(leaf)}"


async def _asked(options: VectorOptions, chosen: Sequence[Question]) -> tool.Told:
    return await tool.ask(options.command, chosen, seconds=options.seconds)


def _outcome(told: tool.Told, options: VectorOptions) -> Outcome:
    """The first row that applies."""
    rows = (
        (bool(told.broke), Outcome.VECTORS_BROKEN),
        (bool(told.wrong), Outcome.VECTORS_FAILED),
        (not told.answers or bool(options.chosen), Outcome.VECTORS_INCOMPLETE),
    )
    return next((outcome for applies, outcome in rows if applies), Outcome.VECTORS_PASSED)


def _show(told: tool.Told, outcome: Outcome, options: VectorOptions) -> None:
    if options.form == "json":
        document = _document(told, outcome)
        validate.check("vectors", document)
        click.echo(validate.line(document), nl=False)
    else:
        for line in _lines(told):
            click.echo(_printable(line))
        click.echo(f"{outcome.value.replace('_', ' ')}: {EXITS[outcome].says} (exit {code(outcome)})")
    if told.broke:
        click.echo(f"busproof: {_printable(told.broke)}", err=True)


def _printable(text: str) -> str:
    """JSON can spell halves of surrogate pairs, which no encoding takes."""
    return text.encode(errors="backslashreplace").decode()


def _lines(told: tool.Told) -> list[str]:
    lines = [f"fail {each.question.name}: {each.wrong}" for each in told.wrong]
    if told.broke:
        return [*lines, f"{len(told.answers)} questions were answered before it broke"]
    lines += [
        f"{each.value}: {told.count(each)[0]} of {told.count(each)[1]} as they must be"
        if each in told.offers
        else f"{each.value}: not tested, {told.name or 'the command'} does not offer it"
        for each in Verb
    ]
    return lines


def _document(told: tool.Told, outcome: Outcome) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": told.name,
        "outcome": outcome.value,
        "exit": code(outcome),
        "offers": [each.value for each in told.offers],
        "not_offered": [each.value for each in Verb if each not in told.offers],
        "broke": told.broke,
        "answers": [
            {
                "case": each.question.case,
                "verb": each.question.verb.value,
                "comment": each.question.comment,
                "flags": list(each.question.flags),
                "holds": not each.wrong,
                "wrong": each.wrong,
            }
            for each in told.answers
        ],
    }
