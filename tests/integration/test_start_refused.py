"""Every start that must fail, tried for real: one clear line on standard error, exit code 2, no traceback."""

import base64
import os
import resource
import socket
import subprocess
from pathlib import Path

import pytest

from tests import process


def _assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert lines[0].startswith("busproof serve: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


def _memory(*arguments: object) -> list[object]:
    return ["--port", 0, "--data", ":memory:", *arguments]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prot", "1"], ["--prot", "--port"]),
        (["--port", "many"], ["--port", "whole number"]),
        (["--port", "70000"], ["--port", "0 to 65535"]),
        (["--unwire", "EventSteam"], ["--unwire", "EventStream"]),
        (["--config", "/nowhere/busproof.toml"], ["/nowhere/busproof.toml", "No such file"]),
        (["--host", "203.0.113.1"], ["cannot listen on 203.0.113.1"]),
    ],
)
def test_a_bad_flag(arguments: list[str], words: list[str]) -> None:
    _assert_one_line(process.refused("--data", ":memory:", *arguments), *words)


_DATABASE = ("--database-url", "postgresql://bus@127.0.0.1:9/bus")
_LOG = ("--nats-url", "nats://127.0.0.1:9")
_EITHER = "one file, or on Postgres and NATS together"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*_DATABASE], ["--nats-url is missing", _EITHER]),
        ([*_LOG], ["--database-url is missing", _EITHER]),
        ([*_DATABASE, *_LOG, "--data", "bus.db"], ["--data names a file", _EITHER]),
        ([*_LOG, "--data", ":memory:"], ["--data names a file", _EITHER]),
        (["--data", ":memory:", "--replicas", "2"], ["replicas need --database-url and --nats-url"]),
        (["--database-url", "mysql://bus@127.0.0.1/bus", *_LOG], ["postgresql://user@host:port/database"]),
        (["--database-url", "postgresql://bus:secret@127.0.0.1/bus", *_LOG], ["must not hold the password"]),
        ([*_DATABASE, *_LOG], ["127.0.0.1:9/bus", "cannot be reached"]),
    ],
)
def test_a_combination_of_engines_that_does_not_exist(arguments: list[str], words: list[str]) -> None:
    done = process.refused("--port", 0, *arguments)
    _assert_one_line(done, *words)
    assert "secret" not in done.stderr


def test_a_relay_over_a_file() -> None:
    done = subprocess.run(
        [*process.command()[:-1], "relay", "--port", "0", "--data", ":memory:"],
        capture_output=True,
        text=True,
        cwd=process.ROOT,
        timeout=process.PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "busproof relay: a file has its relay inside: a relay needs --database-url and --nats-url"
    )


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    config = tmp_path / "busproof.toml"
    config.write_text('data = ":memory:"\ngrace_second = 3\n')
    _assert_one_line(process.refused("--config", config), str(config), "grace_second", "'grace_seconds'")


def test_a_mistyped_variable_names_the_nearest() -> None:
    done = process.refused("--data", ":memory:", BUSPROOF_GRACE_SECOND="3")
    _assert_one_line(done, "BUSPROOF_GRACE_SECOND", "'BUSPROOF_GRACE_SECONDS'")


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("[[domains]\n", ":1:", []),
        ('\n[[domains]]\nname = "A"\nslug = "a"\n', ":2:", ["mesh_cidr"]),
        ('[[nodes]]\nname = "a"\ndomain = "nowhere"\n', ":1:", ["nowhere"]),
        ('[[operators]]\nname = "a"\nrelations = [{relation = "own", object = "*"}]\n', ":1:", ["own"]),
        ('[[domains]]\nname = "A"\nslug = "a"\nmesh_cidr = "10.0.0.0/99"\n', ":1:", []),
    ],
)
def test_a_bad_seed_file(tmp_path: Path, text: str, where: str, words: list[str]) -> None:
    seed = tmp_path / "seed.toml"
    seed.write_text(text)
    _assert_one_line(process.refused(*_memory("--seed-file", seed)), f"{seed}{where}", *words)


