"""From the operations table to handlers, and from what they raise to answers (ERR-1…6)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, cast

import structlog

from reference_server import errors
from reference_server.errors import Refusal
from reference_server.ports import Unavailable
from reference_server.wire.messages import Handler, Request, Response, Takeover


class Operation(Protocol):
    """What is needed of a row of the operations table."""

    @property
    def id(self) -> str: ...

    @property
    def served_by(self) -> str | None: ...

    @property
    def unwired(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]: ...


def handlers(
    operations: Iterable[Operation],
    surfaces: Mapping[str, object],
    is_wired: Callable[[str], bool],
    *,
    own_ladder: Collection[str] = (),
) -> Mapping[str, Handler]:
    """A handler for each operation id; 501 with its code where nobody serves it or a port is unwired.

    `own_ladder` names operations whose gates answer that 501 themselves.
    """
    return {
        operation.id: _handler(operation, surfaces, is_wired, operation.id in own_ladder)
        for operation in operations
    }


def _handler(
    operation: Operation, surfaces: Mapping[str, object], is_wired: Callable[[str], bool], own_ladder: bool
) -> Handler:
    surface, _, method = (operation.served_by or "").partition(".")
    if surface not in surfaces:
        return _unserved(operation.unwired)
    serve = cast(Handler, getattr(surfaces[surface], method))
    if own_ladder or not operation.needs:
        return serve

    async def serve_wired(request: Request) -> Response | Takeover:
        if not all(map(is_wired, operation.needs)):
            raise Refusal(operation.unwired)
        return await serve(request)

    return serve_wired


def _unserved(code: str) -> Handler:
    async def refuse(request: Request) -> Response | Takeover:
        raise Refusal(code)

    return refuse


async def answer(handler: Handler, request: Request) -> tuple[Response | Takeover, str | None]:
    """What a handler answers, whatever it raises, and the code where that is a refusal."""
    try:
        return await handler(request), None
    except Refusal as raised:
        refusal = raised
    except Unavailable:
        refusal = Refusal("datastore_unavailable")
    except Exception:
        structlog.get_logger().exception("handler_failed", correlation_id=request.correlation_id)
        refusal = Refusal("internal")
    return problem(refusal, request.path, request.correlation_id), refusal.code


def problem(refusal: Refusal, path: str, correlation_id: str) -> Response:
    """The answer that a refusal is."""
    return Response(
        status=refusal.status,
        body=errors.problem_body(refusal, instance=path, correlation_id=correlation_id),
        content_type=errors.CONTENT_TYPE,
        headers=refusal.headers,
    )
