"""Flaws that other conformance suites shipped, and the test that shows that this one has not each of them.

The list is section 6 of the research on those suites (OCI, h2spec, Connect, NMOS, Inferno, LaunchDarkly, MCP,
Mercure, feint). ELSEWHERE is its table of what other files test; the rest is tested here:

| flaw | where it was | test |
|---|---|---|
| a missing or invalid configuration claims something | OCI | ELSEWHERE, and below |
| the list of capabilities in code and documents differ | LaunchDarkly | below |
| a gate parses the text of a summary | OCI | below |
| golden files hold tokens or host names | Inferno | below |
| what ends in another order is told in another order | LaunchDarkly | below |
| the specification is fetched while it runs | NMOS | below |
| all others | | ELSEWHERE |
"""

import ast
import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from conformance import running
from conformance.catalogue.load import catalogue
from conformance.check import registry
from conformance.cli import cli
from conformance.probe.obstacle import DriverFault
from conformance.probe.stage import Stage
from conformance.schemas import validate
from conformance.target import driver as drivers
from conformance.target import reach
from conformance.target.model import DriverSpec
from conformance.vectors import cases
from reference_server.faults import verbs
from tests.suite.made import answered, check, scenario
from tests.suite.runner.test_run import ran, verdicts
from tests.suite.tiny import Asked, ok

ROOT = Path(__file__).resolve().parents[3]
SUITE = ROOT / "tests" / "suite"

# Each flaw with the tests, in other files, that show its absence.
ELSEWHERE: dict[str, tuple[tuple[str, str], ...]] = {
    "a missing configuration ends green (OCI)": (("cli/test_rows.py", "test_usage"),),
    "reports that cannot be written end green (OCI)": (
        ("cli/test_rows.py", "test_unwritable"),
        ("cli/test_rows.py", "test_a_report_that_cannot_be_written_at_the_end"),
    ),
    "a typo in a selection ends green (h2spec)": (
        ("cli/test_rows.py", "test_a_typo_in_a_selection_matches_nothing"),
    ),
    "of two files of patterns one is lost (Connect)": (
        ("cli/test_rows.py", "test_two_files_of_patterns_are_both_honoured"),
    ),
    "a peer that dies leaves a green rest (Connect)": (
        ("runner/test_run.py", "test_a_peer_that_dies_leaves_the_rest_untested"),
    ),
    "an exception of a check is the target's failure (NMOS)": (
        ("verdict/test_judge.py", "test_an_exception_in_a_check_is_ours"),
        ("runner/test_run.py", "test_an_exception_in_a_scenario_is_ours"),
    ),
    "what could not be tested ends green (NMOS)": (
        ("verdict/test_whole.py", "test_a_must_that_is_not_satisfied_is_never_green"),
        ("verdict/test_exits.py", "test_zero_is_rare"),
    ),
    "options that pass are a profile (Inferno)": (
        ("verdict/test_whole.py", "test_options_that_pass_are_no_profile"),
    ),
    "of two results of one id the last wins (MCP)": (
        ("verdict/test_whole.py", "test_of_two_results_of_one_id_the_most_severe_counts"),
    ),
    "an id that no catalogue knows is emitted (MCP)": (
        ("verdict/test_whole.py", "test_an_emitted_id_that_is_not_in_the_catalogue_is_our_error"),
    ),
    "an id of the catalogue is never emitted (MCP)": (
        ("verdict/test_whole.py", "test_a_catalogue_id_never_emitted_is_our_error"),
    ),
    "a server that refuses everybody passes what must be refused (Mercure)": (
        ("mutants/test_null_servers.py", "test_nothing_passes"),
    ),
    "a seed depends on the interpreter's hash seed (NMOS)": (
        ("runner/test_order.py", "test_the_same_seed_gives_the_same_order"),
    ),
    "a target is swapped in the middle of a run": (
        ("runner/test_run.py", "test_a_target_swapped_while_it_is_tested_voids_the_run"),
    ),
    "JSON on standard output is not pure (fabric)": (
        ("cli/test_rows.py", "test_json_on_standard_output_is_pure"),
        ("cli/test_rows.py", "test_json_is_pure_when_things_go_wrong"),
        ("vectors/test_command.py", "test_json_is_pure_however_it_ends"),
    ),
}


