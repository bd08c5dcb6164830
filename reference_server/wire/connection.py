"""One connection: requests read within their limits and answered in order, until it is over or taken."""

import socket
from dataclasses import dataclass
from enum import Enum

import h11
import trio

from reference_server.errors import Refusal
from reference_server.wire import answers, asking, dispatch, reading
from reference_server.wire.asking import Head
from reference_server.wire.messages import Request, Response, Takeover
from reference_server.wire.router import Found
from reference_server.wire.site import Answered, Site

_STREAMING = 200
_TOO_LATE = 408
# The request was read to its end.
_READ_WHOLE = frozenset({h11.DONE, h11.MUST_CLOSE, h11.CLOSED})
# Answers to one peer that asks without a pause before others get their turn.
_ANSWERS_PER_TURN = 8
# A path that could not be read stands like this in the problem's `instance`.
_NO_PATH = "/"


class Phase(Enum):
    """What a connection waits for; all but WORK have a limit."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    WORK = "work"
    WRITE = "write"


class PeerGone(Exception):
    """The peer left; there is nobody to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A connection whose head has been sent; it belongs to its Takeover now."""

    takeover: Takeover
    chunked: bool


class Connection:
    """Reads and answers; call `converse` once."""

    __slots__ = (
        "_answered",
        "_began",
        "_client",
        "_correlation_id",
        "_found",
        "_h11",
        "_head",
        "_inbox",
        "_phase",
        "_reserved",
        "_scope",
        "_site",
        "_sock",
    )

    def __init__(self, sock: socket.socket, client: str, site: Site) -> None:
        self._sock = sock
        self._client = client
        self._site = site
        self._inbox = reading.Inbox(sock)
        self._h11 = _fresh(site)
        self._scope = trio.CancelScope()
        self._phase = Phase.HEAD
        self._reserved = 0
        self._answered = 0
        self._head: Head | None = None
        self._found: Found | None = None
        self._forget()

    def stop_waiting(self) -> None:
        """Close the connection unless a request is under way: the server stops."""
        if self._phase is Phase.IDLE or (self._phase is Phase.HEAD and not self._inbox.held):
            self._phase = Phase.IDLE
            self._scope.cancel()

    async def converse(self) -> Taken | None:
        """Answer requests in order; a Takeover's connection is handed back, any other is over."""
        self._enter(Phase.HEAD, self._site.limits.head_seconds)
        try:
            with self._scope:
                while True:
                    taken = await self._exchange()
                    if taken is not None or not await self._another():
                        return taken
            await self._run_out()
        except PeerGone:
            pass
        finally:
            self._site.bodies.give_back(self._reserved)
        return None

    # ---- one exchange

    async def _exchange(self) -> Taken | None:
        try:
            request, found = await self._ask()
        except Refusal as refusal:
            await self._refuse(refusal)
            return None
        except h11.RemoteProtocolError as failure:
            await self._refuse(Refusal(None, status=failure.error_status_hint))
            return None
        self._enter(Phase.WORK, None)
        answer, code = await dispatch.answer(found.route.handler, request)
        if isinstance(answer, Takeover):
            return await self._hand_over(answer, request)
        await self._write(self._rendered(answer, with_body=request.method != "HEAD"))
        self._tell(answer.status, code, request)
        return None

    async def _ask(self) -> tuple[Request, Found]:
        raw = await self._inbox.head(self._site.limits.head_bytes)
        if raw is None:
            raise PeerGone
        self._began = trio.current_time()
        self._head = head = asking.read_head(self._h11, raw)
        self._found = found = self._site.router.find(head.method, head.segments)
        request = head.request(
            body=await self._body(head, found),
            path_parameters=found.path_parameters,
            client=self._client,
            correlation_id=self._correlation_id,
        )
        return request, found

    async def _body(self, head: Head, found: Found) -> bytes:
        operation = found.route.operation
        if isinstance(self._h11.next_event(), h11.EndOfMessage):
            return b""
        limit = asking.announced(head, operation, self._site.limits.body_bytes)
        if not self._site.bodies.reserve(limit):
            raise Refusal(None, status=503)
        self._reserved = limit
        self._enter(Phase.BODY, self._site.limits.body_seconds)
        if self._h11.they_are_waiting_for_100_continue:
            await self._write(asking.CONTINUE)
        body = await asking.read_body(self._h11, self._inbox, operation, limit)
        self._release()
        return body

    async def _refuse(self, refusal: Refusal) -> None:
        self._release()
        path = _NO_PATH if self._head is None else self._head.path
        response = dispatch.problem(refusal, path, self._correlation_id)
        with_body = self._head is None or self._head.method != "HEAD"
        await self._write(self._rendered(response, with_body=with_body))
        self._tell(refusal.status, refusal.code, None)

    def _rendered(self, response: Response, *, with_body: bool) -> bytes:
        close = self._site.stopping or self._h11.their_state is not h11.DONE
        return answers.whole(
            self._h11,
            response,
            date=self._site.dates.now(),
            correlation_id=self._correlation_id,
            with_body=with_body,
            close=close,
        )

    async def _hand_over(self, takeover: Takeover, request: Request) -> Taken:
        chunked = request.http_version == b"1.1"
        head = answers.stream_head(
            takeover, date=self._site.dates.now(), correlation_id=self._correlation_id, chunked=chunked
        )
        await self._write(head)
        self._tell(_STREAMING, None, request)
        return Taken(takeover=takeover, chunked=chunked)

    # ---- between exchanges

    async def _another(self) -> bool:
        """Make ready for the next request; False where none can follow."""
        if (
            self._h11.our_state is not h11.DONE
            or self._h11.their_state is not h11.DONE
            or self._site.stopping
        ):
            if self._h11.their_state not in _READ_WHOLE or self._inbox.held:
                self._enter(Phase.WORK, None)
                await reading.linger(self._sock, self._site.limits)
            return False
        self._forget()
        self._renew()
        self._answered += 1
        if self._answered % _ANSWERS_PER_TURN == 0:
            await trio.lowlevel.checkpoint()
        if not self._inbox.held:
            self._enter(Phase.IDLE, self._site.limits.idle_seconds)
            if not await self._inbox.more():
                return False
        if self._inbox.holds_head():
            self._phase = Phase.HEAD  # nothing to wait for, so no limit to set
        else:
            self._enter(Phase.HEAD, self._site.limits.head_seconds)
        return True

    def _renew(self) -> None:
        """Go on with the same h11 object, or a fresh one where a chunked body swallowed what follows it."""
        swallowed, _ = self._h11.trailing_data
        if swallowed:
            self._inbox.held[:0] = swallowed
            self._h11 = _fresh(self._site)
        else:
            self._h11.start_next_cycle()

    def _forget(self) -> None:
        self._head = None
        self._found = None
        self._correlation_id = self._site.ids.uuid7()
        self._began = trio.current_time()

    async def _run_out(self) -> None:
        """A limit was passed: say so where somebody may be listening."""
        if self._phase is Phase.BODY or (self._phase is Phase.HEAD and self._inbox.held):
            self._release()
            self._scope = trio.CancelScope()
            with self._scope:
                await self._refuse(Refusal(None, status=_TOO_LATE))
                await reading.linger(self._sock, self._site.limits)

    # ---- small things

    def _enter(self, phase: Phase, seconds: float | None) -> None:
        self._phase = phase
        self._scope.deadline = float("inf") if seconds is None else trio.current_time() + seconds

    def _release(self) -> None:
        self._site.bodies.give_back(self._reserved)
        self._reserved = 0

    async def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while True:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                pass
            except OSError:
                raise PeerGone from None
            if not left:
                return
            if self._phase is not Phase.WRITE:
                self._enter(Phase.WRITE, self._site.limits.write_seconds)
            await trio.lowlevel.wait_writable(self._sock)

    def _tell(self, status: int, code: str | None, request: Request | None) -> None:
        operation_id = None if self._found is None else self._found.route.operation.id
        seconds = trio.current_time() - self._began
        self._site.told(
            Answered(
                request=request or self._request_so_far(),
                operation_id=operation_id,
                status=status,
                code=code,
                seconds=seconds,
                client=self._client,
                correlation_id=self._correlation_id,
            )
        )

    def _request_so_far(self) -> Request | None:
        if self._head is None:
            return None
        return self._head.request(
            body=b"", path_parameters={}, client=self._client, correlation_id=self._correlation_id
        )


def _fresh(site: Site) -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=site.limits.head_bytes)
