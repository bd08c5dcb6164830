"""Every verb of the fault channel over the real process: each must have its visible effect."""

import base64
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import Faults, Running, running, start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all verbs; each test leaves it as it found it."""
    with running(tmp_path_factory.mktemp("faults")) as one:
        yield one


@pytest.fixture
def faults(server: Running) -> Iterator[Faults]:
    """A connection of its own."""
    with server.faults() as channel:
        yield channel


def _publish(server: Running, faults: Faults, name: str, **over: Any) -> str:
    node = server.node(name)
    asked = {
        "domain_id": node["domain_id"],
        "node_ids": [node["id"]],
        "type": "peer_deregistered",
        "payload": {"node_id": server.node("gone")["id"]},
    } | over
    return str(faults.do("publish", **asked)["event_id"])


def _events(server: Running, name: str, **headers: str) -> httpx.Response:
    """The head of an answer on the events path; a stream is closed at once."""
    path = f"/v1/nodes/{server.node(name)['id']}/events"
    with server.http.stream("GET", path, headers={**server.agent(name), **headers}) as answer:
        if answer.status_code != 200:
            answer.read()
        return answer


def test_the_socket_is_its_owners_alone(server: Running) -> None:
    mode = (server.directory / "faults.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_hello_lists_every_verb(faults: Faults) -> None:
    told = faults.do("hello")
    assert told["grade"] == "G3"
    assert len(told["verbs"]) == 12
    for verb in set(told["verbs"]) - {"hello", "restart", "requests", "drop_streams", "evict"}:
        answer = faults.ask(verb)  # without the parameters that it needs
        assert answer["error"]["code"] == "invalid_parameters"


def test_publish_is_seen_on_the_stream(server: Running, faults: Faults) -> None:
    with server.stream("alpha") as stream:
        event_id = _publish(server, faults, "alpha")
        _, kind, envelope = stream.next()
    assert (kind, envelope["id"]) == ("peer_deregistered", event_id)


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"type": "signing_key_rotated", "payload": {}}, "unknown_type"),
        ({"type": "peer_deregisterd"}, "unknown_type"),
        ({"payload": {"node_id": "alpha"}}, "event_refused"),
        ({"payload": {"node_id": 7}}, "event_refused"),
        ({"node_ids": ["00000000-0000-7000-8000-000000000000"]}, "unknown_node"),
        ({"node_ids": []}, "invalid_parameters"),
        ({"domain_id": "00000000-0000-7000-8000-000000000000"}, "unknown_domain"),
        ({"surplus": 1}, "invalid_parameters"),
    ],
)
def test_publish_refuses_what_no_producer_could_raise(
    server: Running, faults: Faults, over: dict[str, Any], code: str
) -> None:
    node = server.node("alpha")
    asked = {
        "domain_id": node["domain_id"],
        "node_ids": [node["id"]],
        "type": "peer_deregistered",
        "payload": {"node_id": node["id"]},
    } | over
    assert faults.ask("publish", **asked)["error"]["code"] == code


def test_publish_addresses_no_node_of_another_domain(server: Running, faults: Faults) -> None:
    answer = faults.ask(
        "publish",
        domain_id=server.domain("one"),
        node_ids=[server.node("other")["id"]],
        type="peer_deregistered",
        payload={"node_id": server.node("gone")["id"]},
    )
    assert answer["error"]["code"] == "unknown_node"


def test_a_stopped_log_refuses_streams_and_nothing_else(server: Running, faults: Faults) -> None:
    with server.stream("alpha") as before:
        _publish(server, faults, "alpha")
        sequence = before.next()[0]
        faults.do("stop", what="log")
        assert before.rest() == []
    refused = _events(server, "alpha")
    assert (refused.status_code, refused.json()["code"]) == (503, "event_stream_unavailable")
    assert "Retry-After" in refused.headers
    assert server.state("alpha").status_code == 200
    late = _publish(server, faults, "alpha")  # the outbox takes it
    faults.do("start", what="log")
    with _reopened(server, "alpha", sequence) as stream:
        assert stream.next()[2]["id"] == late


def _reopened(server: Running, name: str, cursor: int) -> Any:
    """A stream as soon as the log answers again."""
    for _ in range(1000):
        if _events(server, name).status_code == 200:
            break
    return server.stream(name, cursor)


def test_a_stopped_database_leaves_the_streams_open(server: Running, faults: Faults) -> None:
    assert server.state("alpha").status_code == 200
    with server.stream("alpha") as stream:
        faults.do("stop", what="database")
        assert server.http.get("/v1/health").status_code == 503
        cached = server.state("alpha")
        assert (cached.status_code, "Age" in cached.headers) in {(200, True), (200, False)}
        refused = server.put_entry("alpha", "k", "v")
        assert refused.status_code == 503
        faults.do("start", what="database")
        assert server.put_entry("alpha", "k", "v").status_code < 300
        assert stream.next()[1] == "node_state_updated"


def test_evicted_entries_are_outside_the_window(server: Running, faults: Faults) -> None:
    with server.stream("alpha") as stream:
        _publish(server, faults, "alpha")
        first = stream.next()[0]
        _publish(server, faults, "alpha")
        second = stream.next()[0]
    bounds = faults.do("evict", through=first)
    assert bounds["low"] == first + 1
    assert _events(server, "alpha", **{"Last-Event-ID": str(first - 1)}).status_code == 410
    with server.stream("alpha", first) as stream:
        assert stream.next()[0] == second
    bounds = faults.do("evict")
    assert bounds["low"] == bounds["high"] + 1
    assert _events(server, "alpha", **{"Last-Event-ID": str(bounds["high"])}).status_code == 200


def test_an_unwired_port_answers_501(server: Running, faults: Faults) -> None:
    faults.do("wire", port="EventStream", wired=False)
    answer = _events(server, "alpha")
    assert (answer.status_code, answer.json()["code"]) == (501, "signed_event_bus_not_provisioned")
    assert server.state("alpha").status_code == 200
    faults.do("wire", port="EventStream", wired=True)
    assert _events(server, "alpha").status_code == 200
    assert faults.ask("wire", port="Kitchen", wired=False)["error"]["code"] == "unknown_port"


def test_a_withheld_key_holds_its_domain_back_and_no_other(server: Running, faults: Faults) -> None:
    one = server.domain("one")
    with server.stream("alpha") as alpha, server.stream("other") as other:
        key = faults.do("signing_key", domain_id=one, action="withhold")["key_id"]
        held = [_publish(server, faults, "alpha") for _ in range(3)]
        marker = _publish(server, faults, "other")
        assert other.next()[2]["id"] == marker
        again = faults.ask("signing_key", domain_id=one, action="withhold")
        assert again["error"]["code"] == "signing_key_missing"
        assert faults.do("signing_key", domain_id=one, action="provision")["key_id"] == key
        assert [alpha.next()[2]["id"] for _ in held] == held


def test_a_rotated_key_is_told_by_the_outgoing_one(server: Running, faults: Faults) -> None:
    with server.stream("other") as stream:
        done = faults.do("signing_key", domain_id=server.domain("two"), action="rotate")
        _, kind, told = stream.next()
        _publish(server, faults, "other")
        after = stream.next()[2]
    assert (kind, told["key_id"]) == ("signing_key_rotated", done["previous_key_id"])
    assert after["key_id"] == told["payload"]["key_id"] == done["key_id"]


def test_a_first_key_lets_a_silent_domain_speak(server: Running, faults: Faults) -> None:
    with server.stream("mute") as stream:
        waiting = _publish(server, faults, "mute")
        faults.do("signing_key", domain_id=server.domain("keyless"), action="provision")
        assert stream.next()[2]["id"] == waiting
    again = faults.ask("signing_key", domain_id=server.domain("keyless"), action="provision")
    assert again["error"]["code"] == "signing_key_exists"


def test_dropped_streams_end(server: Running, faults: Faults) -> None:
    with server.stream("alpha") as alpha, server.stream("beta") as beta:
        assert faults.do("drop_streams", node_id=server.node("alpha")["id"]) == {"dropped": 1}
        assert alpha.rest() == []
        event_id = _publish(server, faults, "beta")
        assert beta.next()[2]["id"] == event_id


def test_requests_tell_what_clients_asked_and_got(server: Running, faults: Faults) -> None:
    seen = faults.do("requests")["requests"][-1]["serial"]
    server.state("alpha")
    server.http.get(f"/v1/nodes/{server.node('beta')['id']}/state", headers=server.agent("alpha"))
    server.put_entry("alpha", "asked", "for")
    told = faults.do("requests", since=seen)
    assert [one["status"] for one in told["requests"]][:2] == [200, 403]
    mismatch = faults.do("requests", since=seen, status=403)["requests"]
    assert [one["code"] for one in mismatch] == ["node_id_mismatch"]
    put = faults.do("requests", since=seen, operation_id="PutNodeStateEntry")["requests"][0]
    assert put["body"] == {"value": "for"}
    at = mismatch[0]["at"]
    assert faults.do("requests", since=at, node_id=server.node("beta")["id"])["count"] == 1


def test_requests_show_no_credential(server: Running, faults: Faults) -> None:
    server.state("alpha")
    server.http.post("/v1/register", json={"bootstrap_token": "psb_hidden", "nsk": "hidden"})
    server.http.get(f"/v1/nodes/{server.node('alpha')['credential']}/state")
    told = str(faults.do("requests")) + server.log()
    for operator in server.facts["operators"].values():
        assert operator["token"] not in told
    for node in server.facts["nodes"].values():
        assert node["credential"] not in told
        assert node["credential"][-24:] not in told
    assert "hidden" not in told
    assert "Bearer nsk_dev_***" in told


def test_the_next_answers_are_the_planned_ones(server: Running, faults: Faults) -> None:
    planned = {"operation_id": "GetNodeState", "count": 2, "status": 503, "code": "datastore_unavailable"}
    assert faults.do("answer", **planned) == {"planned": 2}
    assert [server.state("alpha").status_code for _ in range(3)] == [503, 503, 200]
    faults.do("answer", operation_id="GetNodeState", count=1, delay_seconds=0.2)
    answer = server.state("alpha")
    assert (answer.status_code, answer.elapsed.total_seconds() >= 0.2) == (200, True)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"operation_id": "GetNodeStat", "count": 1, "status": 503}, "unknown_operation"),
        ({"operation_id": "GetNodeState", "count": 1, "status": 200}, "unknown_refusal"),
        (
            {"operation_id": "GetNodeState", "count": 1, "status": 404, "code": "invalid_node_id"},
            "unknown_refusal",
        ),
        ({"operation_id": "GetNodeState", "count": 1, "code": "made_up"}, "unknown_refusal"),
        ({"operation_id": "GetNodeState", "count": 1}, "invalid_parameters"),
        ({"operation_id": "GetNodeState", "count": 0, "status": 503}, "invalid_parameters"),
        ({"operation_id": "GetNodeState", "count": 1, "delay_seconds": 3600}, "invalid_parameters"),
    ],
)
def test_answer_can_only_refuse_or_delay(faults: Faults, parameters: dict[str, Any], code: str) -> None:
    assert faults.ask("answer", **parameters)["error"]["code"] == code


def test_the_clock_moves_forward_alone(server: Running, faults: Faults) -> None:
    before = server.http.get("/v1/health").headers["Date"]
    faults.do("advance_clock", seconds=86_400)
    after = server.http.get("/v1/health").headers["Date"]
    assert before.split()[1] != after.split()[1]
    assert faults.ask("advance_clock", seconds=-1)["error"]["code"] == "invalid_parameters"


def test_a_moved_clock_decays_reachability(server: Running, faults: Faults) -> None:
    node = server.node("beta")
    beat = server.http.post(
        f"/v1/nodes/{node['id']}/heartbeat",
        headers=server.agent("beta"),
        json={
            "client_now": faults.do("advance_clock", seconds=0)["now"],
            "nat_summary": {},
            "binary_version": "1.0.0",
            "binary_checksum": base64.b64encode(bytes(32)).decode(),
        },
    )
    assert beat.status_code == 200, beat.text
    with server.stream("beta") as stream:
        faults.do("advance_clock", seconds=100)
        assert stream.next()[2]["payload"]["reachability"]["state"] == "stale"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"garbage\n", "malformed_request"),
        (b"[]\n", "malformed_request"),
        (b'{"id": 1}\n', "malformed_request"),
        (b'{"verb": "hello", "surplus": 1}\n', "malformed_request"),
        (b'{"verb": "explode"}\n', "unknown_verb"),
        (b'{"verb": "hello", "parameters": []}\n', "invalid_parameters"),
        (b'{"verb": "stop", "parameters": {"what": "world"}}\n', "invalid_parameters"),
        (b"\xff\xfe\n", "malformed_request"),
    ],
)
def test_what_is_no_request_is_told_so(faults: Faults, line: bytes, code: str) -> None:
    assert faults.send(line)["error"]["code"] == code
    assert faults.do("hello")["grade"] == "G3"  # the connection goes on


def test_a_line_that_is_too_long_is_told_so(faults: Faults) -> None:
    answer = faults.send(b'{"verb": "' + b"x" * (5 * 1024 * 1024) + b'"}\n')
    assert answer["error"]["code"] == "line_too_long"
    assert faults.do("hello")["grade"] == "G3"


def test_a_restart_keeps_everything_but_the_process(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        with server.faults() as faults, server.stream("alpha") as stream:
            _publish(server, faults, "alpha")
            first = stream.next()[0]
            faults.do("advance_clock", seconds=3600)
            moved = faults.do("advance_clock", seconds=0)["now"]
            assert faults.do("restart") == {"restarted": True}
            assert stream.rest() == []  # ended at a frame boundary, not torn
            assert faults.do("advance_clock", seconds=0)["now"] > moved
            late = _publish(server, faults, "alpha")
            with server.stream("alpha", first) as again:
                assert again.next()[2]["id"] == late
            assert faults.do("restart") == {"restarted": True}
            assert server.state("alpha").status_code == 200
        assert server.stop() == 0
        assert server.log().count('"event":"server_ready"') == 3
    finally:
        if server.child.poll() is None:
            server.kill()


def test_a_restart_of_what_is_only_in_memory_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, data=":memory:") as server, server.faults() as faults:
        assert faults.ask("restart")["error"]["code"] == "restart_refused"
        assert server.state("alpha").status_code == 200
