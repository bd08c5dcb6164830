"""The parts of requirements.txt that an image needs: what the server imports, and what builds the package.

`python -m tests.deploy.subsets` writes both files anew, hashes and all, from requirements.txt.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ROOT / "requirements.txt"
BUILD_BACKEND = ("hatchling", "editables")


def imported_by_server() -> set[str]:
    """The distributions whose modules reference_server imports."""
    owners = metadata.packages_distributions()
    modules = {name for path in (ROOT / "reference_server").rglob("*.py") for name in _imports(path)}
    outside = modules - set(sys.stdlib_module_names) - {"reference_server"}
    return {canonicalize_name(owners[name][0]) for name in outside}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def closure(roots: Iterable[str]) -> set[str]:
    """Some distributions and all that they need here."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in roots]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = map(Requirement, metadata.requires(name) or ())
            waiting += [canonicalize_name(each.name) for each in needed if _applies(each)]
    return found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def pinned(path: Path) -> dict[str, str]:
    """Each distribution of a requirements file and its lines."""
    parts = re.findall(r"^\S+==.*(?:\n[ ]+.*)*", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(part.partition("==")[0]): part for part in parts}


# The file of each subset, and where its closure begins.
SUBSETS: Mapping[str, Iterable[str]] = MappingProxyType(
    {"requirements-server.txt": imported_by_server(), "requirements-build.txt": BUILD_BACKEND}
)


def main() -> None:
    """Write both files."""
    whole = pinned(WHOLE)
    for name, roots in SUBSETS.items():
        chosen = sorted(closure(roots) & whole.keys())
        (ROOT / name).write_text("".join(whole[each] + "\n" for each in chosen), encoding="utf-8")


if __name__ == "__main__":
    main()
