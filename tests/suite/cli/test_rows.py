"""Every row of the table of exit codes, by the command itself."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance import running
from conformance.check import registry
from conformance.check.model import Effect
from conformance.cli import cli
from conformance.probe.ledger import FileLedger
from conformance.probe.stage import Stage
from conformance.report import folder, record
from conformance.verdict.exits import EXITS, Outcome
from tests.suite.made import answered, catalogue, check, finding, of, scenario

PARTS = (scenario(), check("T-001", answered), check("T-002", [finding("MUST-2")], clauses=("MUST-2",)))


class Polite(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._say(200, b'{"version":"1"}')

    def do_DELETE(self) -> None:
        self._say(500 if self.path.endswith("stuck") else 204, b"")

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Polite) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


Suite = Callable[..., None]


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Suite:
    """Replaces the suite's checks by these; the run directories go to a temporary place."""
    monkeypatch.chdir(tmp_path)

    def replaced(*parts: object) -> None:
        made = of(*parts)  # type: ignore[arg-type]  # scenarios and checks
        monkeypatch.setattr(registry, "collect", lambda: made)
        monkeypatch.setattr(running, "catalogue", lambda: catalogue(tuple(made.checks)))
        monkeypatch.setattr("conformance.cli.catalogue", lambda: catalogue(tuple(made.checks)))

    replaced(*PARTS)
    return replaced


def called(outcome: Outcome, *arguments: str) -> Result:
    """Calls the command and expects the exit code of that row, without a traceback."""
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == EXITS[outcome].code, result.output
    assert "Traceback" not in result.output
    return result


def test_conformant(url: str, suite: Suite) -> None:
    result = called(Outcome.CONFORMANT, "run", url, "--profile", "stream", "--seed", "5")
    assert "conformant at the requested profiles" in result.stdout and "seed 5" in result.stdout


def test_non_conformant(url: str, suite: Suite) -> None:
    suite(scenario(), check(findings=[finding(holds=False)]))
    result = called(Outcome.NON_CONFORMANT, "run", url, "--profile", "stream")
    for told in (
        "MUST-1 MUST: It MUST answer.",
        "expected: an answer",
        "observed: what came",
        "curl ",
        "--seed",
    ):
        assert told in result.stdout


def test_incomplete(url: str, suite: Suite) -> None:
    suite(scenario(), check())
    called(Outcome.INCOMPLETE, "run", url, "--profile", "stream")


def test_zero_checks_is_incomplete(url: str, suite: Suite) -> None:
    suite()
    called(Outcome.INCOMPLETE, "run", url, "--profile", "stream")


def test_observed(url: str, suite: Suite) -> None:
    suite(scenario(), check("T-001", answered, profile="live"))
    header = f"Authorization: Bearer nsk_live_{'A' * 64}"
    result = called(Outcome.OBSERVED, "run", url, "--profile", "live", "--header", header)
    assert "it certifies nothing" in result.stdout and "profile live: observed" in result.stdout
    assert "A" * 20 not in result.output
    called(Outcome.USAGE, "run", url, "--profile", "live", "--profile", "stream")
    assert "nsk_" in called(Outcome.USAGE, "run", url, "--profile", "live").stderr
    called(Outcome.USAGE, "run", url, "--profile", "live", "--header", "Authorization: Basic x")


def test_selection(url: str, suite: Suite) -> None:
    called(Outcome.SELECTION_PASSED, "run", url, "--profile", "stream", "--select", "T-001")
    called(Outcome.SELECTION_PASSED_OK, "run", url, "--profile", "stream", "--select", "T-001", "--select-ok")


def test_a_typo_in_a_selection_matches_nothing(url: str, suite: Suite) -> None:
    result = called(Outcome.INCOMPLETE, "run", url, "--profile", "stream", "--select", "T-O01", "--select-ok")
    assert "nothing matches 'T-O01'" in result.stdout


def test_two_files_of_patterns_are_both_honoured(url: str, suite: Suite, tmp_path: Path) -> None:
    for name in ("T-001", "T-002"):
        (tmp_path / name).write_text(f"# one check\n{name}\n")
    files = ("--select", "@T-001", "--select", "@T-002")
    called(Outcome.SELECTION_PASSED, "run", url, "--profile", "stream", "--format", "json", *files)
    result = called(Outcome.SELECTION_PASSED, "run", url, "--profile", "stream", *files)
    assert "T-001" in result.stdout and "T-002" in result.stdout


