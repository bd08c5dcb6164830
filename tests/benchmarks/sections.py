"""Sections of a document that a make target writes: each owns what stands between its two marks."""

import re
from collections.abc import Sequence
from pathlib import Path


def put(document: str, command: str, lines: Sequence[str]) -> str:
    """The document with the section of `command` made anew, at its place; at the end where there is none."""
    begin, end = f"<!-- from here on written by `{command}` -->", f"<!-- end of `{command}` -->"
    section = "\n".join((begin, "", *lines, "", end))
    found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if found.search(document):
        return found.sub(lambda _: section, document, count=1)
    return document.rstrip("\n") + "\n\n" + section + "\n"


def write(path: Path, command: str, lines: Sequence[str]) -> None:
    """Put a section into a file, and leave what people and other targets wrote."""
    document = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n"
    path.write_text(put(document, command, lines), encoding="utf-8")
