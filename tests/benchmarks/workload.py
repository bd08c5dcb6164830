"""What both servers send: payloads of one size, Nodes of one Domain."""

import functools
import time
import uuid

DOMAIN = "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1"
SOURCE = "tenancy.NodeStateEntryChanged"
STORED = 1000  # frames that a resuming stream gets (W4)


def node_ids(count: int) -> list[str]:
    """`count` stable Node ids of version 7."""
    base = 0x0190A8B8A0C070008000000000000000
    return [str(uuid.UUID(int=base + number)) for number in range(1, count + 1)]


def payload(stamp: int) -> str:
    """A payload that makes an envelope of about 420 bytes, with the time it was made."""
    return f'{{"node_id":"{DOMAIN}","t":{stamp},"reachability":{{"state":"healthy"}}}}'


def whole_payload(node_id: str, serial: int = 0) -> bytes:
    """A real node_state_updated, with the time it was made and its number in its producer's job."""
    blocks = '{"metadata":[{"key":"k","value":"v"}],"data":[],"reports":[]}'
    state = '{"state":"healthy","changed_at":"2026-05-27T10:00:00Z"}'
    stamp = f'"t":{time.monotonic_ns()},"n":{serial}'
    return f'{{"node_id":"{node_id}","reachability":{state},"state":{blocks},{stamp}}}'.encode()


@functools.cache
def stored_frames() -> list[tuple[int, str]]:
    """The rival's stored replay: data lines made once."""
    signature = "A" * 86 + "=="
    envelope = (
        '{"id":"0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a0","type":"node_state_updated",'
        f'"scope":"domain:{DOMAIN}","key_id":"did:web:busproof.test#key-1","issued_at":"2026-05-27T10:00:00Z",'
        f'"payload":{payload(0)},"signature":"{signature}"}}'
    )
    return [(sequence, envelope) for sequence in range(1, STORED + 1)]
