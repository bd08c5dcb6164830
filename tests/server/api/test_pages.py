"""Limits and cursors: signed, bound to caller and list, absent at the end (contract_facts 1.4)."""

import base64
from typing import Any

import pytest

from reference_server.api import pages
from reference_server.api.pages import Page, Pages
from reference_server.errors import Refusal
from tests.server.tenancy import request

MAKER = Pages(b"k" * 32)


def read(
    *, list_name: str = "things", caller: str = "operator:a", maker: Pages = MAKER, **query: Any
) -> Page:
    asked = request(query={name: (value,) for name, value in query.items()})
    return maker.read(asked, list_name=list_name, caller=caller)


def cursor(position: str = "p-1", *, caller: str = "operator:a") -> str:
    return MAKER.cursor(list_name="things", caller=caller, position=position)


def code(**asked: Any) -> str | None:
    with pytest.raises(Refusal) as caught:
        read(**asked)
    return caught.value.code


def test_defaults_and_bounds() -> None:
    assert read() == Page(limit=50, after=None)
    assert [read(limit=text).limit for text in ("1", "200", "007")] == [1, 200, 7]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "", "x", "1.0", "+1", " 1", "9999999999", "١"])
def test_a_limit_is_refused_never_clamped(limit: str) -> None:
    assert code(limit=limit) == "invalid_limit"


def test_a_limit_twice_is_no_limit() -> None:
    with pytest.raises(Refusal):
        MAKER.read(request(query={"limit": ("1", "1")}), list_name="things", caller="operator:a")


def test_a_cursor_brings_its_position_back() -> None:
    assert read(cursor=cursor("ä/1")).after == "ä/1"


def test_a_foreign_cursor_and_one_of_another_list() -> None:
    assert code(cursor=cursor(caller="operator:b")) == "cursor_binding_mismatch"
    assert code(cursor=cursor(), list_name="others") == "invalid_cursor"


def test_every_changed_character_is_noticed() -> None:
    proper = cursor()
    for index, character in enumerate(proper):
        for other in ("A", "B", "."):
            if other != character:
                assert code(cursor=proper[:index] + other + proper[index + 1 :]) == "invalid_cursor"


def test_other_keys_versions_and_rubbish_are_noticed() -> None:
    with pytest.raises(Refusal):
        read(cursor=Pages(b"l" * 32).cursor(list_name="things", caller="operator:a", position="p"))
    signed = b"\x02" + base64.urlsafe_b64decode(cursor().split(".")[0] + "==")[1:]
    mac = MAKER._mac(signed)  # a version that was never given out, properly signed
    text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (signed, mac))
    for sent in (text, "", ".", "x", "a" * 5000, "ä.ä", cursor() + "=", cursor() + "." + cursor()):
        assert code(cursor=sent) == "invalid_cursor", sent


async def test_filling_hides_and_ends() -> None:
    rows = [f"{n:03d}" for n in range(450)]

    async def chunk(after: str | None, count: int) -> list[str]:
        return [row for row in rows if after is None or row > after][:count]

    async def even(row: str) -> bool:
        return int(row) % 2 == 0

    async def fill(limit: int, after: str | None) -> pages.Filled[str]:
        return await pages.fill(Page(limit=limit, after=after), read=chunk, position=str, visible=even)

    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        filled = await fill(100, after)
        seen += filled.rows
        after = filled.last
    assert seen == rows[::2] and after is None
    exact = await fill(25, "399")
    assert (len(exact.rows), exact.last, exact.hidden) == (25, None, True)