def test_harness_error(url: str, suite: Suite) -> None:
    async def broken(stage: Stage) -> None:
        raise ZeroDivisionError

    suite(scenario(act=broken), check(findings=answered))
    called(Outcome.HARNESS_ERROR, "run", url, "--profile", "stream")


def test_a_broken_registry_is_ours(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def broken() -> registry.Registry:
        raise registry.BrokenRegistry("the check T-001 stands twice")

    monkeypatch.setattr(registry, "collect", broken)
    called(Outcome.HARNESS_ERROR, "run", url, "--profile", "stream")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("gone.toml",),
        ("http://127.0.0.1:1", "--reference"),
        ("http://127.0.0.1:1",),
        ("http://127.0.0.1:1", "--profile", "no-such"),
        ("http://127.0.0.1:1", "--no-such-flag"),
        ("http://127.0.0.1:1", "--profile", "stream", "--header", "novalue"),
        ("http://127.0.0.1:1", "--profile", "stream", "--select", "@gone"),
        ("http://127.0.0.1:1", "--profile", "stream", "--driver", " "),
        ("http://127.0.0.1:1", "--profile", "stream", "--seed", "x"),
        ("--reference", "--profile", "descoped", "--profile", "stream"),
    ],
)
def test_usage(arguments: tuple[str, ...], suite: Suite, tmp_path: Path) -> None:
    called(Outcome.USAGE, "run", *arguments)
    assert not (tmp_path / running.RUNS).exists(), "nothing is claimed"


