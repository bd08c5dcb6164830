"""Why a scenario could not act: an obstacle is no finding about the target."""


class CannotAct(Exception):
    """The grade, the identities or the operator surface lack what the act needs: not_testable."""


class DriverFault(Exception):
    """The driver broke its own protocol or lied: a fault of the set-up, never of the target."""
