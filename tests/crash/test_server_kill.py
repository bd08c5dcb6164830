"""kill -9 of the whole server: what a 2xx acknowledged is streamed once, in order, under the same sequence.

BUSPROOF_KILLS says how often, BUSPROOF_KILL_SEED repeats a run. From 100 kills on the run is written to
docs/evidence/crash.json.
"""

import hashlib
import json
import os
import random
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests import process
from tests.process import ROOT, Running

_KILLS = int(os.environ.get("BUSPROOF_KILLS", "6"))
_SEED = int(os.environ.get("BUSPROOF_KILL_SEED", str(random.SystemRandom().randrange(10**6))))
_EVIDENCE_FROM = 100
_EVIDENCE = ROOT / "docs" / "evidence" / "crash.json"

# A start takes about a second; in the lives that it survives, some hundred changes fit into the longest.
_LONGEST_START = 1.5
_LONGEST_LIFE = 1.0
_KILLED_WHILE_STARTING = 0.15
_ROTATION = 0.02
NODES = ("alpha", "beta", "other")


@dataclass(kw_only=True)
class Seen:
    """What one Node was promised, and what its stream has shown over all lives."""

    acknowledged: list[str] = field(default_factory=list)  # values, in the order of their 2xx
    frames: dict[int, str] = field(default_factory=dict)  # sequence: data, as received

    def events(self) -> list[dict[str, Any]]:
        """The envelopes, in sequence order."""
        return [json.loads(data) for _, data in sorted(self.frames.items())]


class Producer(threading.Thread):
    """Changes one Node's metadata again and again until nobody answers."""

    def __init__(self, server: Running, name: str, seen: Seen, life: int, dice: random.Random) -> None:
        super().__init__(daemon=True)
        self._server, self._name, self._seen, self._life, self._dice = server, name, seen, life, dice

    def run(self) -> None:
        """Note every 2xx; whatever else happens was never acknowledged."""
        path = f"/v1/nodes/{self._server.node(self._name)['id']}/state/metadata/k"
        rotate = f"/v1/domains/{self._server.node(self._name)['domain_id']}/signing-keys/rotate"
        with httpx.Client(base_url=self._server.url, headers=self._server.root, trust_env=False) as http:
            try:
                for count in range(1_000_000):
                    value = f"{self._life}-{count}"
                    if http.put(path, json={"value": value}).is_success:
                        self._seen.acknowledged.append(value)
                    if self._name == NODES[0] and self._dice.random() < _ROTATION:
                        done = http.post(rotate, json={"transition_seconds": 60})
                        if done.is_success:
                            self._seen.acknowledged.append(done.json()["key_id"])
            except httpx.TransportError:
                return


class Watcher(threading.Thread):
    """Follows one Node's stream from a cursor, and notes every whole frame."""

    def __init__(self, server: Running, name: str, seen: Seen, cursor: int, until: str | None = None) -> None:
        super().__init__(daemon=True)
        self._server, self._name, self._seen = server, name, seen
        self._cursor, self._until = cursor, until
        self.trouble: str | None = None
        self.opened = threading.Event()

    def run(self) -> None:
        """Ends with the connection, or with the value that was waited for."""
        try:
            with self._server.stream(self._name, self._cursor) as stream:
                self.opened.set()
                if stream.status != 200:
                    self.trouble = f"cursor {self._cursor} was answered {stream.status}"
                    return
                for event in stream.events:
                    self._note(int(event.id), event.data)
                    if self._until is not None and f'"{self._until}"' in event.data:
                        return
        except httpx.TransportError:
            return
        finally:
            self.opened.set()

    def _note(self, sequence: int, data: str) -> None:
        if sequence <= self._cursor:
            self.trouble = f"{sequence} came after cursor {self._cursor}"
        known = self._seen.frames.setdefault(sequence, data)
        if known != data:
            self.trouble = f"sequence {sequence} carries two things"
        self._cursor = sequence


