"""Requests over real sockets: what is answered, what is refused, and what happens to the connection."""

import json

import pytest

from tests.server.wire.house import opened, read_answer

GET = b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n"
KNOWN = b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def headers_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def check_problem(answer: bytes, status: int, path: str) -> dict[str, object]:
    """ERR-1, ERR-3: what every refusal carries."""
    problem: dict[str, object] = json.loads(body_of(answer))
    assert status_of(answer) == status == problem["status"], answer
    headers = headers_of(answer)
    assert headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == headers["x-correlation-id"]
    assert problem["instance"] == path
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


async def test_every_answer_carries_the_standing_headers() -> None:
    async with opened() as house:
        headers = headers_of(await house.call(KNOWN))
        assert headers["date"] == "Mon, 23 Nov 2026 12:00:00 GMT"
        assert headers["x-plexsphere-api-version"] == "v1"
        assert headers["cache-control"] == "no-store"
        assert headers["content-length"] == "1"
        again = headers_of(await house.call(KNOWN))
        assert again["x-correlation-id"] != headers["x-correlation-id"]


async def test_paths_are_decoded_segment_by_segment() -> None:
    async with opened() as house:
        sent = KNOWN.replace(b"/a ", b"/a%2Fb%C3%A9 ")
        assert body_of(await house.call(sent)) == "a/bé".encode()


@pytest.mark.parametrize("segment", [b"%zz", b"%", b"%C3", b"%00", b"%2"])
async def test_paths_that_decode_to_nothing_sound_are_400(segment: bytes) -> None:
    async with opened() as house:
        assert status_of(await house.call(KNOWN.replace(b"/a ", b"/" + segment + b" "))) == 400


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/things", "/v1/things/", "/v1/things/a/", "/v1/things/a/b"]
)
async def test_unknown_paths_are_404(path: str) -> None:
    """ERR-6."""
    async with opened() as house:
        check_problem(await house.call(KNOWN.replace(b"/v1/things/a", path.encode())), 404, path)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/things/a", "GET, HEAD"),
        ("GET", "/v1/echo", "POST"),
        ("HEAD", "/v1/nodes/x/events", "GET"),
        ("POST", "/v1/nodes/x/events", "GET"),
        ("OPTIONS", "/v1/nodes/x/events", "GET"),
    ],
)
async def test_other_methods_are_405_with_allow(method: str, path: str, allow: str) -> None:
    """ERR-6, SSE-10."""
    async with opened() as house:
        sent = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        answer = await house.call(sent)
        assert headers_of(answer)["allow"] == allow
        if method == "HEAD":
            assert status_of(answer) == 405
            assert body_of(answer) == b""
        else:
            check_problem(answer, 405, path)


async def test_head_is_get_without_the_body() -> None:
    async with opened() as house:
        answer = await house.call(KNOWN.replace(b"GET", b"HEAD"))
        assert (status_of(answer), body_of(answer)) == (200, b"")
        assert headers_of(answer)["content-length"] == "1"


async def test_refusals_of_handlers_are_problems_and_the_connection_stays() -> None:
    async with opened() as house, await house.connect() as stream:
        await stream.send_all(GET.replace(b"/a ", b"/missing "))
        answer, rest = await read_answer(stream)
        assert check_problem(answer, 404, "/v1/things/missing")["code"] == "node_not_found"
        await stream.send_all(GET)
        answer, _ = await read_answer(stream, rest)
        assert status_of(answer) == 200


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/v1/broken", 500, "internal"), ("/v1/away", 503, None)]
)
async def test_failures_leak_nothing(path: str, status: int, code: str | None) -> None:
    """ERR-5."""
    async with opened() as house:
        answer = await house.call(KNOWN.replace(b"/v1/things/a", path.encode()))
        problem = check_problem(answer, status, path)
        assert code is None or problem["code"] == code
        for secret in (b"secret", b"etc", b"RuntimeError", b"10.0.0.1"):
            assert secret not in body_of(answer)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with opened() as house:
        sent = b"".join(GET.replace(b"/a ", b"/%d " % n) for n in range(50)) + KNOWN
        answers = await house.call(sent)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [b"%d" % n for n in range(50)] + [b"a"]


