"""What a process does once it is ready."""

import gc
import json
from pathlib import Path

import pytest

from reference_server import serve
from reference_server.settings import Settings


def test_ready_is_told_when_the_collector_has_nothing_of_the_start_left_to_look_through(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "ready.json"
    before = gc.get_freeze_count()
    try:
        serve.tell_ready(Settings(ready_file=str(told)), "http://127.0.0.1:1")
        assert gc.get_freeze_count() > before + 10_000
        assert sum(gc.get_count()) < 10_000
    finally:
        gc.unfreeze()
    assert (
        json.loads(told.read_bytes())["url"]
        == json.loads(capfd.readouterr().out)["url"]
        == "http://127.0.0.1:1"
    )
