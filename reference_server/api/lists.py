"""Answers that are pages of a list (contract_facts 1.4, 7.5)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from reference_server.api import answer, pages
from reference_server.api.admission import subject_of, uuid_of
from reference_server.api.pages import Pages
from reference_server.errors import Refusal
from reference_server.ports import Caller, Store
from reference_server.wire.messages import Request, Response

ListedRow = Row[Any]
Reading = Callable[[Connection, str | None, int], Sequence[ListedRow]]

# contract_facts 7.5: rows existed, and the caller may see none of them.
_ALL_HIDDEN = "no_rebac_membership"


class Lists:
    """Renders pages; `list_name` names a list with its filters, so that a cursor fits no other."""

    __slots__ = ("_pages", "_store")

    def __init__(self, *, store: Store, pages: Pages) -> None:
        self._store = store
        self._pages = pages

    async def answer(
        self,
        request: Request,
        caller: Caller,
        *,
        list_name: str,
        read: Reading,
        position: Callable[[ListedRow], str],
        render: Callable[[ListedRow], Mapping[str, object]],
        visible: Callable[[ListedRow], Awaitable[bool]] = pages.everything,
        says_why_empty: bool = False,
    ) -> Response:
        """The page that the query asks for, of the rows that are `visible`. Raises Refusal as Pages does."""
        subject = subject_of(caller)
        page = self._pages.read(request, list_name=list_name, caller=subject)
        filled = await pages.fill(
            page,
            read=lambda after, count: self._store.read(lambda connection: read(connection, after, count)),
            position=position,
            visible=visible,
        )
        body: dict[str, object] = {"items": [render(row) for row in filled.rows]}
        if filled.last is not None:
            body["next_cursor"] = self._pages.cursor(
                list_name=list_name, caller=subject, position=filled.last
            )
        if says_why_empty and not filled.rows and filled.hidden:
            body["empty_reason"] = _ALL_HIDDEN
        return answer.ok(body)


def domain_filter(request: Request) -> str | None:
    """The query's `domain_id`. Raises Refusal(`invalid_domain_filter`)."""
    given = request.query.get("domain_id", ())
    if not given:
        return None
    domain_id = uuid_of(given[0]) if len(given) == 1 else None
    if domain_id is None:
        raise Refusal("invalid_domain_filter")
    return domain_id


def position_by_id(row: ListedRow) -> str:
    """The position of a list that is ordered by id."""
    position: str = row._mapping["id"]
    return position