@pytest.mark.parametrize("flaw", ELSEWHERE)
def test_what_is_tested_elsewhere_is_there(flaw: str) -> None:
    for file, name in ELSEWHERE[flaw]:
        tree = ast.parse((SUITE / file).read_text(encoding="utf-8"))
        found = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert name in {each.name for each in found}, f"{file} has no {name}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not TOML at all [",
        "[target]\nname = 3\n",
        '[target]\nbase_url = "ftp://bus"\n',
        '[target]\nbase_url = "http://127.0.0.1:1"\nclaims = ["no-such"]\n',
        '[target]\nbase_url = "http://127.0.0.1:1"\nclaims = ["pull"]\nunknown = 1\n',
        '[target]\nbase_url = "http://127.0.0.1:1"\nclaims = ["pull"]\n'
        '[identities.node_a]\ncredential = "env:BUSPROOF_NOT_SET_ANYWHERE"\n',
    ],
)
def test_an_invalid_configuration_claims_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(text)
    result = CliRunner().invoke(cli, ["run", "t.toml", "--format", "json"])
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr.startswith("busproof: ")
    assert not Path(running.RUNS).exists()


def test_the_verbs_are_the_same_in_schema_documents_and_servers() -> None:
    """LaunchDarkly: capabilities that documents know and the code does not, or the other way round."""
    document = (ROOT / "docs" / "driver.md").read_text(encoding="utf-8")
    table = document.split("| verb | parameters | result |", 1)[1].split("\n\n", 1)[0]
    told = {name for row in table.splitlines()[2:] for name in re.findall("`([a-z_]+)`", row.split("|")[1])}
    schema = json.loads((ROOT / "conformance" / "schemas" / "driver_request.json").read_text())
    known = set(schema["properties"]["verb"]["enum"])
    assert told == known == set(verbs.VERBS)
    assert {power.split()[0] for power in reach.ALL_POWERS} <= known


def test_no_gate_parses_what_is_written_for_people() -> None:
    """OCI: a reviewer's script that looked for a sentence. Gates take the exit code, or run.json."""
    writers = {"conformance/report/files.py", "conformance/report/folder.py", "conformance/report/summary.py"}
    readers = {
        path.relative_to(ROOT).as_posix()
        for room in ("conformance", "reference_server", "fixtures", "tests")
        for path in (ROOT / room).rglob("*.py")
        if "summary.md" in path.read_text(encoding="utf-8")
    }
    shown_to_be_there = {"tests/suite/runner/test_run.py", "tests/suite/second/test_certified.py"}
    assert readers - {Path(__file__).relative_to(ROOT).as_posix()} <= writers | shown_to_be_there
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines():
        if "$(BIN)/" in line:
            assert not re.search(r"\||grep|;|\|\| *true|^\t-", line), line


# What must not stand in a file that is kept: a credential in clear, the value of a once-only member, a
# private key, a place or a host of some machine.
FORBIDDEN = {
    "a Node's credential": re.compile(r"nsk_[a-z]+_(?!X+\b)[A-Za-z0-9_-]{40,}"),
    "a bearer": re.compile(r"Bearer (?!\$BUSPROOF_|X+\b)[A-Za-z0-9_.~+/-]{8,}"),
    "a once-only value": re.compile(
        r'\\?"(?:nsk|token|bootstrap_token|credential|private_key|psk)\\?"\s*:\s*\\?"(?!X*\\?")(?!\$BUSPROOF_)'
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a place of a machine": re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work)/"),
    "a host": re.compile(r"\bhttps?://(?!127\.0\.0\.1\b|bus\b|plexsphere\.com\b|json-schema\.org\b)[\w.-]+"),
}


def kept_files() -> Iterator[Path]:
    yield from (each for each in (ROOT / "fixtures" / "transcripts").rglob("*") if each.is_file())
    yield from (ROOT / "fixtures" / "vectors").rglob("*.json")
    yield from (ROOT / "docs" / "evidence").rglob("*.*")
    yield from (each for each in (ROOT / "tests").rglob("golden/*") if each.is_file())


