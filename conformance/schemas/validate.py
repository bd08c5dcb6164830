"""Validates our own documents against the JSON Schemas of this directory, formats included."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

_HERE = Path(__file__).resolve().parent


class Invalid(ValueError):
    """The document breaks its schema; the text names every place."""


def check(name: str, document: object) -> None:
    """Raises Invalid unless `document` satisfies `NAME.json`."""
    errors = sorted(
        _validator(name).iter_errors(document), key=lambda error: [str(each) for each in error.path]
    )
    if errors:
        places = (".".join(str(each) for each in error.absolute_path) or "(top)" for error in errors)
        # A message would quote the instance, perhaps a secret in the wrong place: rule and place only.
        rules = (_rule(error.validator, error.validator_value) for error in errors)
        raise Invalid("; ".join(f"{place}: {rule}" for place, rule in zip(places, rules, strict=True)))


def line(document: object) -> bytes:
    """The document as one line of a conversation, its end included."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((_HERE / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def _rule(keyword: object, value: object) -> str:
    match keyword:
        case "required":
            return f"needs {', '.join(map(str, value)) if isinstance(value, list) else value}"
        case "additionalProperties" | "unevaluatedProperties":
            return "holds a member that is not known"
        case _:
            return f"breaks {keyword} {json.dumps(value)[:120]}"
