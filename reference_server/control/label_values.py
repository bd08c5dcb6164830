"""Which values a label takes: the definition's `value_schema`, compiled to JSON Schema (contract_facts 10).

A pattern comes from outside, so it runs on an engine whose time is linear in the text.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import jsonschema_rs
import msgspec

# Ours: what a value may hold, however it is defined; and a pattern.
_LONGEST_TEXT = 4096
_LONGEST_PATTERN = 512
_MOST_VALUES = 1024

JsonSchema = dict[str, object]


class BadValueSchema(ValueError):
    """The value_schema cannot be used."""


class ValueSchema(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """LabelValueSchema."""

    kind: str
    max_len: int | None = None
    values: list[str] | None = None
    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None


def _string(schema: ValueSchema) -> JsonSchema:
    return {"type": "string", "maxLength": schema.max_len or _LONGEST_TEXT}


def _enum(schema: ValueSchema) -> JsonSchema:
    if not schema.values or len(schema.values) > _MOST_VALUES or len(set(schema.values)) < len(schema.values):
        raise BadValueSchema("values are some different texts")
    return {"enum": list(schema.values)}


def _numeric(schema: ValueSchema) -> JsonSchema:
    bounds: JsonSchema = {"type": "number"}
    if schema.min is not None:
        bounds["minimum"] = schema.min
    if schema.max is not None:
        bounds["maximum"] = schema.max
    if schema.min is not None and schema.max is not None and schema.min > schema.max:
        raise BadValueSchema("min is greater than max")
    return bounds


def _regex(schema: ValueSchema) -> JsonSchema:
    if not schema.pattern or len(schema.pattern) > _LONGEST_PATTERN:
        raise BadValueSchema("a pattern is missing, or too long")
    whole = {"pattern": f"^(?:{schema.pattern})$"}  # alone it could close its bracket; so the bare one, too
    return _string(schema) | whole | {"allOf": [{"pattern": schema.pattern}]}


def _boolean(_schema: ValueSchema) -> JsonSchema:
    return {"type": "boolean"}


# The kinds, and the members that each of them reads.
KINDS: Mapping[str, tuple[Callable[[ValueSchema], JsonSchema], frozenset[str]]] = MappingProxyType(
    {
        "string": (_string, frozenset({"max_len"})),
        "enum": (_enum, frozenset({"values"})),
        "numeric": (_numeric, frozenset({"min", "max"})),
        "regex": (_regex, frozenset({"max_len", "pattern"})),
        "boolean": (_boolean, frozenset()),
    }
)
_CONSTRAINTS: Sequence[str] = ("max_len", "values", "min", "max", "pattern")


def admits(schema: ValueSchema, value: object) -> bool:
    """Whether the value is one of the label's. Raises BadValueSchema."""
    return _validator(schema).is_valid(value)


def check(schema: ValueSchema) -> None:
    """Raise BadValueSchema for a schema that no value could be held against."""
    _validator(schema)


def _validator(schema: ValueSchema) -> jsonschema_rs.Draft202012Validator:
    if schema.kind not in KINDS:
        raise BadValueSchema("no such kind")
    compile_kind, reads = KINDS[schema.kind]
    given = {name for name in _CONSTRAINTS if getattr(schema, name) is not None}
    if not given <= reads:
        raise BadValueSchema("a constraint of another kind")
    if schema.max_len is not None and not 1 <= schema.max_len <= _LONGEST_TEXT:
        raise BadValueSchema("max_len is out of range")
    try:
        return jsonschema_rs.Draft202012Validator(
            compile_kind(schema), pattern_options=jsonschema_rs.RegexOptions()
        )
    except jsonschema_rs.ValidationError as refused:
        raise BadValueSchema("the pattern cannot be read") from refused
