"""The shapes of names that tenancy objects share (contract_facts 1.6, 7.5)."""

import re

_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)

MAX_NAME = 255
MAX_SLUG = 64
MAX_DESCRIPTION = 1024


def name(text: str) -> str | None:
    """A trimmed name of 1 to 255 characters, else None."""
    trimmed = text.strip()
    return trimmed if trimmed and len(text) <= MAX_NAME else None


def is_slug(text: str) -> bool:
    """Whether the text is @KEBAB of 1 to 64 characters."""
    return len(text) <= MAX_SLUG and _KEBAB.fullmatch(text) is not None


def is_description(text: str) -> bool:
    """Whether the text is empty, or at most 1024 characters that are not all white space."""
    return len(text) <= MAX_DESCRIPTION and (not text or bool(text.strip()))