def test_a_bad_seed_leaves_nothing_behind(tmp_path: Path) -> None:
    seed, data = tmp_path / "seed.toml", tmp_path / "bus.db"
    good = '[[domains]]\nname = "A"\nslug = "a"\nmesh_cidr = "10.0.0.0/16"\n'
    seed.write_text(good + good.replace('"a"', '"b"'))  # the second range overlaps the first
    _assert_one_line(process.refused("--port", 0, "--data", data, "--seed-file", seed), f"{seed}:5:")
    seed.write_text(good.replace("10.0.", "10.9."))  # would be refused if the first Domain were there
    with process.running(tmp_path) as server:
        assert server.facts["domains"]["a"]["mesh_cidr"] == "10.9.0.0/16"


def test_a_busy_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = process.refused("--port", port, "--data", ":memory:")
    _assert_one_line(done, f"127.0.0.1:{port}", "in use")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    done = process.refused("--port", 0, "--data", tmp_path / "none" / "bus.db")
    _assert_one_line(done, "none/bus.db", "No such file or directory")


def test_a_directory_that_cannot_be_written() -> None:
    """/proc takes no files from anybody, root included."""
    _assert_one_line(process.refused("--port", 0, "--data", "/proc/bus.db"), "/proc/bus.db")


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    data = tmp_path / "bus.db"
    data.write_bytes(b"not a database at all" * 100)
    _assert_one_line(process.refused("--port", 0, "--data", data), str(data), "is not a store")


def test_a_second_process_on_the_same_file(tmp_path: Path) -> None:
    with process.running(tmp_path):
        done = process.refused("--port", 0, "--data", tmp_path / "bus.db")
    _assert_one_line(done, "in use by another process")


def test_a_second_process_on_the_same_fault_channel(tmp_path: Path) -> None:
    with process.running(tmp_path):
        done = process.refused(*_memory("--faults", tmp_path / "faults.sock"))
    _assert_one_line(done, "fault channel of a running server")


def test_a_fault_channel_where_a_file_is(tmp_path: Path) -> None:
    place = tmp_path / "faults.sock"
    place.write_text("mine")
    _assert_one_line(process.refused(*_memory("--faults", place)), "is no socket")
    assert place.read_text() == "mine"


def test_a_missing_master_key_once_something_is_sealed(tmp_path: Path) -> None:
    with process.running(tmp_path) as server:
        server.stop()
    (tmp_path / "master.key").unlink()
    done = process.refused("--port", 0, "--data", tmp_path / "bus.db")
    _assert_one_line(done, "master.key is missing")
    assert not (tmp_path / "master.key").exists()


def test_a_wrong_master_key(tmp_path: Path) -> None:
    with process.running(tmp_path) as server:
        server.stop()
    other = base64.b64encode(os.urandom(32)).decode()
    done = process.refused("--port", 0, "--data", tmp_path / "bus.db", BUSPROOF_MASTER_KEY=other)
    _assert_one_line(done, "master key is not the one that sealed")
    assert other not in done.stderr


def test_a_malformed_master_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("too short")
    _assert_one_line(process.refused(*_memory("--master-key-file", key)), str(key), "base64 of 32 bytes")
    _assert_one_line(process.refused(*_memory("--master-key-file", tmp_path / "none")), "No such file")


def test_credentials_that_cannot_be_shown_again(tmp_path: Path) -> None:
    with process.running(tmp_path) as server:
        server.stop()
    arguments = ["--port", 0, "--data", tmp_path / "bus.db", "--seed-file", tmp_path / "seed.toml"]
    done = process.refused(*arguments, "--credentials-file", tmp_path / "new.json")
    _assert_one_line(done, "seed.toml:22:", "'alpha'", "cannot be shown again")


def test_a_full_disk(tmp_path: Path) -> None:
    """A file-size limit of the child stands in for the disk: the store cannot grow past it."""
    data = tmp_path / "bus.db"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))

    done = subprocess.run(
        process.command("--port", 0, "--data", data),
        capture_output=True,
        text=True,
        cwd=process.ROOT,
        timeout=process.PATIENCE,
        preexec_fn=limit,
        check=False,
    )
    _assert_one_line(done, str(data))
