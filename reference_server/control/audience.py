"""Who an event goes to: the live Nodes of a Domain, at the moment its row is appended (OUT-10)."""

from sqlalchemy import Connection, select

from reference_server.store import tables


def live_nodes(connection: Connection, domain_id: str, *, without: str | None = None) -> list[str]:
    """Ids of the Domain's Nodes that are not deregistered, ascending, all of them or all but one."""
    nodes = tables.nodes
    statement = (
        select(nodes.c.id)
        .where(nodes.c.domain_id == domain_id, nodes.c.deregistered_at.is_(None))
        .order_by(nodes.c.id)
    )
    if without is not None:
        statement = statement.where(nodes.c.id != without)
    return list(connection.execute(statement).scalars().all())  # fetched at once: thousands at each event
