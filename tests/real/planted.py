"""Defects of the real bus that no client could provoke at will: each a patch, and what must catch it."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from nats.aio.client import Client
from sqlalchemy import select

from reference_server.log import direct, jetstream, messages, publishing, recent, subjects
from reference_server.log.jetstream import JetStreamLog
from reference_server.ports import Bounds, Change, Landed, Layer, Lease, Outgoing
from reference_server.relay import batch, claims, decide, settling
from reference_server.relay.decide import Reason
from reference_server.store.tables import outbox_events, sse_relay_cursor
from reference_server.stream import kv_nonces, reader, replay, session
from reference_server.stream.nonce import MemoryNonces

Patch = pytest.MonkeyPatch
OWN = "its own clause"
_ALWAYS = Bounds(low=1, high=2**62)
_DIALECT = "postgresql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """`fails` names every probe that must fail, each with the reason why; no other may."""

    sentence: str
    breaks: str
    fails: Mapping[str, str]
    plant: Callable[[Patch], None]


PLANTED: dict[str, Planted] = {}


def planted(breaks: str, fails: Mapping[str, str]) -> Callable[[Callable[[Patch], None]], None]:
    """Enters a function that plants; its name and its sentence are the defect's."""

    def enter(plant: Callable[[Patch], None]) -> None:
        name = plant.__name__.replace("_", "-")
        PLANTED[name] = Planted(sentence=plant.__doc__ or "", breaks=breaks, fails=fails, plant=plant)

    return enter


