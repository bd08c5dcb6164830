"""The life of an outbox row: every move that exists, on one page; an absent pair is an illegal one."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """Where a row stands."""

    PENDING = "pending"  # waits for the relay
    PARKED = "parked"  # set aside with a reason (OUT-5, OUT-6)
    PUBLISHED = "published"  # on the log for every recipient
    SETTLED = "settled"  # has nothing to publish (TYPE-1)
    DISCARDED = "discarded"  # given up by an operator (OUT-6)


class Move(StrEnum):
    """What can happen to a row."""

    PUBLISH = "publish"
    SETTLE = "settle"
    PARK = "park"
    DISCARD = "discard"


MOVES: Mapping[tuple[Status, Move], Status] = MappingProxyType(
    {
        (Status.PENDING, Move.PUBLISH): Status.PUBLISHED,
        (Status.PENDING, Move.SETTLE): Status.SETTLED,
        (Status.PENDING, Move.PARK): Status.PARKED,
        (Status.PARKED, Move.PUBLISH): Status.PUBLISHED,  # its key has come
        (Status.PARKED, Move.SETTLE): Status.SETTLED,  # requeued: a new row carries it now
        (Status.PARKED, Move.PARK): Status.PARKED,  # its key has come, but something else is wrong with it
        (Status.PARKED, Move.DISCARD): Status.DISCARDED,
    }
)


class IllegalMove(Exception):
    """A row cannot make this move from where it stands."""


def after(status: Status, move: Move) -> Status:
    """Where a row stands after a move. Raises IllegalMove."""
    try:
        return MOVES[status, move]
    except KeyError:
        raise IllegalMove(f"a {status} row cannot {move}") from None
