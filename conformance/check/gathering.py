"""How exchanges of other scenarios stand in the transcript of one that gathers."""

from collections.abc import Iterable
from dataclasses import replace

from conformance.probe.transcript import Exchange

# Such an exchange is labelled with this, its scenario's name and its own label.
FROM = "of "


def copies(chosen: Iterable[tuple[str, Exchange]], *, start: int) -> tuple[Exchange, ...]:
    """The exchanges of these scenarios, numbered from `start`."""
    return tuple(
        replace(exchange, id=number, label=f"{FROM}{scenario}: {exchange.label}")
        for number, (scenario, exchange) in enumerate(chosen, start=start)
    )
