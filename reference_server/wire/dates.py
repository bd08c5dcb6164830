"""The Date header, written anew once a second."""

from email.utils import format_datetime

from reference_server.ports import Clock


class Dates:
    """IMF-fixdate of the server's clock (RFC 9110 section 5.6.7); the fault channel moves it too."""

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._text = b""

    def now(self) -> bytes:
        """The value of the header."""
        now = self._clock.now()
        second = int(now.timestamp())
        if second != self._second:
            self._text = format_datetime(now, usegmt=True).encode()
            self._second = second
        return self._text
