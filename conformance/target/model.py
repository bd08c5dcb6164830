"""What a target is to the suite: where it answers, who we are to it, what it claims, what it lets us do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from conformance.target.grade import Effect, Grade

NOBODY = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A caller: `credential` is sent as the bearer, `node_id` is the Node it belongs to, if it is one's."""

    label: str
    credential: str | None = field(default=None, repr=False)
    node_id: str | None = None
    domain_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSpec:
    """How the suite makes something happen: `kind` is none, http, command or socket."""

    kind: str = "none"
    command: tuple[str, ...] = ()
    socket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """A Domain's signing key that the target's owner vouches for: base64 of the raw 32 bytes."""

    domain_id: str
    key_id: str
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server under test. `claims` are the profiles it says it keeps; `may_disrupt` its own permission.

    `base_urls` are its replicas one by one, where there are several; `base_url` leads to any of them.
    `ephemeral` means that it was started for this run and ends with it: nothing needs to be cleaned up.
    """

    name: str
    base_url: str
    base_urls: tuple[str, ...] = ()
    identities: Mapping[str, Identity] = field(default_factory=lambda: MappingProxyType({}))
    claims: tuple[str, ...] = ()
    pinned: tuple[PinnedKey, ...] = ()
    driver: DriverSpec = field(default_factory=DriverSpec)
    may_disrupt: bool = False
    ca_file: str | None = None
    client_certificate: str | None = None
    trust_env: bool = False
    ephemeral: bool = False

    def identity(self, label: str) -> Identity | None:
        """The identity of that label; `none` is always there."""
        return Identity(label=NOBODY) if label == NOBODY else self.identities.get(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a run may rely on: the profiles asked for, the grade reached, the effects allowed.

    `lacks` are the powers beyond the grade that are not there (`reach.BEYOND`).
    """

    profiles: tuple[str, ...]
    grade: Grade
    effects: frozenset[Effect]
    grade_reasons: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()
