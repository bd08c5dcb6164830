"""The whole server as a child process: enrolment, stream, pull, its end, and its next life."""

import json
import resource
import secrets
import signal
import stat
import threading
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from reference_server.settings import ROWS, environment_name, flag_name
from tests import process
from tests.process import Running, running


def _key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


def _register(server: Running, handle: str) -> dict[str, Any]:
    """Let a Node in by a Resource and a bootstrap token, as a deployed agent comes in."""
    project = server.facts["domains"]["one"]["project_id"]
    adopted = server.http.post(
        f"/v1/projects/{project}/resources",
        headers=server.root,
        json={"origin": "adopted", "kind": "vm", "external_ref": handle},
    )
    assert adopted.status_code == 201, adopted.text
    issued = server.http.post(
        f"/v1/projects/{project}/bootstrap-tokens",
        headers=server.root,
        json={"kind": "node", "env_prefix": "test", "ttl_seconds": 600},
    )
    assert issued.status_code == 201, issued.text
    body = {
        "bootstrap_token": issued.json()["token"],
        "project_id": project,
        "resource_handle": handle,
        "nonce": secrets.token_hex(16),
        "public_key": _key(),
    }
    answer = server.http.post("/v1/register", json=body)
    assert answer.status_code in (200, 201), answer.text
    assert body["bootstrap_token"] not in server.log()
    made: dict[str, Any] = answer.json()
    return made


def test_what_a_newcomer_brings_about_is_streamed_and_pulled(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.stream("alpha") as stream:
        made = _register(server, "edge-7")
        node_id = made["node_id"]
        _, kind, envelope = stream.next()
        assert (kind, envelope["payload"]["node_id"]) == ("peer_registered", node_id)
        assert envelope["key_id"] == made["signing_key_id"]
        assert made["signing_public_key"] == server.facts["domains"]["one"]["signing_public_key"]
        peers = {peer["node_id"]: peer for peer in server.state("alpha").json()["peers"]}
        assert peers[node_id] == envelope["payload"]
        assert server.put_entry("alpha", "role", "edge").status_code < 300
        assert stream.next()[1] == "node_state_updated"
        entries = server.state("alpha").json()["state"]["metadata"]
        assert [entry["key"] for entry in entries] == ["role"]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_streams_at_a_frame_boundary(tmp_path: Path, by: signal.Signals) -> None:
    with running(tmp_path) as server, server.stream("alpha") as stream:
        for value in range(20):
            server.put_entry("alpha", "k", str(value))
        first = stream.next()
        ended: list[int] = []
        stopping = threading.Thread(target=lambda: ended.append(server.stop(by)))
        stopping.start()
        rest = stream.rest()  # httpx raises for a body that breaks off
        stopping.join()
        assert ended == [0]
        assert [sequence for sequence, _ in rest] == sorted(sequence for sequence, _ in rest)
        assert first[0] < rest[0][0]
        assert '"event":"server_stopped"' in server.log()


def test_the_ready_file_comes_whole_and_says_where(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        ready = json.loads((tmp_path / "ready.json").read_text())
        assert ready == {"url": server.url, "pid": server.child.pid, "version": ready["version"]}
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_secrets_lie_in_files_of_their_owner(tmp_path: Path) -> None:
    with running(tmp_path):
        for name in ("credentials.json", "master.key", "bus.db", "bus.db-wal"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_the_next_life_knows_the_same_credentials(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        before = server.facts
        with server.stream("alpha", 0) as stream:
            sequence, _, envelope = stream.next()
        server.kill()
    with running(tmp_path) as server:
        after = server.facts
        assert {**after, "base_url": ""} == {**before, "base_url": ""}
        with server.stream("alpha", sequence - 1) as stream:
            assert stream.next()[2] == envelope
        gone = server.http.get(f"/v1/nodes/{server.node('gone')['id']}/state", headers=server.agent("gone"))
        assert (gone.status_code, gone.json()["code"]) == (401, "nsk_revoked")


def test_an_unwired_server_answers_501_on_both_surfaces(tmp_path: Path) -> None:
    with running(tmp_path, "--unwire", "NodeRepo") as server:
        for surface in ("events", "state"):
            answer = server.http.get(f"/v1/nodes/anything/{surface}")
            assert answer.status_code == 501
            assert answer.json()["code"] == "signed_event_bus_not_provisioned"
        with server.faults() as faults:
            faults.do("wire", port="NodeRepo", wired=True)
        assert server.state("alpha").status_code == 200


def test_a_server_in_memory_keeps_nothing_but_serves(tmp_path: Path) -> None:
    with running(tmp_path, data=":memory:") as server:
        with server.stream("alpha") as stream:
            server.put_entry("alpha", "k", "v")
            assert stream.next()[1] == "node_state_updated"
        assert server.stop() == 0
    assert not (tmp_path / "master.key").exists()


def test_settings_come_from_flag_environment_and_file(tmp_path: Path) -> None:
    config = tmp_path / "busproof.toml"
    config.write_text("streams_per_node = 5\nlog_level = 'warning'\n")
    with running(tmp_path, "--config", config) as server:
        server.state("alpha")
        assert server.stop() == 0
    assert server.log() == ""  # nothing to warn of


def test_metrics_count_what_happened(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with server.stream("alpha") as stream:
            server.put_entry("alpha", "k", "v")
            stream.next()
            text = server.http.get("/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert float(lines["sse_streams"]) == 1
        assert float(lines["sse_frames_total"]) >= 1
        assert float(lines['busproof_requests_total{operation="PutNodeStateEntry",status="200"}']) == 1


def test_a_full_disk_refuses_writes_and_the_streams_go_on(tmp_path: Path) -> None:
    """A file-size limit set on the running process stands in for the disk."""
    with running(tmp_path) as server:
        with server.stream("alpha") as stream:
            value = "x" * 8_000
            _limit_files(server.child.pid, _size(tmp_path) + 64 * 1024)
            statuses = [server.put_entry("alpha", f"k{at}", value).status_code for at in range(40)]
            assert 503 in statuses
            assert 500 not in statuses
            acknowledged = sum(status < 300 for status in statuses)
            assert server.state("alpha").status_code == 200
            _limit_files(server.child.pid, None)
            assert server.put_entry("alpha", "last", "v").status_code < 300
            seen = [stream.next() for _ in range(acknowledged + 1)]
        assert len({envelope["id"] for _, _, envelope in seen}) == acknowledged + 1
        assert "Traceback" not in server.log()


def _size(directory: Path) -> int:
    return max(path.stat().st_size for path in directory.glob("bus.db*"))


def _limit_files(pid: int, size: int | None) -> None:
    """Let no file of a running process grow past a size."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def test_help_explains_every_setting() -> None:
    shown = process.refused("--help")
    assert shown.returncode == 0
    flat = " ".join(shown.stdout.split())
    for name, row in ROWS.items():
        assert (f"{flag_name(name)} " in flat) != row.secret
        assert environment_name(name) in flat
        assert row.secret or row.help in flat
