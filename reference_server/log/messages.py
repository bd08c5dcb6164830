"""Messages of the JetStream log as entries: what body, for which Node, at which sequence."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from reference_server.envelope import model
from reference_server.ports import Appended, SignedBody

MESSAGE_ID = "Nats-Msg-Id"
_OWNERS_KNOWN = 65_536

# Sequence, subject, message id, body.
Message: TypeAlias = tuple[int, str, str, bytes]


def message_id_of(headers: Mapping[str, str] | None) -> str:
    """The id that the publisher gave, empty without one."""
    return "" if headers is None else headers.get(MESSAGE_ID, "")


def entries(messages: Iterable[Message], known: SignedBody | None = None) -> list[Appended]:
    """The messages, ascending, as pieces: neighbours with the same bytes share one body.

    What no relay of ours has written is handed on, too: the verifier tells what is wrong with it (LOG-4).
    """
    pieces: list[Appended] = []
    body, places = known, list[tuple[int, str]]()
    for sequence, subject, message_id, wire in messages:
        domain_id, node_id = _owner_of(subject)
        if body is None or body.wire != wire or body.domain_id != domain_id:
            if places and body is not None:
                pieces.append(Appended(body=body, entries=places))
            body, places = _body(wire, domain_id, message_id), []
        places.append((sequence, node_id))
    if places and body is not None:
        pieces.append(Appended(body=body, entries=places))
    return pieces


@lru_cache(_OWNERS_KNOWN)
def _owner_of(subject: str) -> tuple[str, str]:
    """Domain and Node of a subject (LOG-1); of a Node always the same texts, which many places share."""
    _, domain_id, node_id = subject.rsplit(".", 2)
    return domain_id, node_id


def _body(wire: bytes, domain_id: str, message_id: str) -> SignedBody:
    try:
        envelope = model.parse(wire)
    except model.NotAnEnvelope:
        event_id = message_id.partition(".")[0]
        return SignedBody(event_id=event_id, event_type="", domain_id=domain_id, key_id="", wire=wire)
    return SignedBody(
        event_id=envelope.id,
        event_type=envelope.type,
        domain_id=domain_id,
        key_id=envelope.key_id,
        wire=wire,
    )
