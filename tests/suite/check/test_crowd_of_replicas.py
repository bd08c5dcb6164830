"""A limit of streams that each replica counts by itself is judged on one, wherever a balancer leads."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from conformance import acting
from conformance.check import registry
from conformance.probe.stage import Stage
from conformance.target import reference
from conformance.verdict.lattice import Verdict
from tests.suite.check.test_recorded import verdicts
from tests.suite.mutants import bench


async def test_a_crowd_stays_with_one_of_several_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[int | None] = []
    stream = Stage.stream

    def noted(self: Stage, label: str, **asked: Any) -> Any:
        places.append(asked.get("replica"))
        return stream(self, label, **asked)

    monkeypatch.setattr(Stage, "stream", noted)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(reference.started(descoped=False, claims=("stream",)))
        several = replace(target, base_urls=(target.base_url, target.base_url))
        kit = await bench.kit_for(several, ("stream",), stack)
        acted = await acting.act(registry.collect().scenarios["overcrowded"], kit)
    assert len(places) > 1 and set(places) == {0}
    assert verdicts(acted.transcript) == {"SSE-042": Verdict.PASS}