def _change(patch: Patch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    patch.setattr(owner, name, make(getattr(owner, name)))


# ---- the relay -----------------------------------------------------------------------------------------


class _Later:
    """A log that appends once the transaction has committed."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        """Says that all is well."""
        late = Lease(until=lease.until, sure=True)
        change.after_commit.append(lambda: self._log.append(change, outgoing, late))
        return Landed(appended=())


@planted(
    "OUT-3",
    {
        "dies_before_it_publishes": OWN,
        "a_publish_fails": "what failed is settled, and nobody is told",
        "two_relays_meet": "the cursor is free while the batch is published",
        "a_leader_is_late": "what was given up is settled",
        "a_leader_stands_still": "it stands still with nothing in its hands",
    },
)
def cursor_moves_first(patch: Patch) -> None:
    """Rows are settled and the cursor is moved before the log is asked."""

    def changed(carry: Any) -> Any:
        def carried(self: batch.Batch, change: Change, last: Any = None) -> Any:
            return carry(replace(self, log=_Later(self.log)), change, last)

        return carried

    _change(patch, batch.Batch, "carry", changed)


@planted(
    "OUT-2",
    {
        "a_smaller_row_commits_last": OWN,
        "a_publish_fails": "a row that owes something lies behind the mark",
        "a_leader_is_late": "a row that owes something lies behind the mark",
    },
)
def reads_by_a_high_water_mark(patch: Patch) -> None:
    """Only rows above the last one that was carried are looked for."""
    mark = select(sse_relay_cursor.c.last_outbox_id).scalar_subquery()
    patch.setattr(claims, "_PENDING", claims._PENDING.where(outbox_events.c.id > mark))


@planted("OUT-2", {"a_smaller_row_commits_last": OWN})
def waits_at_a_gap(patch: Patch) -> None:
    """Rows are taken as far as their ids follow each other: a gap might still be filled."""

    def changed(pending: Any) -> Any:
        def found(connection: Any, limit: int) -> Any:
            claim = pending(connection, limit)
            first = connection.execute(select(sse_relay_cursor.c.last_outbox_id)).scalar_one() + 1
            whole = [row for row, at in zip(claim.rows, itertools.count(first), strict=False) if row.id <= at]
            return replace(claim, rows=whole, more=claim.more and len(whole) == len(claim.rows))

        return found

    _change(patch, claims, "pending", changed)


@planted("OUT-5", {"a_domain_waits_for_its_key": OWN})
def skips_parked_rows(patch: Patch) -> None:
    """What was set aside is never looked at again."""
    patch.setattr(claims, "domains_given_a_key", lambda _connection: [])


@planted("OUT-5", {"a_domain_waits_for_its_key": OWN})
def newer_rows_overtake_parked_ones(patch: Patch) -> None:
    """A row that has a key leaves although older ones of its Domain wait."""
    patch.setattr(claims, "domains_waiting", lambda *_: set())

    def changed(decide_one: Any) -> Any:
        return lambda row, _waiting, keys: decide_one(row, (), keys)

    def last_alone(released: Any) -> Any:
        def found(*asked: Any) -> Any:
            claim = released(*asked)
            return replace(claim, rows=claim.rows[-1:], more=True)

        return found

    _change(patch, decide, "_decide", changed)
    _change(patch, claims, "released", last_alone)


@planted("OUT-5", {"a_domain_waits_for_its_key": OWN})
def a_keyless_domain_holds_up_all(patch: Patch) -> None:
    """A row without a key is where a batch ends."""

    def changed(decide_all: Any) -> Any:
        def decided(rows: Any, *more: Any) -> Any:
            found = decide_all(rows, *more)
            stop = next((n for n, each in enumerate(found) if each.reason is Reason.NO_SIGNING_KEY), None)
            return (
                found
                if stop is None
                else [replace(found[0], move=decide.Move.PARK, reason=Reason.NO_SIGNING_KEY)]
            )

        return decided

    _change(patch, decide, "decide", changed)


@planted(
    "LOG-3",
    {
        "dies_before_it_settles": OWN,
        "dies_before_it_settles_and_comes_back_late": "the newest message of a subject tells nothing",
        "an_acknowledgement_is_not_heard": OWN,
    },
)
def publishes_without_message_id(patch: Patch) -> None:
    """A publish carries nothing by which the log could know it again."""

    def changed(publish: Any) -> Any:
        async def bare(
            self: Client, subject: str, payload: bytes = b"", reply: str = "", headers: Any = None
        ) -> None:
            if subject.startswith(subjects.ALL_SUBJECTS[:-1]) and headers:
                headers = {name: value for name, value in headers.items() if name != messages.MESSAGE_ID}
            await publish(self, subject, payload, reply, headers)

        return bare

    _change(patch, Client, "publish", changed)


@planted("LOG-3", {"a_publish_fails": OWN})
def pipelines_per_subject(patch: Patch) -> None:
    """A Node's messages are on their way side by side."""

    def changed(publish: Any) -> Any:
        async def piped(channel: Any, outgoing: Sequence[Outgoing], *, until: float) -> Any:
            answers = await asyncio.gather(*(publish(channel, [out], until=until) for out in outgoing))
            done = publishing.Acknowledged()
            for number, answer in enumerate(answers):
                done.places[number] = answer.places[0]
                done.failed = done.failed or answer.failed
            return done

        return piped

    _change(patch, publishing, "publish", changed)


@planted("OUT-3", {"dies_before_it_settles_and_comes_back_late": OWN})
def a_fresh_relay_is_sure(patch: Patch) -> None:
    """The first batch after a start is not compared with the log."""
    patch.setattr(JetStreamLog, "_without_known", lambda _self, _change, outgoing: outgoing)


@planted("OUT-4", {"two_relays_meet": OWN})
def the_cursor_is_not_held(patch: Patch) -> None:
    """A relay reads the cursor without its lock."""
    fenced = settling._HOLD[_DIALECT].selected_columns
    patch.setattr(settling, "_HOLD", {_DIALECT: select(*fenced).where(settling._OF_STREAM)})


@planted("OUT-4", {"a_leader_is_late": OWN})
def publishes_past_its_lease(patch: Patch) -> None:
    """However old a batch is, it goes on."""

    def changed(append: Any) -> Any:
        def appended(self: Any, change: Change, outgoing: Any, lease: Lease) -> Any:
            return append(self, change, outgoing, Lease(until=lease.until + 60, sure=lease.sure))

        return appended

    _change(patch, JetStreamLog, "append", changed)


@planted("OUT-4", {"a_leader_stands_still": OWN})
def no_fence(patch: Patch) -> None:
    """The database is not told to give up a relay that stands still."""
    patch.setattr(settling, "_HOLD", {_DIALECT: settling._HOLD_CURSOR})


# ---- streams -------------------------------------------------------------------------------------------


@planted("CUR-5", {"a_replay_is_of_one_node": OWN})
def replays_the_whole_stream(patch: Patch) -> None:
    """A replay is not bound to its Node's subject."""
    everything = SimpleNamespace(**vars(subjects))
    everything.of_node = lambda domain, node: (
        subjects.ALL_SUBJECTS if domain == "*" else subjects.of_node(domain, node)
    )
    patch.setattr(jetstream, "subjects", everything)
    patch.setattr(recent.Recent, "read", lambda *_, **__: None)  # the newest are found by Node in memory


@planted("CUR-4", {"the_window_is_the_logs": OWN})
def bounds_of_one_subject(patch: Patch) -> None:
    """The window reaches as far as one Node's entries."""

    def changed(ask: Any) -> Any:
        async def asked(self: Any) -> Bounds:
            whole: Bounds = await ask(self)
            link = self._link
            some = await link.call(
                lambda: direct.next_of(link, subjects.ALL_SUBJECTS, whole.low, entries=1, size=1 << 20)
            )
            if not some.messages:
                return whole
            [newest] = await link.call(lambda: direct.last_of(link, [some.messages[0][1]]))
            return Bounds(low=whole.low, high=newest[0])

        return asked

    _change(patch, JetStreamLog, "_ask_bounds", changed)


class _Boundless:
    """A log that never says that anything went."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def bounds(self) -> Bounds:
        """Everything there ever was."""
        return _ALWAYS


@planted("CUR-2", {"entries_go_under_a_replay": OWN})
def eviction_under_a_replay_unnoticed(patch: Patch) -> None:
    """Whether entries went while they were being read is not asked."""

    def changed(begin: Any) -> Any:
        def begun(self: replay.Replay, *, log: Any, **parts: Any) -> None:
            begin(self, log=_Boundless(log), **parts)

        return begun

    _change(patch, replay.Replay, "__init__", changed)


@planted("CUR-2", {"entries_go_before_they_were_read": OWN})
def a_jump_of_the_log_unnoticed(patch: Patch) -> None:
    """Streams go on behind a gap of the log."""

    async def never(_self: Any, _tail: Any) -> None:
        """Nothing is looked at."""

    patch.setattr(reader.Reader, "_check_continuous", never)


@planted("LOG-6", {"the_first_of_two_is_gone": OWN})
def nonces_in_memory(patch: Patch) -> None:
    """Each replica knows the nonces that it saw itself."""

    async def in_memory(_link: Any, layer: Layer, **_more: Any) -> MemoryNonces:
        return MemoryNonces(layer)

    patch.setattr(kv_nonces, "ensure_nonces", in_memory)


@planted(
    "LOG-5", {"an_entry_stands_twice": OWN, "the_first_of_two_is_gone": "the copy stands behind the original"}
)
def repeated_nonces_go_out(patch: Patch) -> None:
    """What the nonce store says is not asked for."""

    def changed(begin: Any) -> Any:
        def begun(self: Any, *, nonces: Any, **parts: Any) -> None:
            begin(self, nonces=_Forgetful(nonces), **parts)

        return begun

    for owner in (reader.Reader, replay.Replay):
        _change(patch, owner, "__init__", changed)


class _Forgetful:
    """Nonces of which none was seen before."""

    def __init__(self, nonces: Any) -> None:
        self._nonces = nonces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nonces, name)

    async def admit_entries(self, _appended: Any) -> set[int]:
        """All of them are first."""
        return set()

    async def look_up_node(self, _node_id: str, event_ids: Sequence[str]) -> list[None]:
        """None is known."""
        return [None] * len(event_ids)


@planted("KEY-3", {"a_retired_key_signs_on": OWN})
def the_old_key_is_still_accepted(patch: Patch) -> None:
    """An envelope by a key of an earlier rung goes out behind the rotation, too."""

    def changed(deliver: Any) -> Any:
        def delivered(self: session.Session, sequence: int, ready: Any) -> Any:
            rung = self.rung
            self.rung = min(rung, ready.rung)
            answer = deliver(self, sequence, ready)
            self.rung = max(rung, self.rung)
            return answer

        return delivered

    _change(patch, session.Session, "deliver", changed)
