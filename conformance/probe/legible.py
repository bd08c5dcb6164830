"""Text of a target as any report can hold it: what no encoding takes, or a terminal obeys, is spelled out."""

import re

# Control characters but tab and line end, halves of surrogate pairs, and what XML 1.0 (2.2) has no place for.
_ILLEGIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def legible(text: str) -> str:
    """`text` with each such character as its backslash escape."""
    return _ILLEGIBLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
