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
    return [node_id for node_id in connection.execute(statement).scalars() if node_id != without]
