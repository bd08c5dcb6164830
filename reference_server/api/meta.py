"""Health, version, contract, page and metrics: what the server says of itself (contract_facts 4.7)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from reference_server import metrics
from reference_server.api import docs_page
from reference_server.contract import Document
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.metrics import Metrics
from reference_server.release import Release
from reference_server.wire.messages import Request, Response

_NO_STORE = ((b"Cache-Control", b"no-store"),)
_PAGE_POLICY = ((b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"),)


class Standing(StrEnum):
    """How a part, or the whole, stands; a later member is worse than an earlier one."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


_BY_SEVERITY = tuple(Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One dependency; `detail` is a fixed sentence without internals (ERR-5)."""

    name: str
    status: Standing
    detail: str


HealthProbe = Callable[[], Awaitable[Sequence[HealthCheck]]]


class Meta:
    """The surface `meta`. `health` looks at the dependencies anew for each question."""

    __slots__ = ("_document", "_health", "_metrics", "_page", "_version")

    def __init__(
        self, *, document: Document, health: HealthProbe, release: Release, collected: Metrics
    ) -> None:
        self._document = document
        self._health = health
        self._metrics = collected
        self._page = docs_page.render(document.content)
        self._version = msgspec.json.encode(
            {"version": release.version, "commit": release.commit, "date": instant.render(release.date)}
        )

    async def get_health(self, _request: Request) -> Response:
        """HealthStatus: the worst check is the whole; down answers 503, and is no Problem (ERR-1)."""
        checks = await self._health()
        whole = max((check.status for check in checks), key=_BY_SEVERITY.index, default=Standing.OK)
        return Response(
            status=503 if whole is Standing.DOWN else 200,
            body=msgspec.json.encode({"status": whole, "checks": checks}),
            headers=_NO_STORE,
        )

    async def get_version(self, _request: Request) -> Response:
        """VersionInfo of the running code."""
        return Response(status=200, body=self._version)

    async def get_open_api(self, _request: Request) -> Response:
        """The whole contract as JSON."""
        return Response(status=200, body=self._document.json)

    async def get_docs(self, _request: Request) -> Response:
        """The contract as one page that loads nothing."""
        return Response(
            status=200, body=self._page, content_type=b"text/html; charset=utf-8", headers=_PAGE_POLICY
        )

    async def get_docs_asset(self, _request: Request) -> Response:
        """The page needs no assets, so the allow-list of their names is empty."""
        raise Refusal(None, status=404)

    async def get_metrics(self, _request: Request) -> Response:
        """The counters as Prometheus reads them (extension)."""
        return Response(
            status=200,
            body=metrics.expose(self._metrics),
            content_type=metrics.CONTENT_TYPE,
            headers=_NO_STORE,
        )
