"""How much of a test there is: short beside the ordinary tests, long in `make faults`."""

import os
from typing import TypeVar

T = TypeVar("T")

VARIABLE = "BUSPROOF_FAULTS"
LONG = os.environ.get(VARIABLE) == "long"


def of(short: T, long: T) -> T:
    """The one that this run asks for."""
    return long if LONG else short
