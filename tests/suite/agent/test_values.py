"""What verdicts rest on are values: they cannot be changed, hold nothing else, and are made by name."""

import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest

import conformance

ROOMS = ("verdict", "agent")
MODULES = [
    f"conformance.{room}.{path.stem}"
    for room in ROOMS
    for path in sorted((Path(conformance.__file__).parent / room).glob("[a-z]*.py"))
]
MUTABLE = {"Tally"}  # what an agent counts as it goes; no verdict rests on it


def values() -> list[type]:
    found: list[type] = []
    for name in MODULES:
        members = vars(importlib.import_module(name)).values()
        found += [
            each
            for each in members
            if inspect.isclass(each) and dataclasses.is_dataclass(each) and each.__module__ == name
        ]
    return [each for each in found if each.__name__ not in MUTABLE]


@pytest.mark.parametrize("value", values(), ids=lambda each: each.__name__)
def test_value(value: type) -> None:
    made = value.__dataclass_params__  # type: ignore[attr-defined]
    assert made.frozen, "it can be changed after it was judged"
    assert "__slots__" in vars(value), "it can be given a member that nobody declared"
    assert all(field.kw_only for field in dataclasses.fields(value)), "its members can be mixed up by place"


def test_there_are_values() -> None:
    assert {"CheckResult", "Row", "Whole", "Frame", "Message", "Envelope", "Lexeme"} <= {
        each.__name__ for each in values()
    }
