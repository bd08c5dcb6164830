"""The wiring: ports can be replaced before `build`, and no server is ever half alive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio
import trio.lowlevel

from reference_server import app
from reference_server.app import Application, Ports
from reference_server.application import BackgroundEnded
from reference_server.ports import AuditSink, Decision
from reference_server.settings import Settings, SettingsRefused

SETTINGS = Settings(port=0, data=":memory:", grace_seconds=2)


@asynccontextmanager
async def _served(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        url = await nursery.start(lambda task_status: application.serve(task_status=task_status))
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            yield http
        application.stop()


async def test_one_nonce_store_on_both_layers_is_refused() -> None:
    async with app.embedded(SETTINGS) as ports:
        with pytest.raises(SettingsRefused, match="LOG-6"):
            app.build(SETTINGS, replace(ports, relay_nonces=ports.stream_nonces))


async def test_nonces_of_one_process_are_refused_for_replicas() -> None:
    async with app.embedded(SETTINGS) as ports:
        with pytest.raises(SettingsRefused, match="in memory"):
            app.build(replace(SETTINGS, replicas=2), ports)


async def test_every_operation_of_the_table_answers() -> None:
    async with app.embedded(SETTINGS) as ports, _served(app.build(SETTINGS, ports)) as http:
        assert (await http.get("/v1/health")).json()["status"] == "ok"
        assert (await http.get("/v1/openapi.json")).json()["openapi"].startswith("3.1")
        later = await http.get("/v1/nodes/x/secrets/y")
        assert (later.status_code, later.json()["code"]) == (501, "secrets_not_provisioned")
        assert (await http.get("/v1/nodes/x/state")).status_code == 401


class Heard:
    """An AuditSink that remembers."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def record_nowait(self, decision: Decision) -> None:
        """See the port."""
        self.decisions.append(decision)


async def _pull_as_stranger(ports: Ports) -> None:
    async with _served(app.build(SETTINGS, ports)) as http:
        path = "/v1/nodes/00000000-0000-7000-8000-000000000000/state"
        answer = await http.get(path, headers={"Authorization": "Bearer stranger"})
        assert answer.status_code == 401


async def test_a_replaced_port_is_the_one_that_is_asked() -> None:
    heard = Heard()
    async with app.embedded(SETTINGS) as ports:
        await _pull_as_stranger(replace(ports, audit_sink=heard))
    assert [decision.status for decision in heard.decisions] == [401]


@pytest.mark.parametrize("sink", [None, Heard()])
async def test_without_audit_every_gate_still_fires(sink: AuditSink | None) -> None:
    async with app.embedded(replace(SETTINGS, unwire=("AuditSink",))) as ports:
        await _pull_as_stranger(replace(ports, audit_sink=sink))
    assert sink is None or sink.decisions == []  # type: ignore[attr-defined]  # it is a Heard


async def test_a_background_task_that_fails_ends_the_server() -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async with app.embedded(SETTINGS) as ports:
        planted = replace(ports, background={**ports.background, "audit": fail})
        with pytest.RaisesGroup(ZeroDivisionError):
            await app.build(SETTINGS, planted).serve()


async def test_a_background_task_that_returns_ends_the_server() -> None:
    async def leave() -> None:
        await trio.lowlevel.checkpoint()

    async with app.embedded(SETTINGS) as ports:
        planted = replace(ports, background={**ports.background, "audit": leave})
        with pytest.RaisesGroup(BackgroundEnded):
            await app.build(SETTINGS, planted).serve()


async def test_a_store_outlives_the_server_that_held_it(tmp_path: Path) -> None:
    settings = replace(SETTINGS, data=str(tmp_path / "bus.db"))
    for _ in range(2):
        async with app.embedded(settings) as ports, _served(app.build(settings, ports)) as http:
            assert (await http.get("/v1/health")).status_code == 200
