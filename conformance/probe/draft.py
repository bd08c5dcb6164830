"""A draft: one generated request before it is bound to what is ours and sent."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a draft comes from; the words are schemathesis's."""

    EXAMPLES = "examples"
    COVERAGE = "coverage"
    FUZZING = "fuzzing"
    STATEFUL = "stateful"
    SHRINKING = "shrinking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A request as bytes and text. `what` says why it was made, `valid` what the generator meant.

    `target` is the escaped path and query; `template` the path of the operation that it was made for.
    """

    operation: str
    template: str
    phase: Phase
    valid: bool
    what: str
    method: str
    target: str
    content_type: str
    body: bytes
