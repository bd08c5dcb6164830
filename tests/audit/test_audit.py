"""The dependency audit is green only where a source that knows vulnerabilities knew every pin."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.audit import __main__ as audit
from tests.deploy.program import ROOT

_KNOWN = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.7"]}]}
_SOUND = {"name": "trio", "version": "1", "vulns": []}
_UNHEARD = {"name": "trio", "skip_reason": "not found"}


def _program(room: Path, answers: dict[str, Any]) -> list[str]:
    """A pip-audit whose source answers so, by the name of the requirements file; None: it breaks."""
    script = room / "fake.py"
    script.write_text(
        "import json, pathlib, sys\n"
        f"answers = json.loads({json.dumps(json.dumps(answers))})\n"
        "source = sys.argv[sys.argv.index('--vulnerability-service') + 1]\n"
        "told = answers.get(source, {}).get(pathlib.Path(sys.argv[-1]).name)\n"
        "sys.exit('broken') if told is None else print(json.dumps({'dependencies': told, 'fixes': []}))\n"
    )
    return [sys.executable, str(script)]


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ({"pypi": {"canary.txt": [_KNOWN], "r.txt": [_SOUND]}}, audit.CLEAN, "1 audited, 0 vulnerabilities"),
        (
            {"pypi": {"canary.txt": [_KNOWN], "r.txt": [_KNOWN, _SOUND]}},
            audit.VULNERABLE,
            "PYSEC-1, fixed in ['2.7']",
        ),
        ({"osv": {"canary.txt": [_KNOWN], "r.txt": [_SOUND]}}, audit.CLEAN, "1 audited"),
        ({}, audit.NOT_AUDITED, "no source of vulnerabilities is reachable"),
        ({"pypi": {"canary.txt": [_UNHEARD], "r.txt": [_UNHEARD]}}, audit.NOT_AUDITED, "nothing was audited"),
        (
            {"pypi": {"canary.txt": [_SOUND], "r.txt": [_SOUND]}},
            audit.NOT_AUDITED,
            "nothing was audited",
        ),
        (
            {"pypi": {"canary.txt": [_KNOWN], "r.txt": [_SOUND, _UNHEARD]}},
            audit.NOT_AUDITED,
            "1 were not audited: trio",
        ),
        ({"pypi": {"canary.txt": [_KNOWN]}}, audit.NOT_AUDITED, "stopped answering"),
        ({"pypi": {"canary.txt": [_KNOWN], "r.txt": []}}, audit.NOT_AUDITED, "stopped answering"),
    ],
)
def test_the_verdict(tmp_path: Path, answers: dict[str, Any], code: int, said: str) -> None:
    verdict = audit.audit(_program(tmp_path, answers), tmp_path / "r.txt")
    assert verdict.code == code
    assert said in "\n".join(verdict.lines)


def test_without_the_program_nothing_is_green(tmp_path: Path) -> None:
    assert audit.audit([str(tmp_path / "none")], tmp_path / "r.txt").code == audit.NOT_AUDITED


def test_it_runs_in_an_environment_of_its_own_that_is_checked_by_hash() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [install] = [
        line for line in makefile.splitlines() if "requirements-audit.txt" in line and "pip install" in line
    ]
    assert "--require-hashes" in install and "$(VENV)/" not in install
    pins = (ROOT / "requirements-audit.txt").read_text(encoding="utf-8")
    assert re.search(r"^pip-audit==", pins, re.MULTILINE)
    for part in re.split(r"\n(?=\S)", pins.strip()):
        assert "==" in part.splitlines()[0] and "--hash=sha256:" in part, part
