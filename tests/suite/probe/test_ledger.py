"""The ledger: on disk before the step, read after a crash, and nothing foreign is touched."""

from pathlib import Path

import pytest

from conformance.probe import ledger
from conformance.probe.transcript import Ending, Exchange, Head


def answered(status: int) -> Exchange:
    head = Head(at=2, http_version="1.1", status=status, headers=())
    return Exchange(
        id=1,
        label="x",
        identity="operator",
        sent_at=1,
        method="DELETE",
        target="/",
        request_headers=(),
        request_body=b"",
        head=head,
        received=(),
        ended_at=3,
        ending=Ending.COMPLETE,
    )


def filled(path: Path) -> ledger.FileLedger:
    made = ledger.FileLedger(path, base_url="http://bus")
    made.intend("busproof-a")
    made.created("busproof-a", "d1")
    made.node("d1", "n1")
    made.intend("busproof-b")
    return made


def test_what_was_written_is_read_even_if_the_last_line_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    written = filled(path)
    with path.open("a") as file:
        file.write('{"step": "dom')
    base_url, domains = ledger.read(path)
    assert base_url == "http://bus" and domains == written.domains
    assert domains[0] == ledger.Created(slug="busproof-a", id="d1", nodes=("n1",))


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ledger.BadLedger):
        ledger.read(tmp_path / "none")


async def test_nodes_go_before_their_domain_and_the_unconfirmed_is_reported(tmp_path: Path) -> None:
    asked: list[str] = []

    async def remove(label: str, path: str) -> Exchange:
        asked.append(path)
        return answered(204 if "nodes" in path else 409)

    left = await ledger.clean(filled(tmp_path / "l").domains, remove)
    assert asked == ["/v1/nodes/n1", "/v1/domains/d1"]
    assert left == ("domain busproof-a: answered 409", "busproof-b: its creation was never confirmed")


async def test_a_domain_of_another_name_is_never_touched() -> None:
    async def remove(label: str, path: str) -> Exchange:
        raise AssertionError(path)

    left = await ledger.clean([ledger.Created(slug="production", id="d1", nodes=("n1",))], remove)
    assert left == ("production: not ours by its name",)
