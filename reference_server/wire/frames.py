"""SSE frames and the chunks that carry them (SSE-2, SSE-4, SSE-12)."""

# SSE-4: these exact bytes.
KEEP_ALIVE = b":keep-alive\n\n"
LAST_CHUNK = b"0\r\n\r\n"


def shared(event_type: str, wire: bytes) -> bytes:
    """The part of a frame that is the same for every Node: all after the digits of its id."""
    return b"\nevent: %b\ndata: %b\n\n" % (event_type.encode(), wire)


def chunked(size: int, pieces: list[bytes]) -> bytes:
    """One chunk of `size` bytes; the list of its pieces is used up."""
    pieces.insert(0, b"%x\r\n" % size)
    pieces.append(b"\r\n")
    return b"".join(pieces)
