"""One batch: claim, sign, append and settle in one transaction (OUT-3, OUT-4)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reference_server.envelope import model
from reference_server.envelope.keyring import Keyring, SealBroken
from reference_server.envelope.signed_here import SignedHere
from reference_server.outbox import wire_types
from reference_server.outbox.lifecycle import Move, Status
from reference_server.ports import Appended, Change, Lease, LogAppender, Outgoing, SignedBody
from reference_server.relay import claims, decide, settling
from reference_server.relay.claims import Claim
from reference_server.relay.decide import Decision, Row
from reference_server.relay.settling import Cursor

# Rows that waited for a key fill at most a half of a batch, so that other Domains go on meanwhile (OUT-5).
_RELEASED_SHARE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one batch did; `more` says that rows are left which it could have taken.

    `cursor` is where it left the cursor, None for a batch that another relay kept from happening; `owed` says
    that some Nodes could not be reached.
    """

    appended: Sequence[Appended] = ()
    parked: Sequence[Decision] = ()
    more: bool = False
    owed: bool = False
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The work of one transaction, bounded in publishes and in seconds (OUT-4)."""

    log: LogAppender
    keyring: Keyring
    signed_here: SignedHere
    publishes: int
    seconds: float
    lease_seconds: float
    fence_seconds: float

    def carry(self, change: Change, last: Cursor | None = None) -> Outcome:
        """Bring what waits where it belongs, oldest first; `last` is where we left the cursor."""
        until = time.monotonic() + self.lease_seconds
        cursor = settling.hold_cursor(change, self.fence_seconds)
        if cursor is None:
            return Outcome()
        claim = self._claim(change)
        if not claim.rows:
            return Outcome(cursor=cursor)
        keys = self._keys(claim.rows)
        decisions = decide.decide(claim.rows, _waiting(change, claim), keys.keys())
        outgoing, done = self._sign(change, decisions, keys)
        more = claim.more or done < len(decisions)
        decisions = decisions[:done]
        landed = self.log.append(change, outgoing, Lease(until=until, sure=cursor == last))
        settling.settle(change, decisions, landed.owed)
        cursor = settling.move_cursor(
            change,
            cursor,
            last_outbox_id=max(decision.row.id for decision in decisions),
            last_sequence=max((piece.entries[-1][0] for piece in landed.appended), default=0),
        )
        return Outcome(
            appended=landed.appended,
            parked=[decision for decision in decisions if decision.move is Move.PARK],
            more=more and not landed.owed,
            owed=bool(landed.owed),
            cursor=cursor,
        )

    def _claim(self, change: Change) -> Claim:
        pending = claims.pending(change.connection, self.publishes)
        if pending.rows and not pending.any_parked:
            return self._fitting(pending)
        given = claims.domains_given_a_key(change.connection)
        share = max(1, self.publishes // _RELEASED_SHARE)
        released = claims.released(change.connection, given, share) if given else Claim(rows=[])
        left = max(1, self.publishes - len(released.rows))
        rows = [*released.rows, *pending.rows[:left]]
        more = released.more or pending.more or left < len(pending.rows)
        return self._fitting(Claim(rows=rows, more=more))

    def _fitting(self, claim: Claim) -> Claim:
        """As many of the rows as there is room for; at least one."""
        room = self.publishes
        for taken, row in enumerate(claim.rows):
            if taken and len(row.recipients) > room:
                return replace(claim, rows=claim.rows[:taken], more=True)
            room -= len(row.recipients)
        return claim

    def _keys(self, claimed: Sequence[Row]) -> dict[str, bytes]:
        sealed = {row.key_id: row.sealed_seed for row in claimed if row.envelope is None}
        keys = {}
        for key_id, seed in sealed.items():
            if key_id is None or seed is None:
                continue
            try:
                keys[key_id] = self.keyring.signing_key(key_id, seed)
            except SealBroken:
                continue  # as good as destroyed: its rows are parked with that reason
        return keys

    def _sign(
        self, change: Change, decisions: Sequence[Decision], keys: dict[str, bytes]
    ) -> tuple[list[Outgoing], int]:
        """What goes out, and how many of the decisions the time was enough for; at least one."""
        deadline = time.perf_counter() + self.seconds
        outgoing: list[Outgoing] = []
        for done, decision in enumerate(decisions):
            if done and time.perf_counter() > deadline:
                return outgoing, done
            if decision.move is Move.PUBLISH:
                body = _body(decision.row, change.now, keys)
                self.signed_here.add(body.wire)
                outgoing.append(Outgoing(body=body, node_ids=decision.row.recipients))
        return outgoing, len(decisions)


def _waiting(change: Change, claim: Claim) -> set[str]:
    """The Domains whose older rows wait for a key."""
    if not claim.any_parked:
        return set()
    domains = {row.domain_id for row in claim.rows if row.status is Status.PENDING}
    return claims.domains_waiting(change.connection, domains, claim.rows)


def _body(row: Row, now: int, keys: dict[str, bytes]) -> SignedBody:
    wire_type = wire_types.wire_type_for(row.source)
    if wire_type is None or row.key_id is None:
        raise AssertionError("decide publishes no such row")
    if row.envelope is not None:
        return SignedBody(
            event_id=row.event_id,
            event_type=wire_type,
            domain_id=row.domain_id,
            key_id=row.key_id,
            wire=row.envelope,
        )
    return model.build(
        event_id=row.event_id,
        event_type=wire_type,
        domain_id=row.domain_id,
        key_id=row.key_id,
        issued_at=now,
        payload=row.payload,
        signing_key=keys[row.key_id],
    )
