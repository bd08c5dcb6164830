"""The driver as a scenario sees it: a method per verb, each act marked in the transcript."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from conformance.probe.obstacle import CannotAct

Facts = Mapping[str, object]


class Driver(Protocol):
    """Whatever can make something happen at the target."""

    @property
    def verbs(self) -> frozenset[str]:
        """The verbs that it offers."""

    async def call(self, verb: str, parameters: Facts) -> Facts:
        """Does the verb; raises CannotAct if it is refused and DriverFault if the driver itself is broken."""


class Verbs:
    """Calls a driver; what it does not offer raises CannotAct."""

    __slots__ = ("_driver", "_mark")

    def __init__(self, driver: Driver, mark: Callable[[str, Facts], None]) -> None:
        self._driver = driver
        self._mark = mark

    def offers(self, verb: str) -> bool:
        """True if the driver has the verb."""
        return verb in self._driver.verbs

    async def publish(self, *, domain_id: str, node_ids: Sequence[str], type: str, payload: Facts) -> str:
        """Publishes a schema-valid event through the ordinary outbox; returns its event id."""
        result = await self._call(
            "publish", {"domain_id": domain_id, "node_ids": list(node_ids), "type": type, "payload": payload}
        )
        return str(result.get("event_id", ""))

    async def restart(self, *, kill: bool = False) -> Facts:
        """Restarts the server, or kills and then starts all that is its own, its relay too."""
        return await self._call("restart", {"kill": True} if kill else {})

    async def stop(self, what: str) -> Facts:
        """Stops the `log` or the `database`."""
        return await self._call("stop", {"what": what})

    async def start(self, what: str) -> Facts:
        """Starts the `log` or the `database` again."""
        return await self._call("start", {"what": what})

    async def evict(self, through: int | None = None) -> Facts:
        """Evicts the log up to and including a sequence (all that is retained without one): `low`, `high`."""
        return await self._call("evict", {} if through is None else {"through": through})

    async def advance_clock(self, seconds: float) -> Facts:
        """Moves the server's clock forward."""
        return await self._call("advance_clock", {"seconds": seconds})

    async def wire(self, port: str, *, wired: bool) -> Facts:
        """Wires or unwires a port."""
        return await self._call("wire", {"port": port, "wired": wired})

    async def signing_key(self, domain_id: str, action: str) -> Facts:
        """`provision`, `withhold` or `rotate` a Domain's signing key."""
        return await self._call("signing_key", {"domain_id": domain_id, "action": action})

    async def drop_streams(self, node_id: str | None = None) -> Facts:
        """Ends the open streams of one Node, or all."""
        return await self._call("drop_streams", {} if node_id is None else {"node_id": node_id})

    async def requests(self, **filters: object) -> Facts:
        """What clients asked and got: `count`, `requests`."""
        return await self._call("requests", filters)

    async def answer(self, **parameters: object) -> Facts:
        """Makes the next answers of an operation a given refusal, or late."""
        return await self._call("answer", parameters)

    async def _call(self, verb: str, parameters: Facts) -> Facts:
        if verb not in self._driver.verbs:
            raise CannotAct(f"the driver does not offer {verb!r}")
        result = await self._driver.call(verb, parameters)
        self._mark(f"driver.{verb}", {"parameters": parameters, "result": result})
        return result
