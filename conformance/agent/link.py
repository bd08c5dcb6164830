"""The agent's way to its server: httpx, one client, answers whole or as a stream of bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

# SSE-4: no silence may last longer than 30 s; one that does means a dead connection.
SILENCE_SECONDS = 30.0
ANSWER_SECONDS = 15.0


class Unreachable(Exception):
    """No connection, or it broke: try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """A response whose body is read piece by piece; raises Unreachable when the connection breaks."""

    status: int
    headers: httpx.Headers
    pieces: AsyncIterator[bytes]


class Link:
    """Speaks to one server as one Node; proxies of the environment are not asked."""

    def __init__(self, base_url: str, credential: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {credential}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, read=SILENCE_SECONDS),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._http.aclose()

    async def get(self, path: str) -> Answer:
        """A whole answer; raises Unreachable."""
        try:
            answer = await self._http.get(path)
        except httpx.TransportError as trouble:
            raise Unreachable(str(trouble)) from trouble
        return Answer(status=answer.status_code, headers=answer.headers, body=answer.content)

    @asynccontextmanager
    async def stream(self, path: str, cursor: int | None) -> AsyncIterator[OpenStream]:
        """Opens a stream, with `Last-Event-ID` if there is a cursor; raises Unreachable."""
        headers = {"Accept": "text/event-stream"}
        if cursor is not None:
            headers["Last-Event-ID"] = str(cursor)
        try:
            async with self._http.stream("GET", path, headers=headers) as answer:
                yield OpenStream(
                    status=answer.status_code, headers=answer.headers, pieces=answer.aiter_bytes()
                )
        except httpx.TransportError as trouble:
            raise Unreachable(str(trouble)) from trouble
