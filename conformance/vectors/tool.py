"""Asks a command the questions: one JSON object a line, one at a time, each answer within its time."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from conformance.probe.obstacle import DriverFault
from conformance.schemas import validate
from conformance.target import driver
from conformance.vectors import cases
from conformance.vectors.cases import Question, Verb

WHO = "the command"

# An interpreter that starts on a busy machine takes seconds.
HELLO_SECONDS = 20.0

# One signature and some kilobytes of JSON are a matter of milliseconds; the rest is for a busy machine.
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question with what is wrong about its answer; empty if nothing is."""

    question: Question
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a command came to. `broke` says how it broke the protocol, and where; empty if it did not."""

    name: str = ""
    offers: tuple[Verb, ...] = ()
    answers: tuple[Answered, ...] = ()
    broke: str = ""

    @property
    def wrong(self) -> tuple[Answered, ...]:
        """The answers that are not as they must be."""
        return tuple(each for each in self.answers if each.wrong)

    def count(self, verb: Verb) -> tuple[int, int]:
        """How many questions of that verb were answered as they must, and how many were asked."""
        mine = [each for each in self.answers if each.question.verb is verb]
        return sum(not each.wrong for each in mine), len(mine)


async def ask(
    command: Sequence[str],
    questions: Sequence[Question],
    *,
    seconds: float = ANSWER_SECONDS,
    heard: Callable[[Answered], None] = lambda answered: None,
) -> Told:
    """Asks the command whatever it offers to answer. Never raises: what it breaks stands in `broke`."""
    told = Told()
    try:
        async with driver.child(tuple(command), WHO) as process:
            conversation = _Conversation(driver.CommandLines(process, WHO), seconds)
            told = await conversation.hello()
            answers: list[Answered] = []
            broke = ""
            for question in (each for each in questions if each.verb in told.offers):
                try:
                    answers.append(Answered(question=question, wrong=await conversation.put(question)))
                except DriverFault as fault:
                    broke = f"{question.name}: {fault}"
                    break
                heard(answers[-1])
            return Told(name=told.name, offers=told.offers, answers=tuple(answers), broke=broke)
    except DriverFault as fault:
        return Told(name=told.name, offers=told.offers, broke=str(fault))


class _Conversation:
    def __init__(self, lines: driver.CommandLines, seconds: float) -> None:
        self._lines = lines
        self._seconds = seconds
        self._numbers: Iterator[int] = itertools.count(1)

    async def hello(self) -> Told:
        answer = await self._asked("hello", {}, max(self._seconds, HELLO_SECONDS))
        result = self._result("hello", answer)
        return Told(name=result["name"], offers=tuple(each for each in Verb if each in result["offers"]))

    async def put(self, question: Question) -> str:
        """What is wrong with the answer; raises DriverFault."""
        answer = await self._asked(question.verb.value, question.parameters, self._seconds)
        if not answer["ok"]:
            error = answer["error"]
            return f"{WHO} refused to answer: {error['code']}: {error['message']}"
        return cases.judge(question, self._result(question.verb.value, answer))

    async def _asked(self, verb: str, parameters: Mapping[str, Any], seconds: float) -> driver.Answer:
        number = next(self._numbers)
        request = {"id": number, "verb": verb, "parameters": dict(parameters)}
        validate.check("vectors_request", request)
        with trio.move_on_after(seconds):
            return await self._lines.ask(validate.line(request), number)
        raise DriverFault(f"{WHO} did not answer {verb!r} within {seconds:g} s")

    def _result(self, verb: str, answer: driver.Answer) -> Mapping[str, Any]:
        if not answer["ok"]:
            raise DriverFault(f"{WHO} refused {verb!r}: {answer['error']['code']}")
        result: Mapping[str, Any] = answer["result"]
        try:
            validate.check(f"vectors_{verb}", result)
        except validate.Invalid as wrong:
            raise DriverFault(f"the result of {verb!r} breaks its schema: {wrong}") from wrong
        return result
