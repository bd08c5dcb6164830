"""Reads an HTTP/1 response out of recorded bytes: what each piece adds to the body, and when it was whole."""

import h11

from conformance.probe.transcript import Head, Received

# Far more than any head of the contract; beyond it a response counts as malformed.
MAX_HEAD_BYTES = 128 * 1024


class ResponseDecoder:
    """Fed raw bytes as they arrive, tells head, body and end apart. Does no I/O."""

    __slots__ = ("_connection", "complete", "head", "malformed")

    def __init__(self, method: str) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        asked = method if method in ("HEAD", "CONNECT") else "GET"
        self._connection.send(h11.Request(method=asked, target="/", headers=[("Host", "recorded")]))
        self._connection.send(h11.EndOfMessage())
        self.head: Head | None = None
        self.complete = False
        self.malformed = ""

    def feed(self, at: int, raw: bytes) -> Received:
        """The piece with what it adds to the body; `raw` empty means the peer closed."""
        if self.complete or self.malformed:
            return Received(at=at, raw=raw, body=b"")
        try:
            self._connection.receive_data(raw)
            return Received(at=at, raw=raw, body=self._drain(at))
        except h11.RemoteProtocolError as wrong:
            if raw:
                self.malformed = str(wrong)
            return Received(at=at, raw=raw, body=b"")

    def _drain(self, at: int) -> bytes:
        body = bytearray()
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Response):
                self.head = _head(at, event)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.complete = True
                return bytes(body)
            elif not isinstance(event, h11.InformationalResponse):
                return bytes(body)


def _head(at: int, response: h11.Response) -> Head:
    return Head(
        at=at,
        http_version=response.http_version.decode("ascii"),
        status=response.status_code,
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw_items()
        ),
    )