def test_unwritable(url: str, suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    called(Outcome.UNWRITABLE, "run", url, "--profile", "stream", "--out", str(tmp_path / "file" / "below"))


def test_a_report_that_cannot_be_written_at_the_end(
    url: str, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = folder.RunFolder.write

    def full(self: folder.RunFolder, name: str, data: bytes) -> None:
        if name == "junit.xml":
            raise folder.Unwritable("junit.xml cannot be written: No space left on device")
        honest(self, name, data)

    monkeypatch.setattr(folder.RunFolder, "write", full)
    result = called(Outcome.UNWRITABLE, "run", url, "--profile", "stream", "--out", "r")
    assert "No space left" in result.stderr
    _, complete = record.parse(Path("r/run.json").read_bytes())
    assert not complete, "no footer: the run is incomplete"


def test_a_secret_in_the_output_is_never_written(
    url: str, suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("conformance.probe.vault.Vault.mask", lambda self, data: data)
    monkeypatch.setattr("conformance.probe.vault.Vault.named", lambda self, text: text)
    called(Outcome.HARNESS_ERROR, "run", url, "--profile", "stream", "--out", str(tmp_path / "r"))
    assert not any(b"nsk_canary" in each.read_bytes() for each in (tmp_path / "r").rglob("*.*"))


def test_planned_sends_nothing(suite: Suite) -> None:
    suite(*PARTS, scenario("far", effect=Effect.DISRUPTIVE), check("T-003", of="far"))
    result = called(Outcome.PLANNED, "run", "http://127.0.0.1:1", "--profile", "stream", "--plan")
    assert "together: one" in result.stdout and "not testable: T-003" in result.stdout


def test_json_on_standard_output_is_pure(url: str, suite: Suite) -> None:
    result = called(Outcome.CONFORMANT, "run", url, "--profile", "stream", "--format", "json", "--out", "r")
    document, complete = record.parse(result.stdout.encode())
    assert complete and document == json.loads(Path("r/run.json").read_bytes())


BROKEN: dict[Outcome, tuple[str, ...]] = {
    Outcome.USAGE: ("--header", "novalue"),
    Outcome.UNWRITABLE: ("--out", "file/below"),
    Outcome.NON_CONFORMANT: (),
    Outcome.HARNESS_ERROR: (),
    Outcome.INCOMPLETE: ("--select", "T-O01"),
}


def going_wrong(outcome: Outcome, suite: Suite) -> None:
    """Prepares what makes a run end so."""

    async def broken(stage: Stage) -> None:
        raise ZeroDivisionError("% of\n::error::nothing")

    Path("file").write_text("")
    if outcome is Outcome.NON_CONFORMANT:
        suite(scenario(), check(findings=[finding(holds=False)]))
    if outcome is Outcome.HARNESS_ERROR:
        suite(scenario(act=broken), check(findings=answered))


@pytest.mark.parametrize(("outcome", "arguments"), BROKEN.items())
def test_json_is_pure_when_things_go_wrong(
    outcome: Outcome, arguments: tuple[str, ...], url: str, suite: Suite
) -> None:
    going_wrong(outcome, suite)
    result = called(outcome, "run", url, "--profile", "stream", "--format", "json", *arguments)
    if result.stdout:
        document, complete = record.parse(result.stdout.encode())
        assert complete and document["footer"]["exit"] == result.exit_code
    else:
        assert result.stderr.startswith("busproof: "), "a run that never was is told on standard error alone"
        assert outcome in (Outcome.USAGE, Outcome.UNWRITABLE)


@pytest.mark.parametrize(("outcome", "arguments"), [*BROKEN.items(), (Outcome.CONFORMANT, ())])
def test_github_gets_annotations_and_nothing_else(
    outcome: Outcome, arguments: tuple[str, ...], url: str, suite: Suite
) -> None:
    going_wrong(outcome, suite)
    result = called(outcome, "run", url, "--profile", "stream", "--format", "github", *arguments)
    level = "notice" if outcome is Outcome.CONFORMANT else "error"
    *_, last = lines = result.stdout.splitlines()
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in lines)
    assert last.startswith(f"::{level} title=busproof%3A {outcome.value.replace('_', ' ')} (exit ")


def test_list_and_explain(suite: Suite) -> None:
    assert "T-001" in called(Outcome.LISTED, "list").stdout
    assert called(Outcome.LISTED, "list", "--profile", "pull").stdout == ""
    called(Outcome.USAGE, "list", "--profile", "no-such")
    assert "It MUST answer." in called(Outcome.EXPLAINED, "explain", "T-001").stdout
    called(Outcome.UNKNOWN_CHECK, "explain", "T-999")


def test_target_init_and_lint(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called(Outcome.TARGET_WRITTEN, "target", "init", "t.toml")
    called(Outcome.TARGET_EXISTS, "target", "init", "t.toml")
    called(Outcome.TARGET_EXISTS, "target", "init", str(tmp_path / "no" / "t.toml"))
    called(Outcome.TARGET_INVALID, "target", "lint", "t.toml")
    text = Path("t.toml").read_text().replace('"replay", "keys"', '"live"')
    Path("t.toml").write_text(text)
    monkeypatch.setenv("BUSPROOF_NODE_A", "nsk_x_0123456789")
    called(Outcome.TARGET_VALID, "target", "lint", "t.toml")
    Path("t.toml").write_text(text.replace("live", "no-such"))
    called(Outcome.TARGET_INVALID, "target", "lint", "t.toml")


@pytest.mark.parametrize(
    ("node", "outcome"),
    [("n1", Outcome.CLEANED), ("stuck", Outcome.LEFT_OVER), ("other", Outcome.BAD_LEDGER)],
)
def test_cleanup(node: str, outcome: Outcome, url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("operator-token")
    text = f'[target]\nbase_url = "{url}"\n[identities.operator]\ncredential = "file:token"\n'
    (tmp_path / "t.toml").write_text(text)
    base_url = "http://elsewhere" if node == "other" else url
    ledger = FileLedger(tmp_path / "ledger", base_url=base_url)
    ledger.intend("busproof-x")
    ledger.created("busproof-x", "d1")
    ledger.node("d1", node)
    result = called(outcome, "cleanup", str(tmp_path / "ledger"), str(tmp_path / "t.toml"))
    assert ("left over: node stuck" in result.stdout) is (outcome is Outcome.LEFT_OVER)


def test_cleanup_refuses_what_is_no_ledger(url: str, tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("hello\n")
    called(Outcome.BAD_LEDGER, "cleanup", str(tmp_path / "ledger"), url)
