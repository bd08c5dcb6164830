"""The server behind a real nginx with its default proxy settings (issue 3, section 2); `make nginx`.

The file is named so that the ordinary tests do not collect it: nginx is no Python package.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import process
from tests.process import PATIENCE, Running

CONFIGURATION = """
daemon off;
{user}
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen unix:{place}/front.sock;
        location / {{ proxy_pass {upstream}; }}
    }}
}}
"""


class Front:
    """nginx, and a client that goes through it."""

    def __init__(self, server: Running, place: Path) -> None:
        self.server = server
        transport = httpx.HTTPTransport(uds=str(place / "front.sock"))
        self.http = httpx.Client(transport=transport, base_url="http://bus.test", timeout=PATIENCE)

    def events(self, name: str) -> str:
        return f"/v1/nodes/{self.server.node(name)['id']}/events"

    def streams(self) -> int:
        """How many streams the server holds, by its own count."""
        lines = self.server.http.get("/metrics", headers=self.server.root).text.splitlines()
        return int(float(next(line.split()[1] for line in lines if line.startswith("sse_streams "))))


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """nginx in front of a server whose keep-alive comes every half second."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    assert Path(nginx).exists(), "nginx is not installed; on Debian: apt-get install nginx-light"
    with process.running(tmp_path, "--keep-alive-seconds", 0.5, data=":memory:") as server:
        configuration = tmp_path / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # whose directory this is
        configuration.write_text(CONFIGURATION.format(place=tmp_path, upstream=server.url, user=user))
        child = subprocess.Popen(
            [nginx, "-p", str(tmp_path), "-c", str(configuration)], stderr=subprocess.PIPE
        )
        try:
            wait_until((tmp_path / "front.sock").exists)
            front = Front(server, tmp_path)
            with front.http:
                yield front
        finally:
            child.terminate()
            child.communicate(timeout=PATIENCE)


def wait_until(happened: object) -> None:
    """Look often until it is so."""
    assert callable(happened)
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def test_events_and_keep_alives_come_through_at_once(front: Front) -> None:
    """SSE-4, SSE-6, SSE-7, SSE-12: head before any event, nothing held back."""
    headers = front.server.agent("alpha")
    with front.http.stream("GET", front.events("alpha"), headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        pieces = answer.iter_raw()
        assert next(pieces) == b":keep-alive\n\n"
        for number in range(20):
            began = time.monotonic()
            front.server.put_entry("alpha", "k", str(number))
            while b"\nevent: node_state_updated\n" not in next(pieces):
                pass
            assert time.monotonic() - began < 1


def test_a_resume_through_nginx_has_every_frame_whole(front: Front) -> None:
    """CUR-2."""
    for number in range(300):
        front.server.put_entry("alpha", "k", "x" * 3000 + str(number))
    headers = front.server.agent("alpha") | {"Last-Event-ID": "0"}
    got = b""
    with front.http.stream("GET", front.events("alpha"), headers=headers) as answer:
        for piece in answer.iter_raw():
            got += piece
            if got.count(b"\nevent: node_state_updated\n") == 300 and got.endswith(b"\n\n"):
                break
    frames = [frame for frame in got.split(b"\n\n") if frame and not frame.startswith(b":")]
    ids = [int(frame.split(b"\n")[0].removeprefix(b"id: ")) for frame in frames]
    assert ids == sorted(set(ids))
    for frame in frames:
        assert json.loads(frame.split(b"\n")[2].removeprefix(b"data: "))["signature"]


def test_the_server_notices_that_the_client_behind_nginx_left(front: Front) -> None:
    with front.http.stream("GET", front.events("alpha"), headers=front.server.agent("alpha")) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert front.streams() == 1
    wait_until(lambda: front.streams() == 0)


def test_stop_ends_streams_cleanly_through_nginx(front: Front) -> None:
    """SSE-8."""
    with front.http.stream("GET", front.events("alpha"), headers=front.server.agent("alpha")) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        front.server.child.terminate()
        assert all(piece.endswith(b"\n\n") for piece in pieces)


def test_refusals_and_pulls_pass_unchanged(front: Front) -> None:
    state = front.events("alpha").replace("events", "state")
    direct = front.server.state("alpha")
    through = front.http.get(state, headers=front.server.agent("alpha"))
    assert through.content == direct.content
    for answer, status in (
        (front.http.get(front.events("alpha")), 401),
        (front.http.post(front.events("alpha")), 405),
        (front.http.get("/v1/none"), 404),
        (front.http.put(state + "/metadata/k", content=b"x" * 900_000, headers=front.server.root), 413),
    ):
        assert answer.status_code == status == answer.json()["status"]
        assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]
