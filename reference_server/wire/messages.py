"""Request and Response: what passes between the connection and the handlers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, read whole and within its limits. Header names are lower case, in wire order."""

    method: str
    path: str  # percent-decoded
    target: bytes  # as sent
    query: Mapping[str, tuple[str, ...]]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    http_version: bytes  # b"1.1" or b"1.0"
    client: str  # address of the peer
    correlation_id: str  # ERR-3
    path_parameters: Mapping[str, str] = field(default=_NO_PARAMETERS)

    def header_lines(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of a header, in order; `name` in lower case."""
        return tuple(value for key, value in self.headers if key == name)

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. The connection adds Content-Length, Date, X-Correlation-Id and the version header."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]
