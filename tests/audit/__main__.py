"""`make audit`: known vulnerabilities of what is pinned, by pip-audit beside this interpreter.

A source that knows nothing looks like a clean bill: pip-audit skips what its source has not heard of, and
says that all is well. So each source is first asked about a release that is known to be vulnerable, and what
it skips counts as not audited. Exit codes: 0 nothing known; 1 something is; 3 it could not be found out.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 3

# PYSEC-2014-8, PYSEC-2019-217 and others; every source of advisories for Python has had them for years.
CANARY = "jinja2==2.4.1"
SOURCES = ("pypi", "osv")

# A source answers some hundred questions within a minute.
_PATIENCE = 300


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one run of pip-audit told."""

    vulnerable: Sequence[str] = ()
    skipped: Sequence[str] = ()
    audited: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the audit ends, and what it says."""

    code: int
    lines: Sequence[str] = field(default_factory=tuple)


def read(told: str) -> Found | None:
    """pip-audit's JSON; None where it is none, since the program broke on its way."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(told)["dependencies"]
        audited = [each for each in dependencies if "skip_reason" not in each]
        return Found(
            vulnerable=[
                f"{each['name']} {each['version']}: {one['id']}, fixed in {one['fix_versions'] or 'none'}"
                for each in audited
                for one in each["vulns"]
            ],
            skipped=[each["name"] for each in dependencies if "skip_reason" in each],
            audited=len(audited),
        )
    except (ValueError, KeyError, TypeError):
        return None


def judge(found: Found | None) -> Verdict:
    """The verdict over everything that is pinned."""
    if found is None or not found.audited:
        return Verdict(code=NOT_AUDITED, lines=["the source of vulnerabilities stopped answering"])
    lines = list(found.vulnerable)
    if found.skipped:
        lines.append(f"{len(found.skipped)} were not audited: {', '.join(found.skipped)}")
    lines.append(f"{found.audited} audited, {len(found.vulnerable)} vulnerabilities")
    code = VULNERABLE if found.vulnerable else NOT_AUDITED if found.skipped else CLEAN
    return Verdict(code=code, lines=lines)


def audit(program: Sequence[str], requirements: Path) -> Verdict:
    """Ask the first source that knows the canary about every pin."""
    with tempfile.TemporaryDirectory() as room:
        canary = Path(room) / "canary.txt"
        canary.write_text(CANARY + "\n")
        for source in SOURCES:
            known = _asked(program, source, canary, "--no-deps")
            if known is not None and known.vulnerable:
                return judge(_asked(program, source, requirements, "--require-hashes"))
    asked = " and ".join(SOURCES)
    return Verdict(
        code=NOT_AUDITED,
        lines=[f"no source of vulnerabilities is reachable from here ({asked} asked): nothing was audited"],
    )


def _asked(program: Sequence[str], source: str, requirements: Path, *how: str) -> Found | None:
    options = ("--disable-pip", "--format", "json", "--progress-spinner", "off", "--vulnerability-service")
    command = [*program, *options, source, *how, "--requirement", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read(done.stdout)


def main(requirements: str) -> int:
    """Say the verdict; its code."""
    verdict = audit([sys.executable, "-m", "pip_audit"], Path(requirements))
    for line in verdict.lines:
        print(f"audit: {line}")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
