"""Node ids as the outbox and the log hold them: 16 bytes each."""

from collections.abc import Sequence
from functools import lru_cache

WIDTH = 16

# One entry a Node; beyond it the conversion costs half a microsecond again.
_REMEMBERED = 65_536


@lru_cache(maxsize=_REMEMBERED)
def raw(node_id: str) -> bytes:
    """The 16 bytes of a UUID text. Raises ValueError."""
    content = bytes.fromhex(node_id.replace("-", ""))
    if len(content) != WIDTH:
        raise ValueError("not a UUID")
    return content


@lru_cache(maxsize=_REMEMBERED)
def text(content: bytes) -> str:
    """The lower-case UUID text of 16 bytes."""
    digits = content.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def pack(node_ids: Sequence[str]) -> bytes:
    """The bytes of several, one after the other."""
    return b"".join(map(raw, node_ids))


def unpack(packed: bytes) -> list[str]:
    """The texts of several."""
    return [text(packed[at : at + WIDTH]) for at in range(0, len(packed), WIDTH)]
