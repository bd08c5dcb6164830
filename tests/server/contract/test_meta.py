"""What the server says of itself."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from reference_server import contract, metrics, release
from reference_server.api.meta import HealthCheck, Meta, Standing
from reference_server.errors import Refusal
from reference_server.release import Release
from reference_server.wire.messages import Request

RELEASE = Release(version="1.2.3", commit="abc", date=datetime(2026, 11, 2, 10, tzinfo=UTC))


def _request(path: str) -> Request:
    return Request(
        method="GET",
        path=path,
        target=path.encode(),
        query={},
        headers=(),
        body=b"",
        http_version=b"1.1",
        client="127.0.0.1",
        correlation_id="c",
    )


def _meta(*standings: Standing) -> Meta:
    async def probe() -> Sequence[HealthCheck]:
        return [
            HealthCheck(name=f"part{place}", status=each, detail="…") for place, each in enumerate(standings)
        ]

    return Meta(document=contract.document(), health=probe, release=RELEASE, collected=metrics.create())


def _holds(name: str, body: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(body)
    jsonschema_rs.Draft202012Validator(dict(contract.document().schema(name))).validate(value)
    return value


@pytest.mark.parametrize(
    ("standings", "whole", "status"),
    [
        ((), "ok", 200),
        ((Standing.OK, Standing.OK), "ok", 200),
        ((Standing.OK, Standing.DEGRADED), "degraded", 200),
        ((Standing.DOWN, Standing.DEGRADED, Standing.OK), "down", 503),
    ],
)
async def test_health_is_as_bad_as_its_worst_part(
    standings: tuple[Standing, ...], whole: str, status: int
) -> None:
    response = await _meta(*standings).get_health(_request("/v1/health"))

    assert response.status == status
    assert _holds("HealthStatus", response.body)["status"] == whole


async def test_version_names_the_release() -> None:
    response = await _meta().get_version(_request("/v1/version"))

    assert _holds("VersionInfo", response.body) == {
        "version": "1.2.3",
        "commit": "abc",
        "date": "2026-11-02T10:00:00Z",
    }


async def test_the_contract_is_served_whole() -> None:
    response = await _meta().get_open_api(_request("/v1/openapi.json"))

    assert response.content_type == b"application/json"
    assert json.loads(response.body) == contract.document().content


async def test_the_page_lists_every_operation_and_loads_nothing() -> None:
    response = await _meta().get_docs(_request("/v1/docs"))
    page = response.body.decode()
    operations = [one for item in contract.document().content["paths"].values() for one in item.values()]

    assert all(f'id="{one["operationId"]}"' in page for one in operations)
    assert not re.search(r"<script|<link|<img|src=|url\(", page)
    assert dict(response.headers)[b"Content-Security-Policy"].startswith(b"default-src 'none'")


async def test_no_asset_is_known() -> None:
    with pytest.raises(Refusal) as refused:
        await _meta().get_docs_asset(_request("/v1/docs/assets/app.js"))

    assert (refused.value.status, refused.value.code) == (404, None)


async def test_metrics_are_those_of_this_server() -> None:
    collected = metrics.create()
    collected.verify_reject.labels(reason="signature").inc()

    async def probe() -> Sequence[HealthCheck]:
        return ()

    meta = Meta(document=contract.document(), health=probe, release=RELEASE, collected=collected)
    response = await meta.get_metrics(_request("/metrics"))

    assert b'sse_verify_reject_total{reason="signature"} 1.0' in response.body
    assert response.content_type.startswith(b"text/plain")


def test_the_commit_is_read_without_git(tmp_path: Path) -> None:
    loose, packed, detached, nothing = (
        tmp_path / name for name in ("loose", "packed", "detached", "nothing")
    )
    for repository in (loose, packed):
        repository.mkdir()
        (repository / "HEAD").write_text("ref: refs/heads/main\n")
    (loose / "refs" / "heads").mkdir(parents=True)
    (loose / "refs" / "heads" / "main").write_text("11aa\n")
    (packed / "packed-refs").write_text("# pack-refs\n22bb refs/heads/main\n")
    detached.mkdir()
    (detached / "HEAD").write_text("33cc\n")

    commits = [release.commit_of(repository) for repository in (loose, packed, detached, nothing)]

    assert commits == ["11aa", "22bb", "33cc", release.UNKNOWN_COMMIT]
