"""Public keys of Nodes as the wire spells them: 32 bytes, standard base64 (@B64KEY)."""

import base64
import re

_KEY = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)


def octets_of(text: object) -> bytes | None:
    """The 32 bytes of a key; None where it is no @B64KEY text or all zero."""
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        return None
    octets = base64.b64decode(text)
    return octets if any(octets) else None


def text_of(octets: bytes) -> str:
    """The one spelling in which a key is stored and sent (PULL-3): unused bits at its end are zero."""
    return base64.b64encode(octets).decode()
