"""Payload schemas, taken from the OpenAPI document and compiled once (TYPE-2)."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

# Installed, the document lies inside the package; in a clone beside it.
_PLACES = (
    Path(__file__).parents[1] / "openapi" / "bus.v1.yaml",
    Path(__file__).parents[2] / "openapi" / "bus.v1.yaml",
)


class NoSchema(LookupError):
    """The OpenAPI document has no component of that name."""


@cache
def components() -> Mapping[str, Any]:
    """The `components.schemas` of the OpenAPI document, read once."""
    place = next(place for place in _PLACES if place.exists())
    document = yaml.load(place.read_bytes(), Loader=yaml.CSafeLoader)
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    return schemas


@cache  # as many as there are components
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    if name not in components():
        raise NoSchema(name)
    root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(components())}}
    return jsonschema_rs.Draft202012Validator(root, validate_formats=True)


def fault_of(name: str, value: object) -> str | None:
    """Where a parsed payload leaves the component's schema, as a JSON pointer; None where it satisfies it."""
    validator = _validator(name)
    if validator.is_valid(value):
        return None
    error = next(validator.iter_errors(value))
    return "/" + "/".join(str(step) for step in error.instance_path)