def _live_and_die(directory: Path, seen: dict[str, Seen], life: int, dice: random.Random) -> dict[str, Any]:
    """One life of the server under load, from its start to its kill."""
    before = sum(len(one.acknowledged) for one in seen.values())
    if (directory / "credentials.json").exists() and dice.random() < _KILLED_WHILE_STARTING:
        after = dice.uniform(0, _LONGEST_START)
        _kill_while_starting(directory, after)
        return {"while": "starting", "after_seconds": round(after, 3), "acknowledged": 0}
    server = process.start(directory)
    try:
        watchers = [Watcher(server, name, seen[name], _cursor(seen[name], dice)) for name in NODES]
        producers = [Producer(server, name, seen[name], life, random.Random(dice.random())) for name in NODES]
        for thread in (*watchers, *producers):
            thread.start()
        after = dice.uniform(0, _LONGEST_LIFE)
        time.sleep(after)  # the moment of the kill is what is random; nothing is waited for
    finally:
        server.kill()
    for thread in (*watchers, *producers):
        thread.join(process.PATIENCE)
        assert not thread.is_alive()
    assert [watcher.trouble for watcher in watchers] == [None] * len(watchers)
    told = sum(len(one.acknowledged) for one in seen.values()) - before
    return {"while": "serving", "after_seconds": round(after, 3), "acknowledged": told}


def _kill_while_starting(directory: Path, after: float) -> None:
    with (directory / "stderr.log").open("ab") as log:
        child = subprocess.Popen(
            process.command("--port", 0, "--data", directory / "bus.db"),
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=ROOT,
        )
    time.sleep(after)
    child.kill()
    child.wait(process.PATIENCE)


def _cursor(seen: Seen, dice: random.Random) -> int:
    """Where an agent resumes: mostly at its last id, at times at any earlier one (CUR-9)."""
    if not seen.frames:
        return 0
    return max(seen.frames) if dice.random() < 0.7 else dice.choice(sorted(seen.frames))


def _read_everything(directory: Path, seen: dict[str, Seen]) -> None:
    """In a last life: each Node's whole stream from the beginning to a marker."""
    server = process.start(directory)
    try:
        for name in NODES:
            marker = f"marker-{name}"
            assert server.put_entry(name, "k", marker).is_success
            whole = Seen()
            watcher = Watcher(server, name, whole, 0, until=marker)
            watcher.run()
            assert watcher.trouble is None
            for sequence, data in seen[name].frames.items():
                assert whole.frames[sequence] == data, f"sequence {sequence} changed its meaning"
            seen[name].frames = whole.frames
        assert server.stop() == 0
    finally:
        if server.child.poll() is None:
            server.kill()


def _value(event: dict[str, Any]) -> str | None:
    payload = event["payload"]
    if event["type"] == "signing_key_rotated":
        return str(payload["key_id"])
    if event["type"] == "node_state_updated":
        return str(payload["state"]["metadata"][0]["value"])
    return None


def _check(name: str, seen: Seen) -> None:
    events = seen.events()
    ids = [event["id"] for event in events]
    assert len(ids) == len(set(ids)), f"{name}: an event came twice"
    values = [value for value in map(_value, events) if value is not None]
    assert len(values) == len(set(values)), f"{name}: a change was told twice"
    told = set(seen.acknowledged)
    assert [value for value in values if value in told] == seen.acknowledged, f"{name}: lost or out of order"


def test_acknowledged_events_survive_kills(tmp_path: Path) -> None:
    print(f"BUSPROOF_KILL_SEED={_SEED}")
    dice = random.Random(_SEED)
    seen = {name: Seen() for name in NODES}
    began = time.monotonic()
    lives = [_live_and_die(tmp_path, seen, life, dice) for life in range(_KILLS)]
    _read_everything(tmp_path, seen)
    for name, one in seen.items():
        _check(name, one)
    assert "Traceback" not in (tmp_path / "stderr.log").read_text()
    told = sum(len(one.acknowledged) for one in seen.values())
    assert told > _KILLS
    if _KILLS >= _EVIDENCE_FROM:
        _write_evidence(seen, lives, time.monotonic() - began)


def _write_evidence(seen: dict[str, Seen], lives: list[dict[str, Any]], seconds: float) -> None:
    told = hashlib.sha256()
    for one in seen.values():
        for sequence, data in sorted(one.frames.items()):
            told.update(f"{sequence} {data}\n".encode())
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()
    _EVIDENCE.parent.mkdir(parents=True, exist_ok=True)
    _EVIDENCE.write_text(
        json.dumps(
            {
                "command": "make crash",
                "commit": commit,
                "seed": _SEED,
                "exit_code": 0,
                "kills": len(lives),
                "acknowledged": sum(len(one.acknowledged) for one in seen.values()),
                "frames": sum(len(one.frames) for one in seen.values()),
                "lost": 0,
                "repeated": 0,
                "seconds": round(seconds, 1),
                "digest_of_frames": told.hexdigest(),
                "lives": lives,
            },
            indent=1,
        )
        + "\n"
    )
