"""Coming back after an outage: tried with a pause, as an agent does, until the stream is there again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import trio

from conformance.check.model import CannotJudge
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Exchange, Transcript

# OUT-8 sets no time; twenty seconds are patient, also with a process that has to start first.
_TRIES, _PAUSE = 80, 0.25
HEAD_SECONDS = 3.0


@asynccontextmanager
async def returned(
    stage: Stage, label: str, *, identity: str, cursor: str | None = None
) -> AsyncIterator[StreamProbe | None]:
    """The stream once it is answered with something else than 503 or silence; None if it never is.

    Each attempt has the label with its number behind it.
    """
    for turn in range(1, _TRIES + 1):
        async with stage.stream(f"{label} {turn}", identity=identity, cursor=cursor) as probe:
            head = await probe.head(HEAD_SECONDS)
            if head is not None and head.status != HTTPStatus.SERVICE_UNAVAILABLE:
                yield probe
                return
        await trio.sleep(_PAUSE)
    yield None


def last_try(transcript: Transcript, label: str) -> Exchange:
    """The attempt that ended the waiting; raises CannotJudge if nobody came back."""
    found = [each for each in transcript.labelled(label) if each.label[len(label) + 1 :].isdigit()]
    if not found:
        raise CannotJudge(f"the scenario never came back to {label!r}")
    return max(found, key=lambda each: int(each.label[len(label) + 1 :]))
