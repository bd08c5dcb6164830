"""What a Node will never receive: audited, and the Node told to pull (LOG-4, LOG-5, LOG-8)."""

from collections.abc import Callable

import structlog
import trio
from sqlalchemy import update

from reference_server.control import audit
from reference_server.ports import Change, Store, Unavailable
from reference_server.store import tables
from reference_server.stream.withheld import Withheld

# Withholding is told once per entry; more than this at one moment means that a whole log is forged.
_QUEUE_BOUND = 10_000
_OUTAGE_PAUSE_SECONDS = 1.0
_RELATION = "event.withhold"

_log = structlog.get_logger()


class Reconciler:
    """Takes notices at once and writes them soon, while `run` runs."""

    def __init__(self, store: Store, marked: Callable[[str], None]) -> None:
        """`marked` hears of each Node whose mark was set: its cached pull must look at it."""
        self._store = store
        self._marked = marked
        self._noticed, self._to_write = trio.open_memory_channel[Withheld](_QUEUE_BOUND)

    def tell(self, withheld: Withheld) -> None:
        """Note one entry; never waits."""
        _log.error(
            "event_withheld",
            reason=withheld.reason,
            event_id=withheld.event_id,
            node_id=withheld.node_id,
            sequence=withheld.sequence,
        )
        try:
            self._noticed.send_nowait(withheld)
        except trio.WouldBlock:
            _log.error("withheld_not_recorded", node_id=withheld.node_id)

    async def run(self) -> None:
        """Write what is noted, in order, until cancelled; an outage only delays it."""
        async for withheld in self._to_write:
            while not await self._written(withheld):  # noqa: ASYNC110 - an outage tells nobody when it ends
                await trio.sleep(_OUTAGE_PAUSE_SECONDS)
            self._marked(withheld.node_id)

    async def _written(self, withheld: Withheld) -> bool:
        try:
            await self._store.change([withheld.domain_id], lambda change: _write(change, withheld))
        except Unavailable:
            return False
        return True


def _write(change: Change, withheld: Withheld) -> None:
    nodes = tables.nodes
    marked = update(nodes).where(nodes.c.id == withheld.node_id).values(reconcile=True)
    change.connection.execute(marked)
    audit.append_entry(
        change,
        chain_id=withheld.domain_id,
        relation=_RELATION,
        object_type="node",
        object_id=withheld.node_id,
        reason=audit.Reason.UNKNOWN,
        relation_path=[withheld.reason, withheld.event_id, str(withheld.sequence)],
    )
