"""What a run may send: methods, how many requests, and when a target in trouble is left alone."""

from collections import deque

from conformance.probe.obstacle import CannotAct

# Of the last so many answers at most this share may be 5xx (501 and 503 are answers of the contract).
_WATCHED_ANSWERS = 20
_TOLERATED_ERRORS = 5
_EXPECTED_5XX = frozenset({501, 503})
_FIRST_5XX = 500

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Restraint:
    """Refuses what the run's effects do not allow, by CannotAct, before a byte is sent."""

    __slots__ = ("_answers", "_may_write", "_requests", "_watchful")

    def __init__(self, *, may_write: bool, requests: int, watchful: bool) -> None:
        self._may_write = may_write
        self._requests = requests
        self._watchful = watchful
        self._answers: deque[bool] = deque(maxlen=_WATCHED_ANSWERS)

    def admit(self, method: str) -> None:
        """Counts a request; raises CannotAct if it must not be sent."""
        if not self._may_write and method not in READING:
            raise CannotAct(f"{method} is not allowed on this target: --allow write")
        if self._requests <= 0:
            raise CannotAct("the ceiling of requests is reached")
        if self._watchful and sum(self._answers) > _TOLERATED_ERRORS:
            raise CannotAct("the target answers with server errors and is left alone")
        self._requests -= 1

    def answered(self, status: int) -> None:
        """Takes note of an answer."""
        self._answers.append(status >= _FIRST_5XX and status not in _EXPECTED_5XX)
