"""Instants as text (ENV-6)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.envelope import instant


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (100_000, "1970-01-01T00:00:00.1Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (1_700_000_000_120_000, "2023-11-14T22:13:20.12Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_render(micros: int, text: str) -> None:
    assert instant.render(micros) == text
    assert instant.render(instant.moment(micros)) == text


@given(st.integers(0, 253_402_300_799_999_999))
def test_back_and_forth(micros: int) -> None:
    text = instant.render(micros)
    assert instant.micros(instant.parse(text)) == micros
    assert instant.micros(instant.parse_canonical(text)) == micros


def test_doors_take_any_rfc3339() -> None:
    at = datetime(2026, 5, 27, 8, 0, 0, 123456, tzinfo=UTC)
    assert instant.parse("2026-05-27t10:00:00.123456789+02:00") == at
    assert instant.parse("2026-05-27T08:00:00Z") == at - timedelta(microseconds=123456)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-27",
        "2026-05-27T10:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-05-27 10:00:00Z",
        "2026-05-27T10:00:60Z",
        "2026-05-27T24:00:00Z",
        "2026-05-27T10:00:00+25:00",
        "0001-01-01T00:00:00+01:00",
        "\u0662026-05-27T10:00:00Z",
        "2026-05-27T10:00:00.Z",
        "2026-05-27T10:00:00Z\n",
        "",
    ],
)
def test_not_an_instant(text: str) -> None:
    with pytest.raises(instant.NotAnInstant):
        instant.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-27T10:00:00.0Z",
        "2026-05-27T10:00:00.10Z",
        "2026-05-27T10:00:00+00:00",
        "2026-05-27T10:00:00z",
        "2026-05-27T10:00:00.1234567891Z",
    ],
)
def test_not_canonical(text: str) -> None:
    with pytest.raises(instant.NotAnInstant):
        instant.parse_canonical(text)
