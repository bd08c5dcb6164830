"""Silence: a stream on which nothing happens is kept alive, byte for byte."""

from collections.abc import Iterator

from conformance.agent.grammar import KEEP_ALIVE
from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.frames import Frame
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

QUIET = "quiet"

# SSE-4: every 25 s, and no silence longer than 30 s; one second more to see that it was too long.
SILENCE_SECONDS = 30.0
PATIENCE_SECONDS = 31.0


async def act(stage: Stage) -> None:
    await stage.fresh_domain("quiet")
    await acts.own_node(stage, "quiet_node", domain="quiet")
    async with stage.stream(QUIET, identity="quiet_node") as probe:
        await probe.head()
        await probe.until(_kept_alive, within=PATIENCE_SECONDS)


def _kept_alive(frame: Frame) -> bool:
    return frame.raw == KEEP_ALIVE


def judge(transcript: Transcript) -> Iterator[Finding]:
    exchange = reading.answered(transcript, QUIET)
    assert exchange.head is not None  # noqa: S101  # `answered` asked for a 200
    if reading.events(exchange):
        raise CannotJudge("something happened on the quiet Node's stream")
    whole = reading.placed(exchange)
    times = [each.at for each in whole if each.frame.raw == KEEP_ALIVE]
    waited = ((times[0] if times else exchange.ended_at) - exchange.head.at) / reading.NANOSECONDS
    seen = f"after {waited:.1f} s" if times else f"none in {waited:.1f} s, but {exchange.body[:80]!r}"
    holds = bool(times) and waited <= SILENCE_SECONDS
    yield reading.finding("SSE-4", holds, f":keep-alive within {SILENCE_SECONDS:g} s", seen, exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="keepalive",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=35,
        budget_reason="a keep-alive is due after 25 s and late after 30 s (SSE-4)",
        act=act,
    ),
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="SSE-004",
        title="A silent stream is kept alive",
        clauses=("SSE-4",),
        profile="stream",
        scenario="keepalive",
        judge=judge,
        timed=True,
    ),
)
