"""The second implementation is certified through its own driver, and what was not tested is named."""

import json
import subprocess
import sys
from pathlib import Path

from fixtures.second import seed
from tests.suite.second.serving import ROOT

CERTIFY = (sys.executable, "-m", "fixtures.second.certify")


def test_it_is_conformant_at_g3_and_what_was_not_tested_is_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = subprocess.run(
        [*CERTIFY, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads((out / "run.json").read_text())
    assert run["footer"]["outcome"] == "conformant"
    assert run["header"]["claims"]["grade"] == "G3" and run["header"]["claims"]["driver"] == "command"
    assert {each["name"]: each["outcome"] for each in run["profiles"]} == dict.fromkeys(
        seed.CLAIMS, "conformant"
    )
    assert run["out_of_reach"] == [] and run["left_over"] == []
    assert run["untested"] == [
        {"power": "restart", "checks": ["CUR-017", "SSE-008"], "clauses": ["SSE-8"], "in_part": ["CUR-7"]},
        {
            "power": "restart by kill",
            "checks": ["CUR-027", "OUT-003", "OUT-015"],
            "clauses": ["OUT-3"],
            "in_part": ["CUR-6", "CUR-7", "OUT-5"],
        },
        {
            "power": "second base URL",
            "checks": ["CUR-037", "ENV-020", "GATE-055", "KEY-033"],
            "clauses": [],
            "in_part": ["CUR-7", "ENV-10a", "GATE-15", "KEY-3"],
        },
        {
            "power": "stop database",
            "checks": ["GATE-051", "GATE-056", "OUT-018", "PULL-015", "PULL-025"],
            "clauses": [],
            "in_part": ["GATE-11", "GATE-12", "OUT-8", "PULL-5"],
        },
    ]
    verdicts = {each["id"]: each["verdict"] for each in run["checks"]}
    assert verdicts["SSE-008"] == verdicts["CUR-017"] == "not_applicable"
    for text in (done.stdout, (out / "summary.md").read_text()):
        assert "for want of 'restart': SSE-8; in part CUR-7 (CUR-017, SSE-008)" in text
        assert "for want of 'stop database': in part GATE-11, GATE-12, OUT-8, PULL-5 (GATE-051" in text


def test_claiming_what_its_driver_cannot_show_is_never_green(tmp_path: Path) -> None:
    out = tmp_path / "run"
    more = ("--profile", "durability", "--out", str(out))
    done = subprocess.run([*CERTIFY, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stdout
    assert "needs restart, which the driver does not offer" in done.stdout
