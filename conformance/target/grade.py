"""What a target lets the suite do (grades) and what an act does to a target (effects)."""

from enum import IntEnum, StrEnum


class Grade(IntEnum):
    """How far a target lets itself be moved (suite.md, "Target and driver")."""

    G0 = 0  # URL and credentials only
    G1 = 1  # something can be made to happen
    G2 = 2  # and the snapshot can be read
    G3 = 3  # and the fault verbs are there


class Effect(StrEnum):
    """What a scenario does to the target."""

    READ = "read"
    WRITE_OWN = "write-own"
    DISRUPTIVE = "disruptive"
