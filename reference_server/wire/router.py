"""From a path to its operation: a trie of segments, static before parameter, no expression tried in turn."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reference_server.errors import Refusal
from reference_server.wire import heads
from reference_server.wire.messages import Handler


class Operation(Protocol):
    """What the router knows of a row of the operations table."""

    @property
    def id(self) -> str: ...

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def body_limit(self) -> int: ...

    @property
    def too_large(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation and who answers it. `parameters` are the path's, in order."""

    operation: Operation
    handler: Handler
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The route of a request, and what its path carries."""

    route: Route
    path_parameters: Mapping[str, str]


@dataclass(slots=True)
class _Branch:
    static: "dict[str, _Branch]" = field(default_factory=dict)
    parameter: "_Branch | None" = None
    routes: dict[str, Route] = field(default_factory=dict)
    allow: bytes = b""


class Router:
    """Built once from the operations and their handlers."""

    def __init__(
        self,
        operations: Iterable[Operation],
        handlers: Mapping[str, Handler],
        *,
        without_head: Collection[str] = ("GetNodeEvents",),
    ) -> None:
        """GETs answer HEAD, too, except `without_head` (SSE-10). Raises ValueError for a clash."""
        self._root = _Branch()
        for operation in operations:
            self._add(operation, handlers[operation.id], with_head=operation.id not in without_head)

    def find(self, method: str, segments: Sequence[bytes]) -> Found:
        """The route of escaped path segments. Raises Refusal: 404, 405 with Allow, 400."""
        branch = self._root
        values: list[str] = []
        for segment in segments:
            text = heads.segment_text(segment)
            below = branch.static.get(text)
            if below is None:
                below = branch.parameter
                values.append(text)
            if below is None or not text:
                raise Refusal(None, status=404)
            branch = below
        if not branch.routes:
            raise Refusal(None, status=404)
        route = branch.routes.get(method)
        if route is None:
            raise Refusal(None, status=405, headers=((b"Allow", branch.allow),))
        return Found(route=route, path_parameters=dict(zip(route.parameters, values, strict=True)))

    def _add(self, operation: Operation, handler: Handler, *, with_head: bool) -> None:
        branch = self._root
        parameters: list[str] = []
        for part in operation.path.split("/")[1:]:
            if part.startswith("{"):
                parameters.append(part[1:-1])
                branch.parameter = branch.parameter or _Branch()
                branch = branch.parameter
            else:
                branch = branch.static.setdefault(part, _Branch())
        route = Route(operation=operation, handler=handler, parameters=tuple(parameters))
        methods = ("GET", "HEAD") if operation.method == "GET" and with_head else (operation.method,)
        for method in methods:
            if method in branch.routes:
                raise ValueError(f"two operations for {method} {operation.path}")
            branch.routes[method] = route
        branch.allow = ", ".join(sorted(branch.routes)).encode()