async def test_requests_behind_a_chunked_body_are_seen() -> None:
    async with opened() as house:
        chunked = (
            b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        answers = await house.call(chunked + GET + chunked + KNOWN)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [b"abc", b"a", b"abc", b"a"]


async def test_bytes_that_come_one_by_one_make_the_same_request() -> None:
    async with opened() as house, await house.connect() as stream:
        sent = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        for at in range(len(sent)):
            await stream.send_all(sent[at : at + 1])
        answer, _ = await read_answer(stream)
        assert body_of(answer) == b"abc"


async def test_expect_continue_is_answered_before_the_body_and_not_for_one_too_large() -> None:
    head = _with(HOST, b"Expect: 100-continue", b"Connection: close", b"Content-Length: %d")
    async with opened() as house:
        async with await house.connect() as stream:
            await stream.send_all(head % 3)
            assert await stream.receive_some(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(b"abc")
            answer, _ = await read_answer(stream)
            assert body_of(answer) == b"abc"
        async with await house.connect() as stream:
            await stream.send_all(head % 5000)
            answer, _ = await read_answer(stream)
            check_problem(answer, 413, "/v1/echo")


@pytest.mark.parametrize("extra", [b"", b"Connection: keep-alive\r\n"])
async def test_http_1_0_is_answered_and_closed(extra: bytes) -> None:
    async with opened() as house:
        answer = await house.call(b"GET /v1/things/a HTTP/1.0\r\n" + extra + b"\r\n")
        assert (status_of(answer), body_of(answer)) == (200, b"a")
        assert headers_of(answer)["connection"] == "close"


async def test_absolute_targets_are_understood() -> None:
    async with opened() as house:
        assert status_of(await house.call(KNOWN.replace(b"/v1/th", b"http://x:80/v1/th"))) == 200


def _with(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"POST /v1/echo HTTP/1.1", *lines, b"", b"")) + body


HOST = b"Host: x"
MALFORMED = {
    "no host": _with(b"Content-Length: 0"),
    "two hosts": _with(HOST, HOST, b"Content-Length: 0"),
    "host that is none": _with(b"Host: a b", b"Content-Length: 0"),
    "host with a path": _with(b"Host: x/y", b"Content-Length: 0"),
    "length and chunks": _with(HOST, b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and length": _with(HOST, b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"0\r\n\r\n"),
    "two lengths": _with(HOST, b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    "the same length twice": _with(HOST, b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "a list of lengths": _with(HOST, b"Content-Length: 3, 4", body=b"abcd"),
    "a signed length": _with(HOST, b"Content-Length: +3", body=b"abc"),
    "a hexadecimal length": _with(HOST, b"Content-Length: 0x3", body=b"abc"),
    "chunks in HTTP/1.0": _with(HOST, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n").replace(
        b"1.1", b"1.0", 1
    ),
    "a bad chunk size": _with(HOST, b"Transfer-Encoding: chunked", body=b"zz\r\nabc\r\n0\r\n\r\n"),
    "a negative chunk size": _with(HOST, b"Transfer-Encoding: chunked", body=b"-3\r\nabc\r\n0\r\n\r\n"),
    "a chunk without its end": _with(HOST, b"Transfer-Encoding: chunked", body=b"3\r\nabcX0\r\n\r\n"),
    "a folded header": _with(HOST, b"X-A: b", b" folded", b"Content-Length: 0"),
    "a bare line feed": _with(HOST, b"X-A: b\nX-B: c", b"Content-Length: 0"),
    "a bare carriage return": _with(HOST, b"X-A: b\rX-B: c", b"Content-Length: 0"),
    "a NUL": _with(HOST, b"X-A: b\0c", b"Content-Length: 0"),
    "space before the colon": _with(HOST, b"Content-Length : 0"),
    "a header without a name": _with(HOST, b": x", b"Content-Length: 0"),
    "no request at all": b"hello there\r\n\r\n",
    "no version": b"GET /v1/things/a\r\n\r\n",
    "a target that is no path": b"GET things HTTP/1.1\r\nHost: x\r\n\r\n",
    "an authority": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /v1/things/a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS greeting": bytes.fromhex("16030100c8010000c40303") + b"\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_requests_are_400_and_the_connection_closes(sent: bytes) -> None:
    """ERR-6; a request that is hidden behind a malformed one is never answered."""
    async with opened() as house:
        answer = await house.call(sent + KNOWN)
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.1 ") == 1
        assert headers_of(answer)["connection"] == "close"
        check_problem(answer, 400, "/v1/echo" if b"/v1/echo" in answer else "/")


async def test_other_versions_are_505() -> None:
    async with opened() as house:
        answer = await house.call(KNOWN.replace(b"1.1", b"2.7"))
        assert check_problem(answer, 505, "/")["type"] == "about:blank"
        assert headers_of(answer)["connection"] == "close"


async def test_unknown_transfer_codings_are_refused() -> None:
    async with opened() as house:
        answer = await house.call(_with(HOST, b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n") + KNOWN)
        assert status_of(answer) in (400, 501)
        assert answer.count(b"HTTP/1.1 ") == 1


async def test_half_a_request_and_then_the_end_is_400() -> None:
    async with opened() as house:
        assert status_of(await house.call(GET[:20], half_close=True)) == 400
        assert (
            status_of(await house.call(_with(HOST, b"Content-Length: 9", body=b"abc"), half_close=True))
            == 400
        )
        assert await house.call(b"", half_close=True) == b""


async def test_nothing_hidden_is_told_twice() -> None:
    async with opened() as house:
        await house.call(KNOWN.replace(b"/a ", b"/missing "))
        (told,) = house.told
        assert (told.operation_id, told.status, told.code) == ("Show", 404, "node_not_found")
        assert told.client == "127.0.0.1"


async def test_a_stream_is_chunked_in_1_1_and_ended_by_the_close_in_1_0() -> None:
    """SSE-1, SSE-6, SSE-12."""
    async with opened() as house:
        for version, last in ((b"1.1", b"8\r\n:hello\n\n\r\n"), (b"1.0", b":hello\n\n")):
            async with await house.connect() as stream:
                await stream.send_all(b"GET /v1/nodes/x/events HTTP/%b\r\nHost: x\r\n\r\n" % version)
                got = b""
                while not got.endswith(last):
                    got += await stream.receive_some(1000)
                headers = headers_of(got)
                assert status_of(got) == 200
                assert headers.get("transfer-encoding") == ("chunked" if version == b"1.1" else None)
                assert headers["x-plexsphere-api-version"] == "v1"
                assert "content-length" not in headers
