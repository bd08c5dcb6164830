"""Log lines: JSON, correlation, no credential by name or by form, and no waiting (CRED-4)."""

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from reference_server import logs
from reference_server.logs import AccessLog, Writer

NSK = "nsk_dev_AaIKygHCch6aqOV3PPZ7dIgEcecTy9nKbxkDitlDRAyoJkFqipS8STMweZApyj"
PLANTED = (NSK, "psb_test_aguga3_node_abcdefghijklmnopqrst", "pso_x2Eult6z_nmy48czOIRmNxd817Y")


class Pipe(io.BytesIO):
    """Keeps what was written, also after it was closed."""


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Where lines go; structlog is as it was afterwards."""
    yield Pipe()
    structlog.reset_defaults()


def _lines(pipe: Pipe, writer: Writer) -> list[dict[str, Any]]:
    writer.close()
    return [json.loads(line) for line in pipe.getvalue().splitlines()]


def test_a_line_is_json_with_level_and_time(pipe: Pipe) -> None:
    writer = Writer(pipe)
    logs.configure("json", "info", writer)
    structlog.get_logger().debug("left_out")
    structlog.get_logger().warning("said", count=3, correlation_id="c")
    (line,) = _lines(pipe, writer)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "said", "level": "warning", "count": 3, "correlation_id": "c"}


@pytest.mark.parametrize("planted", PLANTED)
def test_no_credential_gets_through_by_its_form(pipe: Pipe, planted: str) -> None:
    writer = Writer(pipe)
    logs.configure("json", "info", writer)
    log = structlog.get_logger()
    log.info("a", path=f"/v1/{planted}/x", header=f"Bearer {planted}".encode())
    log.info(f"in the event: {planted}", listed=[planted, {"deep": planted}])
    try:
        raise ValueError(f"with {planted}")
    except ValueError:
        log.exception("failed")
    AccessLog().record(
        method="GET", path=f"/v1/{planted}", status=404, seconds=0.1, correlation_id="c", client="::1"
    )
    writer.close()
    written = pipe.getvalue().decode()
    assert planted not in written
    assert planted[-16:] not in written
    assert "ValueError" in written


@pytest.mark.parametrize("name", ["authorization", "token", "nsk", "psk", "master_key", "client_secret"])
def test_no_credential_gets_through_by_its_name(pipe: Pipe, name: str) -> None:
    writer = Writer(pipe)
    logs.configure("json", "info", writer)
    structlog.get_logger().info("said", **{name: "hunter2"})
    assert _lines(pipe, writer)[0][name] == logs.MASK


def test_json_is_masked_member_by_member() -> None:
    document = {"bootstrap_token": "a", "deep": [{"nsk": "b", "key": "c"}], "token": None, "n": 1}
    assert logs.redact_json(document) == {
        "bootstrap_token": logs.MASK,
        "deep": [{"nsk": logs.MASK, "key": "c"}],
        "token": None,
        "n": 1,
    }


def test_a_terminal_gets_text(pipe: Pipe) -> None:
    writer = Writer(pipe)
    logs.configure("console", "info", writer)
    structlog.get_logger().info("said", count=3)
    AccessLog().record(method="GET", path="/v1/health", status=200, seconds=0, correlation_id="c", client="x")
    writer.close()
    written = pipe.getvalue().decode()
    assert "said" in written
    assert "200 GET /v1/health" in written
    assert "{" not in written


def test_the_access_log_keeps_quiet_above_info(pipe: Pipe) -> None:
    writer = Writer(pipe)
    logs.configure("json", "warning", writer)
    AccessLog().record(method="GET", path="/", status=200, seconds=0, correlation_id="c", client="x")
    assert _lines(pipe, writer) == []


class Stalled(io.BytesIO):
    """A reader that stops reading until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, lines: Any) -> int:
        """Wait, then write."""
        self.go_on.wait()
        return super().write(lines)


def test_a_stalled_reader_costs_lines_and_no_time() -> None:
    dropped: list[None] = []
    target = Stalled()
    writer = Writer(target, lambda: dropped.append(None))
    for _ in range(30_000):
        writer.put(b"line")
    assert 0 < len(dropped) < 30_000
    target.go_on.set()
    writer.close()
    assert target.getvalue().count(b"\n") == 30_000 - len(dropped)


class Broken(io.BytesIO):
    """A pipe that nobody holds any more."""

    def write(self, _lines: Any) -> int:
        """Fail as such a pipe does."""
        raise BrokenPipeError


def test_a_broken_pipe_ends_nothing() -> None:
    dropped: list[None] = []
    writer = Writer(Broken(), lambda: dropped.append(None))
    writer.put(b"line")
    writer.close()
    assert dropped == [None]
