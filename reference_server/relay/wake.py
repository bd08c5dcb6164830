"""The relay's bell: rung by commits, with the tick as backstop (OUT-7)."""

import trio


class Wake:
    """Rings are kept until heard, and many of them are one."""

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Have the next or present `wait_rung` return."""
        self._rung.set()

    async def wait_rung(self, seconds: float) -> None:
        """Return when rung, or after some seconds."""
        with trio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = trio.Event()
