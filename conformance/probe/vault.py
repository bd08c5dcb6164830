"""The vault: every secret of a run, so that none of them reaches a file, a report or a screen."""

import base64
import json
import random
import re
from collections.abc import Iterator

FILLER = b"X"

# A secret shorter than this would also match innocent bytes; such secrets are refused.
MIN_SECRET = 8

# Members whose value is a secret whoever made it: once-only fields of the contract and private keys.
_ONCE_ONLY = re.compile(
    rb'"(?:nsk|token|bootstrap_token|credential|private_key|psk|output_upload_url)"\s*:\s*"((?:[^"\\]|\\.)*)"'
)

# Anything spelled like a Node's credential (CRED-1), also one that only the target knows.
_NODE_CREDENTIAL = re.compile(rb"nsk_[a-z]+_([A-Za-z0-9_-]{40,})")


class WeakSecret(ValueError):
    """A secret too short to be told from innocent bytes."""


class Vault:
    """Knows the run's secrets by name; masks them byte for byte so that offsets stay true."""

    __slots__ = ("_names", "canary")

    def __init__(self, rng: random.Random) -> None:
        self._names: dict[str, str] = {}
        self.canary = "nsk_canary_" + base64.urlsafe_b64encode(rng.randbytes(48)).decode()
        self.add("canary", self.canary)

    def add(self, name: str, value: str) -> None:
        """Learns a secret under the name that reports show instead of it."""
        if len(value) < MIN_SECRET:
            raise WeakSecret(f"the secret {name!r} is shorter than {MIN_SECRET} characters")
        self._names[value] = name

    def mask(self, data: bytes) -> bytes:
        """`data` of the same length with every secret overwritten."""
        for spelled in self._spellings():
            if spelled in data:
                data = data.replace(spelled, FILLER * len(spelled))
        for pattern in (_ONCE_ONLY, _NODE_CREDENTIAL):
            data = pattern.sub(_overwrite_group, data)
        return data

    def named(self, text: str) -> str:
        """`text` with every secret replaced by `$NAME`, for request headers and curl lines."""
        for value, name in self._by_length():
            text = text.replace(value, "$" + variable(name))
        return _NODE_CREDENTIAL.sub(_overwrite_group, text.encode()).decode()

    def leaks(self, data: bytes) -> tuple[str, ...]:
        """The names of the secrets that stand in `data`."""
        return tuple(sorted({name for value, name in self._names.items() if _spelled_in(value, data)}))

    def _by_length(self) -> list[tuple[str, str]]:
        return sorted(self._names.items(), key=lambda pair: (-len(pair[0]), pair[0]))

    def _spellings(self) -> Iterator[bytes]:
        for value, _ in self._by_length():
            yield from _spell(value)


def variable(name: str) -> str:
    """The shell variable that stands for the secret of that name."""
    return "BUSPROOF_" + re.sub(r"[^A-Z0-9]+", "_", name.upper())


def _spell(value: str) -> tuple[bytes, ...]:
    plain = value.encode()
    in_json = json.dumps(value)[1:-1].encode()
    return (plain,) if plain == in_json else (plain, in_json)


def _spelled_in(value: str, data: bytes) -> bool:
    return any(spelled in data for spelled in _spell(value))


def _overwrite_group(match: "re.Match[bytes]") -> bytes:
    whole, start = match.group(0), match.start(0)
    low, high = match.start(1) - start, match.end(1) - start
    return whole[:low] + FILLER * (high - low) + whole[high:]
