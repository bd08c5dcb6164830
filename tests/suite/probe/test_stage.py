"""The stage: what is sent, what is recorded, and that no secret gets into a transcript."""

import json
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from conformance.probe import client
from conformance.probe.obstacle import CannotAct
from conformance.probe.policy import Restraint
from conformance.probe.transcript import Ending
from tests.suite.tiny import NODE, SECRET, Asked, ok, serving, staged

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_request_is_recorded_whole_and_without_its_credential() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(ok(b'{"seen":"' + SECRET.encode() + b'"}', "X-Odd-Case: yes"))

    async with serving(answer) as tiny, staged(tiny.url) as stage:
        live = await stage.request("one", "POST", "/v1/x?y=1", identity="node_a", json={"a": 1})
        transcript = stage.transcript()
    assert f"Authorization: Bearer {SECRET}".encode() in tiny.asked[0].head
    assert tiny.asked[0].body == b'{"a":1}'
    assert SECRET.encode() in live.body, "the scenario itself sees what came"
    stored = transcript.exchange("one")
    assert stored is not None and stored.head is not None
    assert stored.ending is Ending.COMPLETE and stored.head.values("x-odd-case") == ("yes",)
    assert ("Authorization", "Bearer $BUSPROOF_NODE_A") in stored.request_headers
    assert SECRET.encode() not in b"".join(each.raw for each in stored.received)
    assert transcript.marked("credential_echoed")[0].facts["exchange"] == "one"


async def test_a_secret_across_two_reads_is_masked() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        whole = ok(b"x" + SECRET.encode())
        await stream.send_all(whole[:-30])
        await trio.sleep(0.05)
        await stream.send_all(whole[-30:])

    async with serving(answer) as tiny, staged(tiny.url) as stage:
        await stage.request("one", "GET", "/", identity="node_a")
        stored = stage.transcript().exchanges[0]
    assert len([each for each in stored.received if each.raw]) > 1
    assert stored.body == b"x" + b"X" * len(SECRET)
    assert b"AAAA" not in b"".join(each.raw for each in stored.received)


async def test_a_secret_in_what_is_sent_is_masked_too() -> None:
    async with serving() as tiny, staged(tiny.url) as stage:
        await stage.request("one", "POST", f"/x?token={SECRET}", json={"t": SECRET})
        await stage.raw("two", b"GET / HTTP/1.1\r\nAuthorization: " + SECRET.encode() + b"\r\n\r\n")
        stage.mark("three", credential=SECRET, deep={"a": [SECRET]})
        transcript = stage.transcript()
    assert tiny.asked[0].body.endswith(SECRET.encode() + b'"}')
    assert SECRET not in repr(transcript)


async def test_nothing_listens() -> None:
    async with serving() as tiny:
        url = tiny.url
    async with staged(url) as stage:
        assert (await stage.request("one", "GET", "/")).ending is Ending.REFUSED


