"""The Dockerfile and the compose file, taken apart as far as that goes without an engine."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.deploy.program import ROOT

# What compose itself gives a process from its `secrets`.
SECRETS_ROOM = "/run/secrets/"


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction of a Dockerfile, its continuation lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Its words, of the JSON form or of the other."""
        if self.rest.startswith("["):
            words: list[str] = json.loads(self.rest)
            return words
        return shlex.split(self.rest)


def instructions() -> Iterator[Instruction]:
    """Those of the Dockerfile, in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield Instruction(name=name, rest=rest.strip())


def last_stage() -> list[Instruction]:
    """What makes the image that runs."""
    found = list(instructions())
    begins = max(at for at, each in enumerate(found) if each.name == "FROM")
    return found[begins:]


def image_environment() -> dict[str, str]:
    """What the image sets."""
    words = [word for each in last_stage() if each.name == "ENV" for word in each.words]
    return dict(word.split("=", 1) for word in words)


def compose() -> Mapping[str, Any]:
    """The compose file, merges carried out."""
    parsed: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return parsed


def own_services() -> dict[str, Mapping[str, Any]]:
    """The services that are ours, by name."""
    return {name: each for name, each in compose()["services"].items() if "build" in each}
