"""Payload schemas, taken from the OpenAPI document and compiled once (TYPE-2)."""

from functools import cache

import jsonschema_rs

from reference_server import contract


@cache  # as many as there are components
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = contract.document().schema(name)
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True)


def fault_of(name: str, value: object) -> str | None:
    """Where a parsed payload leaves the component's schema, as a JSON pointer; None where it satisfies it."""
    validator = _validator(name)
    if validator.is_valid(value):
        return None
    error = next(validator.iter_errors(value))
    return "/" + "/".join(str(step) for step in error.instance_path)