def test_no_kept_file_holds_a_secret_or_a_host() -> None:
    files = list(kept_files())
    assert len(files) > 20 and {".ndjson", ".json", ".txt"} <= {each.suffix for each in files}
    for path in files:
        text = path.read_text(encoding="utf-8")
        for what, pattern in FORBIDDEN.items():
            found = pattern.search(text)
            assert found is None, f"{path.relative_to(ROOT)} holds {what}: {found[0][:12] if found else ''}…"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a Node's credential", f"nsk_live_{'aB3-' * 12}"),
        ("a bearer", "Authorization: Bearer operator-token-1"),
        ("a once-only value", r"{\"token\": \"abc\"}"),
        ("a private key", "-----BEGIN PRIVATE KEY-----"),
        ("a place of a machine", "see /home/somebody/x"),
        ("a host", "http://build-17.internal:8080/"),
    ],
)
def test_each_of_them_would_be_found(what: str, text: str) -> None:
    assert FORBIDDEN[what].search(text)
    assert not FORBIDDEN[what].search(f"nsk_live_{'X' * 48} Bearer $BUSPROOF_NODE_A {{'token': 'XXXX'}}")


async def test_answers_that_come_in_another_order_belong_to_their_requests(tmp_path: Path) -> None:
    """LaunchDarkly: callbacks that overtook each other were taken for one another."""
    first_asked, second_answered = trio.Event(), trio.Event()

    async def overtaking(asked: Asked, stream: trio.SocketStream) -> None:
        if asked.target == "/first":
            first_asked.set()
            await second_answered.wait()
        await stream.send_all(ok(asked.target.encode()))
        if asked.target == "/second":
            second_answered.set()

    async def act(stage: Stage) -> None:
        async def later() -> None:
            await first_asked.wait()
            await stage.request("second", "GET", "/second")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(later)
            await stage.request("first", "GET", "/first")
        await stage.request("one", "GET", "/one")

    record = await ran(tmp_path, scenario(act=act), check(findings=answered), answer=overtaking)
    seen = [(each.label, each.body) for each in record.evidence["one"].exchanges]
    assert seen == [("first", b"/first"), ("second", b"/second"), ("one", b"/one")]


async def test_results_are_told_in_the_order_of_their_ids_whatever_ended_first(tmp_path: Path) -> None:
    second_done = trio.Event()

    async def slow(stage: Stage) -> None:
        await second_done.wait()
        await stage.request("one", "GET", "/one")

    async def quick(stage: Stage) -> None:
        await stage.request("one", "GET", "/one")
        second_done.set()

    parts = (check("T-001", answered, of="slow"), check("T-002", answered, of="quick"))
    record = await ran(tmp_path, scenario("slow", slow), scenario("quick", quick), *parts)
    assert list(verdicts(record).items()) == [("T-001", "pass"), ("T-002", "pass")]


async def test_a_drivers_late_answer_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers its second request only when the third has come."""
    program = """
import json, sys
held = None
for line in sys.stdin:
    asked = json.loads(line)
    result = {"event_id": str(asked["id"])}
    if asked["verb"] == "hello":
        result = {"name": "late", "grade": "G1", "verbs": ["hello", "publish"]}
    answer = json.dumps({"id": asked["id"], "ok": True, "result": result})
    if asked["id"] == 2:
        held = answer
        continue
    print(*([held] if held else []), answer, sep="\\n", flush=True)
"""
    async with drivers.opened(DriverSpec(kind="command", command=(sys.executable, "-c", program))) as driver:
        with monkeypatch.context() as patched:
            patched.setattr(drivers, "VERB_SECONDS", 0.3)
            with pytest.raises(DriverFault, match="did not answer"):
                await driver.call("publish", {})
        assert await driver.call("publish", {}) == {"event_id": "3"}


def test_nothing_is_fetched_to_know_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """NMOS: the specification came from a repository while the suite ran, and was another one each time."""

    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("something was looked up in a network")

    catalogue.cache_clear()
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    assert len(catalogue().clauses) > 100 and registry.collect().checks and cases.questions()
    for path in (ROOT / "conformance" / "schemas").glob("*.json"):
        with pytest.raises(validate.Invalid):
            validate.check(path.stem, None)
