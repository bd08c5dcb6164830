"""Whole runs of made checks against a tiny target: what goes wrong around checks never ends green."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from conformance import acting, runner, session
from conformance.check.model import Check, Effect, Finding, Grade, Scenario
from conformance.probe.obstacle import CannotAct, DriverFault
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript
from conformance.progress import Silent
from conformance.report import ndjson
from conformance.report.folder import RunFolder
from conformance.report.record import RunRecord, parse
from conformance.target.model import DriverSpec, Target
from conformance.verdict.exits import Outcome
from conformance.verdict.lattice import Verdict
from tests.suite.made import answered, catalogue, check, finding, of, scenario
from tests.suite.tiny import Answer, Asked, Tiny, ok, serving, target_at

ORDER = runner.Order(profiles=("stream",), seed=11)


async def polite(asked: Asked, stream: trio.SocketStream) -> None:
    await stream.send_all(ok(b'{"version":"1"}'))


async def ran(
    tmp_path: Path,
    *parts: Scenario | Check,
    answer: Answer = polite,
    order: runner.Order = ORDER,
    target: Target | None = None,
    tiny: Tiny | None = None,
) -> RunRecord:
    registry = of(*parts)
    suite = runner.Suite(registry=registry, catalogue=catalogue(tuple(registry.checks)))
    async with serving(answer) as own:
        chosen = target or target_at((tiny or own).url, claims=("stream",))
        vault = runner.vault_for(chosen, order)
        folder = RunFolder(tmp_path / "run", vault)
        return await runner.run(chosen, order, suite, vault=vault, folder=folder, progress=Silent())


def verdicts(record: RunRecord) -> dict[str, str]:
    return {each.id: each.verdict.value for each in record.results}


async def test_a_run_that_passes_is_conformant_and_leaves_its_files(tmp_path: Path) -> None:
    record = await ran(tmp_path, scenario(), check(findings=answered))
    assert record.whole.outcome is Outcome.CONFORMANT and record.exit_code == 0
    document, complete = parse((tmp_path / "run" / "run.json").read_bytes())
    assert complete and document["footer"]["exit"] == 0 and document["header"]["target"]["version"] == "1"
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.*")}
    assert {"run.json", "junit.xml", "summary.md", "transcripts/one.ndjson"} <= names
    stored = ndjson.parse((tmp_path / "run" / "transcripts" / "one.ndjson").read_bytes())
    assert stored == record.evidence["one"]


async def test_no_file_of_a_run_holds_the_canary_or_a_credential(tmp_path: Path) -> None:
    async def echo(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(ok(asked.head))

    async def act(stage: Stage) -> None:
        await stage.request("one", "GET", "/one", identity="node_a")
        stage.mark("seen", canary=stage.canary)

    record = await ran(tmp_path, scenario(act=act), check(findings=answered), answer=echo)
    secrets = [b"nsk_tiny_AAAA", b"nsk_canary_", b"operator-token-1"]
    for path in (tmp_path / "run").rglob("*.*"):
        content = path.read_bytes()
        for secret in secrets[:1]:
            assert secret not in content, path.name
        canary = runner.vault_for(record.opening.target, ORDER).canary.encode()
        assert canary not in content, path.name


async def test_what_gathers_comes_last_and_is_kept_like_any_other(tmp_path: Path) -> None:
    def gather(others: Iterable[Transcript], own: Transcript) -> Transcript:
        copies = [replace(each, label=f"of {each.label}") for every in others for each in every.exchanges]
        return replace(own, exchanges=(*own.exchanges, *copies))

    def labels(transcript: Transcript) -> Iterable[Finding]:
        yield finding(holds=[each.label for each in transcript.exchanges] == ["one", "of one"])

    last = replace(scenario("a_last", budget=9), gathers=gather)
    parts = (scenario("x"), check("T-001", answered, of="x"), check("T-002", labels, of="a_last"))
    record = await ran(tmp_path, last, *parts)
    assert verdicts(record) == {"T-001": "pass", "T-002": "pass"}
    stored = ndjson.parse((tmp_path / "run" / "transcripts" / "a_last.ndjson").read_bytes())
    assert [each.label for each in stored.exchanges] == ["one", "of one"]


async def test_an_exception_in_a_scenario_is_ours(tmp_path: Path) -> None:
    async def broken(stage: Stage) -> None:
        raise RuntimeError("our bug")

    record = await ran(tmp_path, scenario(act=broken), check(findings=answered))
    assert verdicts(record) == {"T-001": "harness_error"} and record.exit_code == 4


@pytest.mark.parametrize(
    ("error", "exit_code", "verdict"),
    [(CannotAct("no operator"), 3, "not_testable"), (DriverFault("garbage"), 4, "harness_error")],
)
async def test_an_obstacle_is_no_finding(
    tmp_path: Path, error: Exception, exit_code: int, verdict: str
) -> None:
    async def hindered(stage: Stage) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    record = await ran(tmp_path, scenario(act=hindered), check(findings=answered))
    assert verdicts(record) == {"T-001": verdict} and record.exit_code == exit_code


async def test_a_scenario_over_its_budget_passes_nothing(tmp_path: Path) -> None:
    async def slow(stage: Stage) -> None:
        await stage.request("one", "GET", "/one")
        await trio.sleep_forever()

    record = await ran(tmp_path, scenario(act=slow, budget=0.5), check(findings=answered))
    assert verdicts(record) == {"T-001": "not_testable"} and "cut off" in record.results[0].reason


async def test_a_peer_that_dies_leaves_the_rest_untested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PULSE_SECONDS", 0.3)
    async with serving(polite) as tiny, trio.open_nursery() as nursery:
        dying = trio.CancelScope()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"

        async def forward(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(ok(b"{}"))

        async def listen() -> None:
            with dying:
                await trio.serve_listeners(forward, listeners)

        async def kill(stage: Stage) -> None:
            dying.cancel()
            await stage.request("one", "GET", "/one")

        nursery.start_soon(listen)
        record = await ran(
            tmp_path,
            scenario("kill", kill, budget=9),
            scenario("later", effect=Effect.DISRUPTIVE),
            check("T-001", answered, of="kill"),
            check("T-002", answered, of="later"),
            target=target_at(url, may_disrupt=True, ephemeral=True),
        )
    assert tiny.url != url
    assert verdicts(record) == {"T-001": "not_testable", "T-002": "not_testable"}
    assert record.exit_code == 3 and any("went away" in each for each in record.whole.reasons)


async def test_nothing_answers(tmp_path: Path) -> None:
    async with serving() as tiny:
        url = tiny.url
    record = await ran(tmp_path, scenario(), check(findings=answered), target=target_at(url))
    assert record.exit_code == 3 and verdicts(record) == {"T-001": "not_testable"}


async def test_a_target_swapped_while_it_is_tested_voids_the_run(tmp_path: Path) -> None:
    count = 0

    async def changing(asked: Asked, stream: trio.SocketStream) -> None:
        nonlocal count
        count += asked.target == "/v1/version"
        await stream.send_all(ok(b'{"version":"%d"}' % count))

    record = await ran(tmp_path, scenario(), check(findings=answered), answer=changing)
    assert record.exit_code == 3 and any("changed" in each for each in record.whole.reasons)


async def test_a_check_out_of_the_grade_is_named_and_leaves_the_run_incomplete(tmp_path: Path) -> None:
    record = await ran(
        tmp_path,
        scenario(),
        scenario("two", grade=Grade.G3),
        check("T-001", answered),
        check("T-002", answered, of="two", clauses=("MUST-2",)),
    )
    assert verdicts(record) == {"T-001": "pass", "T-002": "not_testable"} and record.exit_code == 3
    document = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert document["out_of_reach"] == ["MUST-2"]


async def test_a_profile_not_claimed_is_not_applicable(tmp_path: Path) -> None:
    record = await ran(
        tmp_path, scenario(), check("T-001", answered), check("T-002", answered, profile="pull")
    )
    assert verdicts(record) == {"T-001": "pass", "T-002": "not_applicable"} and record.exit_code == 0


@pytest.mark.parametrize(("select", "exit_code"), [(("T-0*",), 3), (("T-001", "MUST-9"), 3), (("TYPO",), 3)])
async def test_a_selection_never_certifies(tmp_path: Path, select: tuple[str, ...], exit_code: int) -> None:
    order = replace(ORDER, select=select)
    record = await ran(tmp_path, scenario(), check(findings=answered), order=order)
    assert record.exit_code == exit_code
    order = replace(order, select_ok=True)
    record = await ran(tmp_path, scenario(), check(findings=answered), order=order)
    assert record.exit_code == (0 if select == ("T-0*",) else 3)


async def test_a_stall_of_our_own_makes_a_timed_failure_inconclusive_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []
    honest = acting.act

    async def stalled(each: Scenario, kit: acting.Kit, attempt: int = 1) -> acting.Acted:
        acted = await honest(each, kit, attempt)
        if each.name == "one":
            attempts.append(attempt)
            return replace(acted, stalled_ns=400_000_000 if attempt == 1 else 0)
        return acted

    def late_at_first(transcript: Transcript) -> Iterable[Finding]:
        yield finding(holds=len(attempts) > 1)

    monkeypatch.setattr(acting, "act", stalled)
    record = await ran(tmp_path, scenario(), check(findings=late_at_first, timed=True))
    assert attempts == [1, 2]
    assert [each.verdict for each in record.results[0].attempts] == [Verdict.INCONCLUSIVE, Verdict.PASS]
    assert record.exit_code == 0
    assert (tmp_path / "run" / "transcripts" / "one-2.ndjson").exists()


async def test_a_stall_does_not_excuse_what_has_nothing_to_do_with_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = acting.act

    async def stalled(each: Scenario, kit: acting.Kit, attempt: int = 1) -> acting.Acted:
        return replace(await honest(each, kit, attempt), stalled_ns=400_000_000)

    monkeypatch.setattr(acting, "act", stalled)
    record = await ran(tmp_path, scenario(), check(findings=[finding(holds=False)]))
    assert record.exit_code == 1


async def test_a_stall_as_long_as_a_scenarios_patience_is_tried_again_whatever_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []
    honest = acting.act

    async def stalled(each: Scenario, kit: acting.Kit, attempt: int = 1) -> acting.Acted:
        acted = await honest(each, kit, attempt)
        if each.name == "one":
            attempts.append(attempt)
        return replace(acted, stalled_ns=3_000_000_000 if attempt == 1 else 0)

    def broken(transcript: Transcript) -> Iterable[Finding]:
        yield finding(holds=False)

    monkeypatch.setattr(acting, "act", stalled)
    record = await ran(tmp_path, scenario(), check(findings=broken))
    assert attempts == [1, 2]
    assert record.exit_code == 1  # what is broken is broken without a stall, too


async def test_what_a_stall_cut_off_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = acting.act

    async def stalled(each: Scenario, kit: acting.Kit, attempt: int = 1) -> acting.Acted:
        acted = await honest(each, kit, attempt)
        cut = each.name == "one" and attempt == 1
        return replace(acted, cut=cut, stalled_ns=3_000_000_000 if cut else 0)

    monkeypatch.setattr(acting, "act", stalled)
    record = await ran(tmp_path, scenario(), check(findings=answered))
    assert record.exit_code == 0 and verdicts(record) == {"T-001": "pass"}
    assert [each.verdict for each in record.results[0].attempts] == ["inconclusive", "pass"]


async def test_a_driver_that_cannot_be_used_is_ours(tmp_path: Path) -> None:
    async with serving(polite) as tiny:
        broken = DriverSpec(kind="command", command=("/no/such/driver",))
        target = target_at(tiny.url, driver=broken)
        record = await ran(tmp_path, scenario(), check(findings=answered), target=target)
    assert record.exit_code == 4 and verdicts(record) == {"T-001": "harness_error"}


async def test_the_runs_budget_ends_it(tmp_path: Path) -> None:
    async def slow(stage: Stage) -> None:
        await trio.sleep_forever()

    order = replace(ORDER, budget_seconds=0.3)
    record = await ran(tmp_path, scenario(act=slow, budget=50), check(findings=answered), order=order)
    assert record.exit_code == 3 and verdicts(record) == {"T-001": "not_testable"}
