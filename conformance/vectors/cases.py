"""The envelope vectors as questions for somebody else's code: what is asked, and what the answer must be.

Pure but for reading the file. The cases win over the protocol's prose for canonical bytes and signatures.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from conformance.agent import envelope, lexemes

# Beside the packages, in a source tree and in a wheel alike.
_FILE = Path(__file__).resolve().parents[2] / "fixtures" / "vectors" / "envelope_vectors.json"

# The spellings that ENV-5 makes out of raw characters, to be taken back for a producer's own spelling.
_ESCAPE = re.compile(rb'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])')
_RAW = {f"\\u{code:04x}".encode(): chr(code).encode() for code in (0x3C, 0x3E, 0x26, 0x2028, 0x2029)}

# As much of a signer's bytes as is shown where they part from what they must be.
_SHOWN = 60


class Verb(StrEnum):
    """What a command can be asked."""

    VERIFY = "verify"
    SIGN = "sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a case. `wanted` is the member `valid` of the answer, or the wire form as text."""

    case: int
    verb: Verb
    comment: str
    flags: tuple[str, ...]
    parameters: Mapping[str, Any]
    wanted: bool | str
    canonical: str

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"case {self.case} ({self.verb.value}: {self.comment})"


class NoVectors(Exception):
    """The vectors are not where they must be, or are none: our own fault."""


@cache
def questions() -> tuple[Question, ...]:
    """Every question, in the order of the cases; raises NoVectors."""
    try:
        groups = json.loads(_FILE.read_bytes())["testGroups"]
        found = tuple(each for group in groups for case in group["tests"] for each in _asked(group, case))
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise NoVectors(f"the envelope vectors cannot be read: {type(wrong).__name__}") from wrong
    if not found:
        raise NoVectors("there are no envelope vectors")
    return found


def judge(question: Question, result: Mapping[str, Any]) -> str:
    """What is wrong with an answer, empty if nothing is."""
    if question.verb is Verb.VERIFY:
        return _verified(question, result)
    told, wanted = str(result["data"]), str(question.wanted)
    return "" if told == wanted else _parting(told, wanted)


def _asked(group: Mapping[str, Any], case: Mapping[str, Any]) -> Iterator[Question]:
    data, valid = case["data"], case["result"] == "valid"
    keys = [{"key_id": name, "public_key": group["publicKey"]} for name in group["trustedKeyIds"]]
    yield _question(case, Verb.VERIFY, case["comment"], {"data": data, "keys": keys}, valid)
    found = envelope.read(data.encode()).envelope if valid else None
    if found is not None:
        header = {name: getattr(found, name) for name in envelope.HEADER}
        for payload, how in ((found.payload, ""), (loosely(found.payload), ", the payload spelled loosely")):
            told = {"header": header, "payload": payload.decode(), "seed": group["seed"]}
            yield _question(case, Verb.SIGN, case["comment"] + how, told, data)


def _question(
    case: Mapping[str, Any], verb: Verb, comment: str, parameters: Mapping[str, Any], wanted: bool | str
) -> Question:
    return Question(
        case=case["tcId"],
        verb=verb,
        comment=comment,
        flags=tuple(case["flags"]),
        parameters=parameters,
        wanted=wanted,
        canonical=case["canonical"],
    )


def loosely(payload: bytes) -> bytes:
    """A producer's spelling of the same payload: white space between tokens, raw characters (ENV-5)."""
    tokens = (payload[each.at : each.end] for each in lexemes.lexemes(payload))
    return b" \n".join(_ESCAPE.sub(lambda match: _RAW.get(match[0], match[0]), each) for each in tokens)


def _verified(question: Question, result: Mapping[str, Any]) -> str:
    if result["valid"] is not question.wanted:
        reason = f" ({result['reason']})" if result.get("reason") else ""
        return f"expected {_word(question.wanted)}, the command says {_word(result['valid'])}{reason}"
    told = result.get("canonical")
    if question.wanted is True and told is not None and told != question.canonical:
        return "other canonical bytes: " + _parting(told, question.canonical)
    return ""


def _word(valid: object) -> str:
    return "valid" if valid is True else "invalid"


def _parting(told: str, wanted: str) -> str:
    """Where two texts part, with what follows in each."""
    pairs = enumerate(zip(told, wanted, strict=False))
    at = next((n for n, (one, other) in pairs if one != other), min(len(told), len(wanted)))
    return f"at character {at}: expected {wanted[at : at + _SHOWN]!r}, got {told[at : at + _SHOWN]!r}"
