"""What a run tells while it goes on."""

from typing import Protocol

from conformance.check.expand import Plan
from conformance.check.model import Check, Scenario
from conformance.report.record import Opening
from conformance.verdict.result import CheckResult


class Progress(Protocol):
    """Somebody who watches a run."""

    def opened(self, opening: Opening, plan: Plan) -> None:
        """The run begins."""

    def started(self, scenario: Scenario) -> None:
        """A scenario begins."""

    def ended(self, scenario: Scenario) -> None:
        """A scenario is over."""

    def judged(self, check: Check, result: CheckResult) -> None:
        """A check has its verdict; a later one for the same check replaces it."""


class Silent:
    """Watches and says nothing."""

    def opened(self, opening: Opening, plan: Plan) -> None:
        """Nothing."""

    def started(self, scenario: Scenario) -> None:
        """Nothing."""

    def ended(self, scenario: Scenario) -> None:
        """Nothing."""

    def judged(self, check: Check, result: CheckResult) -> None:
        """Nothing."""
