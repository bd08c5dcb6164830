"""What other processes commit, heard by NOTIFY: how far each Domain is, and that the outbox has rows."""

import itertools
from collections.abc import Callable
from functools import partial

import msgspec
import structlog
import trio
from sqlalchemy import Connection, text

from reference_server.ports import Unavailable
from reference_server.store import dialing
from reference_server.store.dialing import Place
from reference_server.store.ear import Ear

_CHANNEL = "busproof_commits"
_TELL = text("SELECT pg_notify(:channel, :said)")

# PostgreSQL takes payloads under 8,000 bytes; a commit of more Domains than this says "any" instead.
_DOMAINS_TOLD = 100

_PAUSE_SECONDS = 0.5

_log = structlog.get_logger()


class Heard(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One commit: (Domain, its version) pairs, None for too many to tell, and whether rows wait."""

    domains: tuple[tuple[str, int], ...] | None
    outbox: bool


class Listener:
    """Keeps the versions of Domains as heard; while it does not hear, every version is a new one.

    Notifications come in the order of the commits that they tell of, a moment after them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._never_twice = itertools.count(-1, -1)  # none is the version of a commit
        self._versions = _Fresh(self._never_twice)
        self._hears = False
        self._on_outbox: Callable[[], None] | None = None

    def on_outbox(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when rows wait, and when some may have been missed."""
        self._on_outbox = wake

    def version(self, domain_id: str) -> int:
        """The newest version heard of; a number never seen before while nothing can be heard."""
        return self._versions[domain_id] if self._hears else next(self._never_twice)

    def tell(self, connection: Connection, heard: Heard) -> None:
        """Have everybody hear of this transaction once it is committed."""
        if heard.domains is not None and len(heard.domains) > _DOMAINS_TOLD:
            heard = Heard(domains=None, outbox=heard.outbox)
        connection.execute(_TELL, {"channel": _CHANNEL, "said": msgspec.json.encode(heard).decode()})

    def note(self, heard: Heard) -> None:
        """Take in what a commit said."""
        if heard.domains is None:
            self._forget()
        else:
            for domain_id, version in heard.domains:
                self._versions[domain_id] = max(version, self._versions.get(domain_id, 0))
        if heard.outbox and self._on_outbox is not None:
            self._on_outbox()

    async def run(self) -> None:
        """Listen until cancelled; after an outage everything counts as changed."""
        is_first = True
        while True:
            try:
                await self._listen()
            except Unavailable:
                if self._hears or is_first:
                    _log.warning("commits_not_heard")
            finally:
                is_first, self._hears = False, False
            await trio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        ear = await dialing.dialed(partial(Ear.open, self._place, _CHANNEL))
        try:
            self._forget()
            self._hears = True
            if self._on_outbox is not None:
                self._on_outbox()
            while True:
                for said in await ear.hear():
                    self.note(_heard(said))
        finally:
            ear.close()

    def _forget(self) -> None:
        """Everything may have changed: begin with numbers that no cache can hold."""
        self._versions = _Fresh(self._never_twice)


def _heard(said: bytes) -> Heard:
    """A commit; what cannot be read may have been any."""
    try:
        return msgspec.json.decode(said, type=Heard)
    except msgspec.DecodeError:
        return Heard(domains=None, outbox=True)


class _Fresh(dict[str, int]):
    """Versions of which none was heard since: the first look at each gives a number never seen before."""

    def __init__(self, numbers: "itertools.count[int]") -> None:
        super().__init__()
        self._numbers = numbers

    def __missing__(self, domain_id: str) -> int:
        number = self[domain_id] = next(self._numbers)
        return number
