"""A tampered entry of the log: withheld, counted, audited, its Node told to pull (LOG-4, LOG-8)."""

import base64
import sqlite3
from pathlib import Path
from typing import Any

from tests.process import Running, running


def _beat(server: Running) -> Any:
    with server.faults() as faults:
        now = faults.do("advance_clock", seconds=0)["now"]
    answer = server.http.post(
        f"/v1/nodes/{server.node('alpha')['id']}/heartbeat",
        headers=server.agent("alpha"),
        json={
            "client_now": now,
            "binary_version": "1.0.0",
            "binary_checksum": base64.b64encode(bytes(32)).decode(),
            "nat_summary": {},
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def _tamper(data: Path, value: str) -> None:
    """Change one payload behind the signature's back."""
    with sqlite3.connect(data) as store:
        (row,) = store.execute("SELECT id, wire FROM log_bodies WHERE instr(wire, ?)", (value.encode(),))
        changed = row[1].replace(value.encode(), value[::-1].encode())
        store.execute("UPDATE log_bodies SET wire = ? WHERE id = ?", (changed, row[0]))
    store.close()


def test_a_tampered_entry_is_withheld_and_reconciled(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with server.stream("alpha") as stream:
            for value in ("first", "second", "third"):
                server.put_entry("alpha", "k", value)
            before = [stream.next() for _ in range(3)]
        assert server.stop() == 0
    _tamper(tmp_path / "bus.db", "second")
    with running(tmp_path) as server:
        assert not _beat(server)["reconcile"]
        with server.stream("alpha", before[0][0] - 1) as stream:
            assert [stream.next(), stream.next()] == [before[0], before[2]]
            while not _beat(server)["reconcile"]:
                pass
        assert 'sse_verify_reject_total{reason="bad_signature"} 1.0' in server.http.get("/metrics").text
        assert server.state("alpha").json()["state"]["metadata"][0]["value"] == "third"
        assert not _beat(server)["reconcile"]
        assert server.stop() == 0
    with sqlite3.connect(tmp_path / "bus.db") as store:
        audited = store.execute("SELECT count(*) FROM audit_entries WHERE instr(canonical, 'event.withhold')")
        assert audited.fetchone() == (1,)
    store.close()
