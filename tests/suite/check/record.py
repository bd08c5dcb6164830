"""Records fixtures/transcripts anew: python -m tests.suite.check.record [CASE …]."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from conformance import acting
from conformance.check import registry
from conformance.report import ndjson
from conformance.target import reference
from tests.suite.mutants import bench

PLACE = Path(__file__).resolve().parents[3] / "fixtures" / "transcripts"
FAIL = "_fail"

# Each scenario that is kept, and the defect that its failing twin has.
DEFECTS = {
    "tail": "data-before-event",
    "resume": "cursor-sent-again",
    "isolation": "whole-domain-on-each-stream",
    "rotation": "old-key-goes-on",
    "rotations": "chain-of-the-last-two",
    "pull": "peers-backwards",
    "gates": "existence-before-relation",
    "ladder": "id-before-caller",
    "ladder_away": "events-wired-last",
    "cursors": "cursors-by-int",
    "impostors": "manage-is-node-agent",
    "joining_edges": "edge-ends-the-replay",
    "overcrowded": "newest-makes-room",
    "disclosures": "secrets-told-to-peers",
    "keyless": "keyless-rows-lost",
    "leaving": "silent-departure",
    "far_cursor": "window-without-end",
    "around": "bounds-of-its-own-subject",
    "keepalive": "other-keep-alive",
    "database_away": "copies-look-fresh",
    "database_stale": "copies-never-grow-old",
    "rotation_away": "rotation-lost-in-an-outage",
    "descoped": "unwired-is-not-found",
}
CASES = (*DEFECTS, *(name + FAIL for name in DEFECTS))


async def record(case: str) -> None:
    """Acts the case's scenario against a server of its own and stores what was recorded."""
    name = case.removesuffix(FAIL)
    defect = DEFECTS[name] if case.endswith(FAIL) else ""
    launch = ("-m", "fixtures.broken", defect) if defect else reference.LAUNCH
    async with AsyncExitStack() as stack:
        started = reference.started(descoped=name == bench.DESCOPED, claims=("stream",), launch=launch)
        kit = await bench.kit_for(await stack.enter_async_context(started), ("stream",), stack)
        acted = await acting.act(registry.collect().scenarios[name], kit)
    if acted.obstacle is not None:
        raise SystemExit(f"{case}: {acted.reason}")
    (PLACE / case).mkdir(parents=True, exist_ok=True)
    (PLACE / case / "transcript.ndjson").write_bytes(ndjson.render(acted.transcript))
    if defect:
        (PLACE / case / "defect.txt").write_text(defect + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in sys.argv[1:] or CASES:
        trio.run(record, each)
