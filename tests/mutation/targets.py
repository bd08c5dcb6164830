"""What is mutated, and which tests have to notice."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

_VALUES = "tests/suite/agent/test_values.py"
_VERDICT = ("tests/suite/verdict", _VALUES)
_STREAM = (
    "tests/suite/agent/test_grammar.py",
    "tests/suite/agent/test_oracle.py",
    "tests/suite/agent/test_eventsource.py",
    "tests/suite/agent/test_round_trip.py",
    _VALUES,
)
_BYTES = (
    "tests/suite/agent/test_vectors.py",
    "tests/suite/agent/test_envelope.py",
    "tests/suite/agent/test_lexemes.py",
    _VALUES,
)

TARGETS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "conformance/verdict/exits.py": _VERDICT,
        "conformance/verdict/judge.py": _VERDICT,
        "conformance/verdict/lattice.py": _VERDICT,
        "conformance/verdict/result.py": _VERDICT,
        "conformance/verdict/whole.py": _VERDICT,
        "conformance/agent/grammar.py": _STREAM,
        "conformance/agent/eventsource.py": ("tests/suite/agent/test_beginning.py", *_STREAM),
        "conformance/agent/envelope.py": ("tests/suite/agent/test_misspelled.py", *_BYTES),
        "conformance/agent/lexemes.py": ("tests/suite/agent/test_members.py", *_BYTES),
    }
)