async def test_a_server_that_says_nothing_is_a_timeout() -> None:
    async def hang(asked: Asked, stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with serving(hang) as tiny, staged(tiny.url) as stage:
        exchange = await stage.request("one", "GET", "/", timeout=0.2)
    assert exchange.ending is Ending.TIMEOUT and exchange.head is None


async def test_a_message_cut_by_the_server_is_closed() -> None:
    async def cut(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(ok(b"0123456789")[:-4])

    async with serving(cut) as tiny, staged(tiny.url) as stage:
        exchange = await stage.request("one", "GET", "/")
    assert exchange.ending is Ending.CLOSED and exchange.body == b"012345"


async def test_what_is_no_http_is_malformed() -> None:
    async def odd(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(b"hello\r\n\r\n")

    async with serving(odd) as tiny, staged(tiny.url) as stage:
        assert (await stage.request("one", "GET", "/")).ending is Ending.MALFORMED


async def test_raw_bytes_go_out_as_they_are() -> None:
    data = b"GET  /odd HTTP/1.1\r\nHost: tiny\r\nLast-Event-ID: 1\r\nLast-Event-ID: 2\r\n\r\n"
    async with serving() as tiny, staged(tiny.url) as stage:
        exchange = await stage.raw("one", data)
    assert tiny.asked[0].head + b"\r\n\r\n" == data
    assert exchange.request_raw == data and exchange.head is not None and exchange.head.status == 404


async def test_the_run_sends_no_header_of_its_own_but_its_name() -> None:
    async with serving() as tiny, staged(tiny.url) as stage:
        await stage.request("one", "GET", "/")
    names = {line.split(b":")[0].lower() for line in tiny.asked[0].head.split(b"\r\n")[1:]}
    assert names == {b"host", b"user-agent", b"accept"}


async def test_a_stream_is_read_in_the_background_with_times() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(STREAM_HEAD)
        await stream.send_all(chunk(b"id: 1\nevent: a\ndata: {}\n\n"))
        await stream.send_all(chunk(b":keep-alive\n\n"))
        await trio.sleep(0.02)
        await stream.send_all(chunk(b"id: 2\nevent: b\ndata: {}\n\n"))
        await trio.sleep_forever()

    async with serving(answer) as tiny, staged(tiny.url) as stage:
        async with stage.stream("s", cursor=5) as probe:
            head = await probe.head()
            frames = await probe.frames(2)
            comment = await probe.until(lambda frame: frame.comment)
            assert not await probe.ended(within=0.05)
            assert len(await probe.frames(3, within=0.05)) == 2
        stored = stage.transcript().exchanges[0]
    assert head is not None and head.status == 200
    assert [each.id for each in frames] == ["1", "2"] and frames[0].at < frames[1].at
    assert comment is not None and probe.last_id == "2"
    assert stored.ending is Ending.LEFT and stored.target == f"/v1/nodes/{NODE}/events"
    assert b"Last-Event-ID: 5" in tiny.asked[0].head and b"Accept: text/event-stream" in tiny.asked[0].head


async def test_a_paused_stream_is_not_read_until_it_goes_on() -> None:
    first, second = chunk(b"id: 1\ndata: x\n\n"), chunk(b"id: 2\ndata: y\n\n")
    paused, all_sent = trio.Event(), trio.Event()

    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(STREAM_HEAD + first)
        await paused.wait()
        await stream.send_all(chunk(b":the read under way takes this\n\n"))
        await trio.testing.wait_all_tasks_blocked(0.02)
        await stream.send_all(second)
        all_sent.set()
        await trio.sleep_forever()

    async with serving(answer) as tiny, staged(tiny.url) as stage, stage.stream("s") as probe:
        await probe.frames(1)
        await trio.testing.wait_all_tasks_blocked()
        probe.pause()
        paused.set()
        await all_sent.wait()
        assert await probe.frames(2, within=0.05) == probe.events and probe.last_id == "1"
        probe.go_on()
        assert len(await probe.frames(2)) == 2 and probe.last_id == "2"


async def test_a_stream_that_the_server_ends_is_ended() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(STREAM_HEAD + chunk(b"id: 1\ndata: x\n\n") + b"0\r\n\r\n")

    async with serving(answer) as tiny, staged(tiny.url) as stage, stage.stream("s") as probe:
        assert await probe.ended(within=5)
        assert len(await probe.frames(4)) == 1
        assert stage.transcript().exchanges[0].ending is Ending.COMPLETE


async def test_http_1_0_is_sent_by_hand() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nid: 1\ndata: x\n\n")

    async with serving(answer) as tiny, staged(tiny.url) as stage:
        async with stage.stream("s", http_version="1.0") as probe:
            assert len(await probe.frames(1)) == 1
            assert await probe.ended()
        stored = stage.transcript().exchanges[0]
    assert tiny.asked[0].head.startswith(f"GET /v1/nodes/{NODE}/events HTTP/1.0\r\n".encode())
    assert SECRET.encode() not in stored.request_raw and stored.ending is Ending.COMPLETE


async def test_labels_are_unique_in_a_scenario() -> None:
    async with serving() as tiny, staged(tiny.url) as stage:
        await stage.request("one", "GET", "/")
        with pytest.raises(ValueError, match="twice"):
            await stage.request("one", "GET", "/")


async def test_what_the_target_file_lacks_cannot_be_acted() -> None:
    async with serving() as tiny, staged(tiny.url) as stage:
        with pytest.raises(CannotAct, match="node_b"):
            await stage.request("one", "GET", "/", identity="node_b")
        with pytest.raises(CannotAct, match="restart"):
            await stage.driver.restart()
        with pytest.raises(CannotAct, match="404"):
            await stage.fresh_node("n")


async def test_a_fresh_node_gets_a_credential_and_an_identity() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        if asked.target.endswith("/nodes"):
            body = json.dumps({"node_id": NODE, "mesh_ip": "10.64.0.2", "nsk": "AAEC" * 10 + "AAA="})
        else:
            body = json.dumps({"id": "0198c0de-0000-7000-8000-00000000d001"})
        await stream.send_all(ok(body.encode()).replace(b"200 OK", b"201 Created"))

    async with serving(answer) as tiny, staged(tiny.url) as stage:
        node = await stage.fresh_node("mine")
        await stage.request("as it", "GET", "/", identity="mine")
        stored = stage.transcript()
    assert node.credential.startswith("nsk_busproof_")
    assert json.loads(tiny.asked[0].body)["slug"] == "busproof-tiny-own"
    assert node.credential.encode() in tiny.asked[2].head
    assert node.credential not in repr(stored) and "AAECAAEC" not in repr(stored)


async def test_a_read_only_run_sends_no_post() -> None:
    reading = Restraint(may_write=False, requests=2, watchful=True)
    async with serving() as tiny, staged(tiny.url, restraint=reading) as stage:
        with pytest.raises(CannotAct, match="--allow write"):
            await stage.request("one", "POST", "/")
        await stage.request("two", "GET", "/")
        await stage.request("three", "GET", "/")
        with pytest.raises(CannotAct, match="ceiling"):
            await stage.request("four", "GET", "/")
    assert len(tiny.asked) == 2


async def test_a_target_in_trouble_is_left_alone() -> None:
    async def broken(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

    watchful = Restraint(may_write=False, requests=100, watchful=True)
    async with serving(broken) as tiny, staged(tiny.url, restraint=watchful) as stage:
        with pytest.raises(CannotAct, match="left alone"):
            for number in range(20):
                await stage.request(f"{number}", "GET", "/")
    assert len(tiny.asked) < 20


async def test_many_streams_do_not_hold_up_a_request() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        if asked.target.endswith("/events"):
            await stream.send_all(STREAM_HEAD)
            await trio.sleep_forever()
        await stream.send_all(ok(b"at once"))

    async with (
        serving(answer) as tiny,
        staged(tiny.url, connections=30) as stage,
        AsyncExitStack() as open_ones,
    ):
        for number in range(25):
            probe = await open_ones.enter_async_context(stage.stream(f"s{number}"))
            assert await probe.head() is not None
        assert (await stage.request("one", "GET", "/", timeout=5)).body == b"at once"


async def test_the_runs_limit_of_connections_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TURN_SECONDS", 0.2)

    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(STREAM_HEAD)
        await trio.sleep_forever()

    async with serving(answer) as tiny, staged(tiny.url, connections=1) as stage, stage.stream("s") as probe:
        await probe.head()
        with pytest.raises(CannotAct, match="--max-connections"):
            await stage.request("one", "GET", "/")


async def test_a_refusal_is_recorded_whole_however_late_its_body_comes() -> None:
    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        whole = ok(b'{"status":401}').replace(b"200 OK", b"401 Unauthorized")
        await stream.send_all(whole[:-14])
        await left.wait()
        await stream.send_all(whole[-14:])

    left = trio.Event()
    async with serving(answer) as tiny, staged(tiny.url) as stage:
        async with stage.stream("s") as probe:
            await probe.head()
            left.set()
        exchange = stage.transcript().exchange("s")
    assert exchange is not None and exchange.body == b'{"status":401}'
    assert exchange.ending is Ending.COMPLETE
