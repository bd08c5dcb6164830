"""Where a test finds the server that its fixture started."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where the server is, and what its credentials file says."""

    url: str
    credentials: dict[str, Any]

    @property
    def operator(self) -> str:
        """The token of the operator who may do everything."""
        return str(self.credentials["operators"]["root"]["token"])
