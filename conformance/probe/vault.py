"""The vault: every secret of a run, so that none of them reaches a file, a report or a screen."""

import base64
import json
import random
import re
from dataclasses import dataclass

FILLER = b"X"

# A secret shorter than this would also match innocent bytes; such secrets are refused.
MIN_SECRET = 8

# Members whose value is a secret whoever made it: once-only fields of the contract and private keys.
_ONCE_ONLY = re.compile(
    rb'"(?:nsk|token|bootstrap_token|credential|private_key|psk|output_upload_url)"\s*:\s*"((?:[^"\\]|\\.)*)"'
)

# Anything spelled like a Node's credential (CRED-1), also one that only the target knows.
_NODE_CREDENTIAL = re.compile(rb"nsk_[a-z]+_([A-Za-z0-9_-]{40,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secret:
    """One secret, and what is looked for and shown in its place."""

    value: str
    name: str
    shown: str
    spellings: tuple[bytes, ...]


class WeakSecret(ValueError):
    """A secret too short to be told from innocent bytes."""


class Vault:
    """Knows the run's secrets by name; masks them byte for byte so that offsets stay true."""

    __slots__ = ("_longest_first", "_names", "canary")

    def __init__(self, rng: random.Random) -> None:
        self._names: dict[str, str] = {}
        self._longest_first: tuple[_Secret, ...] = ()
        self.canary = "nsk_canary_" + base64.urlsafe_b64encode(rng.randbytes(48)).decode()
        self.add("canary", self.canary)

    def add(self, name: str, value: str) -> None:
        """Learns a secret under the name that reports show instead of it."""
        if len(value) < MIN_SECRET:
            raise WeakSecret(f"the secret {name!r} is shorter than {MIN_SECRET} characters")
        self._names[value] = name
        by_length = sorted(self._names.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        self._longest_first = tuple(
            _Secret(value=value, name=name, shown="$" + variable(name), spellings=_spell(value))
            for value, name in by_length
        )

    def mask(self, data: bytes) -> bytes:
        """`data` of the same length with every secret overwritten."""
        for each in self._longest_first:
            for spelled in each.spellings:
                if spelled in data:
                    data = data.replace(spelled, FILLER * len(spelled))
        for pattern in (_ONCE_ONLY, _NODE_CREDENTIAL):
            data = pattern.sub(_overwrite_group, data)
        return data

    def named(self, text: str) -> str:
        """`text` with every secret replaced by `$NAME`, for request headers and curl lines."""
        for each in self._longest_first:
            text = text.replace(each.value, each.shown)
        return _NODE_CREDENTIAL.sub(_overwrite_group, text.encode()).decode()

    def leaks(self, data: bytes) -> tuple[str, ...]:
        """The names of the secrets that stand in `data`."""
        found = {
            each.name for each in self._longest_first if any(spelled in data for spelled in each.spellings)
        }
        return tuple(sorted(found))


def variable(name: str) -> str:
    """The shell variable that stands for the secret of that name."""
    return "BUSPROOF_" + re.sub(r"[^A-Z0-9]+", "_", name.upper())


def _spell(value: str) -> tuple[bytes, ...]:
    plain = value.encode()
    in_json = json.dumps(value)[1:-1].encode()
    return (plain,) if plain == in_json else (plain, in_json)


def _overwrite_group(match: "re.Match[bytes]") -> bytes:
    whole, start = match.group(0), match.start(0)
    low, high = match.start(1) - start, match.end(1) - start
    return whole[:low] + FILLER * (high - low) + whole[high:]
