"""What is running: version, commit and date of this installation, read once at the start."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "busproof"
UNKNOWN_COMMIT = "unknown"  # an installed wheel does not know the commit that it was made of
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """VersionInfo of contract_facts 7.1; `date` is when the code was put in place, UTC."""

    version: str
    commit: str
    date: datetime


def read() -> Release:
    """The release of the code that runs. Never fails: what cannot be known is said to be unknown."""
    return Release(
        version=_version(),
        commit=commit_of(_PACKAGE.parent / ".git"),
        date=datetime.fromtimestamp(int((_PACKAGE / "__init__.py").stat().st_mtime), tz=UTC),
    )


def commit_of(repository: Path) -> str:
    """The commit that a repository's HEAD names, without asking git."""
    head = _line(repository / "HEAD")
    if not head.startswith("ref: "):
        return head or UNKNOWN_COMMIT
    name = head.removeprefix("ref: ")
    return _line(repository / name) or _packed(repository, name) or UNKNOWN_COMMIT


def _packed(repository: Path, name: str) -> str:
    try:
        lines = (repository / "packed-refs").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {name}")), "")


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0+unpackaged"
