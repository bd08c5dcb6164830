"""The master key at the start (KEY-4)."""

import base64
import stat
from pathlib import Path

import pytest

from reference_server import master_key
from reference_server.clock import SystemClock
from reference_server.envelope.keyring import Keyring
from reference_server.ids import Uuid7Ids
from reference_server.settings import MEMORY, Settings, SettingsRefused
from reference_server.store.engine import SqliteStore
from tests.server.bus import opened

_ONE = base64.b64encode(b"1" * 32).decode()
_TWO = base64.b64encode(b"2" * 32).decode()


async def _keyring(path: Path, key: str | None = None, key_file: Path | None = None) -> Keyring:
    clock = SystemClock()
    store = await SqliteStore.open(str(path), clock=clock, ids=Uuid7Ids(clock))
    try:
        settings = Settings(
            data=str(path), master_key=key, master_key_file=None if key_file is None else str(key_file)
        )
        return await master_key.unlock(settings, store)
    finally:
        await store.aclose()


def _files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def _put_in_use(path: Path) -> None:
    async with opened(str(path)) as bus:
        await bus.provision(bus.ids.uuid7())


async def test_a_new_store_makes_its_key_beside_it_and_finds_it_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    sealed = (await _keyring(path)).seal(b"secret")
    made = tmp_path / "master.key"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert len(base64.b64decode(made.read_bytes())) == 32
    assert (await _keyring(path)).unseal(sealed) == b"secret"


async def test_in_memory_a_key_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clock = SystemClock()
    store = await SqliteStore.open(MEMORY, clock=clock, ids=Uuid7Ids(clock))
    await master_key.unlock(Settings(data=MEMORY), store)
    await store.aclose()
    assert not _files(tmp_path)


async def test_a_wrong_key_is_refused_once_something_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await _keyring(path, _ONE)
    await _keyring(path, _TWO)
    await _put_in_use(path)
    await _keyring(path, _TWO)
    with pytest.raises(SettingsRefused, match="not the one that sealed the keys") as refused:
        await _keyring(path, _ONE)
    assert _ONE not in str(refused.value)


async def test_a_missing_key_is_refused_once_something_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await _keyring(path)
    (tmp_path / "master.key").unlink()
    await _keyring(path)
    await _put_in_use(path)
    (tmp_path / "master.key").unlink()
    with pytest.raises(SettingsRefused, match="is missing"):
        await _keyring(path)


@pytest.mark.parametrize("content", ["", "short", "not base64 at all!", base64.b64encode(b"x" * 31).decode()])
async def test_a_malformed_key_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(SettingsRefused, match="not the base64 of 32 bytes"):
        await _keyring(tmp_path / "store.db", content)
    key_file = tmp_path / "key"
    key_file.write_text(content)
    with pytest.raises(SettingsRefused, match="not the base64 of 32 bytes"):
        await _keyring(tmp_path / "store.db", key_file=key_file)


async def test_a_key_file_may_stand_anywhere_and_must_be_there(tmp_path: Path) -> None:
    key_file = tmp_path / "elsewhere"
    key_file.write_text(_ONE + "\n")
    keyring = await _keyring(tmp_path / "store.db", key_file=key_file)
    assert keyring.unseal(Keyring(b"1" * 32).seal(b"x")) == b"x"
    with pytest.raises(SettingsRefused, match="cannot be read"):
        await _keyring(tmp_path / "store.db", key_file=tmp_path / "nowhere")
