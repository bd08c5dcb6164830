"""The problems table: every code that the server answers with, and its one sentence (ERR-5).

Statuses and codes: contract_facts section 6 and protocol.md; what is marked "ours" has no published code.
A new code is one line in the file of its surface, and one word in openapi/bus.v1.yaml.
"""

from collections.abc import Mapping
from types import MappingProxyType

from reference_server.problems.later import INGEST_SECRETS_CALLBACKS, POLICY_AND_BRIDGE
from reference_server.problems.nodes import ADMISSION, ENROLMENT, NODE_WRITES, STREAM_AND_STATE
from reference_server.problems.row import Problem, phrase
from reference_server.problems.tenancy import TENANCY
from reference_server.problems.unwired import OUR_UNWIRED, PUBLISHED_UNWIRED, UNWIRED

__all__ = ["OUR_UNWIRED", "PROBLEMS", "PUBLISHED_UNWIRED", "UNCODED", "Problem"]

PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        **ADMISSION,
        **STREAM_AND_STATE,
        **NODE_WRITES,
        **INGEST_SECRETS_CALLBACKS,
        **ENROLMENT,
        **TENANCY,
        **POLICY_AND_BRIDGE,
        **UNWIRED,
    }
)

# Refusals that have no code: `about:blank` with the status's own phrase (ERR-2, ERR-6).
UNCODED: Mapping[int, Problem] = MappingProxyType(
    {
        400: phrase(400, "The request is not one that this server can read."),
        404: phrase(404, "There is nothing at this path."),
        405: phrase(405, "This path does not take this method; Allow lists those that it takes."),
        406: phrase(406, "The Accept header excludes what this path answers with."),
        408: phrase(408, "The request did not arrive in time."),
        411: phrase(411, "The length of the body has to be announced."),
        413: phrase(413, "The body is larger than this server takes.", title="Payload Too Large"),
        414: phrase(414, "The request target is longer than this server takes."),
        415: phrase(415, "This operation does not take this kind of body."),
        417: phrase(417, "The expectation cannot be met."),
        429: phrase(429, "Too many requests; wait.", retry=True),
        431: phrase(431, "The request head is larger than this server takes."),
        500: phrase(500, "The server failed; name the correlation id when you report it."),
        501: phrase(501, "This server does not implement what the request asks for."),
        503: phrase(503, "The server cannot answer now; try again.", retry=True),
        505: phrase(505, "This server speaks HTTP/1.1 and HTTP/1.0."),
    }
)
