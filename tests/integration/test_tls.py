"""Certificate and key by file: signed streams over https, and every pair of files that is refused."""

import base64
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from reference_server.envelope import model
from tests import authority, process
from tests.authority import Authority, Pair
from tests.process import PATIENCE, Running

# Together more than the kernel holds for one connection.
_PIPELINED = 40


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority.made(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(trusted: Authority) -> Pair:
    return trusted.issue("server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Running]:
    with process.running(tmp_path_factory.mktemp("tls"), *pair.flags, "--head-seconds", 1) as running:
        assert running.url.startswith("https://127.0.0.1:")
        yield running


@pytest.fixture
def http(server: Running, trusted: Authority) -> Iterator[httpx.Client]:
    verify = ssl.create_default_context(cafile=str(trusted.certificate))
    with httpx.Client(base_url=server.url, verify=verify, timeout=PATIENCE, trust_env=False) as client:
        yield client


def _port(server: Running) -> int:
    return int(server.url.rpartition(":")[2])


def test_a_signed_stream_over_https(server: Running, http: httpx.Client) -> None:
    alpha = server.node("alpha")
    wanted = [f"large-{number}" for number in range(40)]
    with http.stream("GET", f"/v1/nodes/{alpha['id']}/events", headers=server.agent("alpha")) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        public = base64.b64decode(server.facts["domains"]["one"]["signing_public_key"])
        for key in wanted:
            path = f"/v1/nodes/{alpha['id']}/state/metadata/{key}"
            put = http.put(path, headers=server.root, json={"value": key * 500})
            assert put.status_code < 300, put.text
            data = next(line for line in lines if line.startswith("data:"))
            envelope = model.parse(data.removeprefix("data:").strip().encode())
            assert envelope.verified_by(public)
            assert key.encode() in envelope.payload


def test_a_large_answer_and_kept_connections(server: Running, http: httpx.Client) -> None:
    for _ in range(3):
        document = http.get("/v1/openapi.json")
        assert document.status_code == 200
        assert json.loads(document.content)["openapi"].startswith("3.1")


def test_a_reader_that_takes_its_time(server: Running, http: httpx.Client, trusted: Authority) -> None:
    """The window fills: pieces are sent again as they were."""
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(PATIENCE)
        plain.connect(("127.0.0.1", _port(server)))
        with context.wrap_socket(plain, server_hostname="localhost") as wire:
            ask = b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n"
            wire.sendall((ask + b"\r\n") * (_PIPELINED - 1) + ask + b"Connection: close\r\n\r\n")
            for _ in range(20):
                assert http.get("/v1/health").status_code == 200
            got = bytearray()
            while piece := wire.recv(64 * 1024):
                got += piece
    document = http.get("/v1/openapi.json").content
    assert got.count(b"HTTP/1.1 200 ") == got.count(document) == _PIPELINED


def test_plain_words_and_silence_are_turned_away(server: Running, http: httpx.Client) -> None:
    for sent in (b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", _port(server)), timeout=PATIENCE) as wire:
            wire.sendall(sent)
            with suppress(ConnectionResetError):  # what it said was not read
                while piece := wire.recv(1000):
                    assert not piece.startswith(b"HTTP/")
    assert 'connections_refused_total{reason="handshake"} 2.0' in http.get("/metrics").text


def test_a_stranger_to_the_authority_does_not_trust_it(server: Running) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{server.url}/v1/health", trust_env=False)


def test_old_versions_are_not_spoken(server: Running, trusted: Authority) -> None:
    old = ssl.create_default_context(cafile=str(trusted.certificate))
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    assert _version(server, old) == "TLSv1.3"
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert _version(server, old) == "TLSv1.2"


def _version(server: Running, context: ssl.SSLContext) -> str | None:
    with (
        socket.create_connection(("127.0.0.1", _port(server)), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        return wire.version()


def test_an_orderly_end_is_said_in_tls(tmp_path: Path, pair: Pair, trusted: Authority) -> None:
    """A client that takes a cut for an attack must not see one where the server stops (SSE-8)."""
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    with process.running(tmp_path, *pair.flags, data=":memory:") as server:
        with (
            socket.create_connection(("127.0.0.1", _port(server)), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as wire,
        ):
            head = f"GET /v1/nodes/{server.node('alpha')['id']}/events HTTP/1.1\r\nHost: a\r\n"
            wire.sendall(f"{head}Authorization: {server.agent('alpha')['Authorization']}\r\n\r\n".encode())
            assert wire.recv(1000).startswith(b"HTTP/1.1 200")
            server.child.terminate()
            while wire.recv(1000):
                pass
        assert server.child.wait(PATIENCE) == 0


# ---- refused at the start


def _refused(said: str, *arguments: object) -> None:
    done = process.refused("--port", 0, "--data", ":memory:", *arguments)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert lines[0].startswith("busproof serve: ") and said in lines[0], lines[0]
    assert "PRIVATE KEY" not in done.stderr


def test_one_file_without_the_other(pair: Pair) -> None:
    _refused("come together", *pair.flags[:2])
    _refused("come together", *pair.flags[2:])


def test_files_that_are_not_there(pair: Pair, tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    _refused("none.pem: cannot be read: No such file", "--tls-certificate-file", none, *pair.flags[2:])
    _refused("none.pem: cannot be read: No such file", *pair.flags[:2], "--tls-key-file", none)


def test_files_that_are_something_else(pair: Pair, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00 no PEM at all")
    _refused("garbage: is no certificate", "--tls-certificate-file", garbage, *pair.flags[2:])
    _refused("garbage: is no private key", *pair.flags[:2], "--tls-key-file", garbage)
    _refused("is no certificate", "--tls-certificate-file", pair.key, "--tls-key-file", pair.key)


def test_a_key_of_another_certificate(pair: Pair, trusted: Authority) -> None:
    other = trusted.issue("other")
    _refused("is not the key of the certificate", *pair.flags[:2], *other.flags[2:])


def test_an_encrypted_key(pair: Pair, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    _refused("is encrypted", *pair.flags[:2], "--tls-key-file", locked)


def test_a_certificate_out_of_its_time(trusted: Authority) -> None:
    _refused("old.pem: has expired", *trusted.issue("old", ends="20210101000000Z").flags)
    _refused("early.pem: is not valid yet", *trusted.issue("early", begins="20480101000000Z").flags)
