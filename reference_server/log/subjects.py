"""Names on the log: the stream, its subjects, and message ids (LOG-1, LOG-3)."""

STREAM = "PLEXSPHERE_NODE_EVENTS"
_PREFIX = "plexsphere.node.events"
ALL_SUBJECTS = _PREFIX + ".>"


def of_node(domain_id: str, node_id: str) -> str:
    """The subject of one Node's envelopes."""
    return f"{_PREFIX}.{domain_id}.{node_id}"


def message_id(event_id: str, node_id: str) -> str:
    """What makes two publishes the same one, on the log and in the nonce stores (LOG-3, LOG-5)."""
    return f"{event_id}.{node_id}"
