"""The programs meet only in data, and inside the server imports run down the flow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("conformance", "reference_server")

# The second implementation, which is certified by the one program and shares no code with the other.
SECOND = "fixtures/second"

# Each outside library that decides how a room works is imported by one room of the server alone.
HOMES = {
    "h11": ("reference_server/wire/",),
    "nacl": ("reference_server/envelope/", "reference_server/control/bootstrap_tokens.py"),
    "alembic": ("reference_server/store/",),
    "sqlite3": ("reference_server/store/",),
    "click": ("reference_server/commands/", "reference_server/__main__.py"),
}


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _sources(program: str) -> list[Path]:
    return sorted((ROOT / program).rglob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_never_imports_the_other(program: str) -> None:
    foreign = {*PROGRAMS, "busproof", "tests", "fixtures"} - {program}
    seen = 0
    for path in _sources(program):
        for line, name in _imports(path):
            seen += 1
            assert name.split(".")[0] not in foreign, f"{path.relative_to(ROOT)}:{line} imports {name}"
    assert seen > 0


def test_the_second_implementation_stands_alone() -> None:
    """It must not know the reference, or what both agree in would be no evidence; nor the suite."""
    foreign, seen = {*PROGRAMS, "busproof", "tests"}, 0
    for path in _sources(SECOND):
        for line, name in _imports(path):
            seen += 1
            room = name.split(".")
            assert room[0] not in foreign, f"{path.relative_to(ROOT)}:{line} imports {name}"
            own = room[0] != "fixtures" or room[:2] == ["fixtures", "second"]
            assert own, f"{path.relative_to(ROOT)}:{line} imports {name}"
    assert seen > 0


def test_nobody_imports_the_second_implementation() -> None:
    for program in (*PROGRAMS, "fixtures"):
        for path in _sources(program):
            if path.is_relative_to(ROOT / SECOND):
                continue
            for line, name in _imports(path):
                assert not name.startswith("fixtures.second"), f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_in_its_home_alone(library: str) -> None:
    homes, found = HOMES[library], 0
    for path in _sources("reference_server"):
        where = path.relative_to(ROOT).as_posix()
        for line, name in _imports(path):
            if name.split(".")[0] == library:
                found += 1
                assert where.startswith(homes), (
                    f"{where}:{line} imports {name}; its home is {', '.join(homes)}"
                )
    assert found, f"nothing imports {library}: take it out of HOMES"


# The suite's side of the same rule: what generates, and what knows the document, is one file each.
SUITE_HOMES = {
    "schemathesis": "conformance/probe/generator.py",
    "hypothesis": "conformance/probe/generator.py",
    "openapi_core": "conformance/check/contract_document.py",
}


@pytest.mark.parametrize("library", SUITE_HOMES)
def test_a_library_of_the_suite_is_imported_in_one_file(library: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in _sources("conformance")
        for _, name in _imports(path)
        if name.split(".")[0] == library
    }
    assert found == {SUITE_HOMES[library]}


def test_no_source_imports_by_relative_name() -> None:
    for program in PROGRAMS:
        for path in _sources(program):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not (isinstance(node, ast.ImportFrom) and node.level), (
                    f"{path}:{getattr(node, 'lineno', 0)}"
                )
