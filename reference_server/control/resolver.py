"""The CredentialResolver over the store's Nodes and the configured operators (GATE-5, CRED-1…3)."""

import hmac
from collections.abc import Sequence

from reference_server.control import credentials
from reference_server.control.node_repo import NodeRecords
from reference_server.control.operators import Operators
from reference_server.errors import Refusal
from reference_server.ports import Caller


class StoredCredentials:
    """Turns an Authorization header into a Caller; `key` is the server's, for the hashes of NSKs."""

    __slots__ = ("_key", "_nodes", "_operators")

    def __init__(self, *, nodes: NodeRecords, operators: Operators, key: bytes) -> None:
        self._nodes = nodes
        self._operators = operators
        self._key = key

    async def resolve(self, authorization: Sequence[bytes]) -> Caller:
        """See the port: 401 `unauthenticated`, `nsk_invalid` or `nsk_revoked`."""
        token = credentials.bearer_of(authorization)
        if token is None:
            raise Refusal("unauthenticated")
        if token.startswith(credentials.NSK_PREFIX):
            return await self._node(token)
        if credentials.is_bare_nsk(token):
            raise Refusal("nsk_invalid")
        operator = self._operators.of_token(token)
        if operator is None:
            raise Refusal("unauthenticated")
        return Caller(operator=operator.name)

    async def _node(self, token: bytes) -> Caller:
        given = credentials.parse(token)
        record = None if given is None else await self._nodes.record(given.node_id)
        if given is None or record is None:
            raise Refusal("nsk_invalid")
        hashed = credentials.keyed_hash(self._key, given.node_id, given.secret)
        if not hmac.compare_digest(hashed, record.keyed_hash):
            raise Refusal("nsk_invalid")
        if record.revoked:
            raise Refusal("nsk_revoked")
        return Caller(node_id=given.node_id)
