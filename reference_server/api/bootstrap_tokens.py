"""The doors of bootstrap tokens (contract_facts 3)."""

import uuid

import msgspec
from sqlalchemy import Connection

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.api.lists import ListedRow, Lists, position_by_id
from reference_server.control import bootstrap_tokens, projects
from reference_server.control.bootstrap_tokens import Issued
from reference_server.control.relations import MANAGE, READ, Kind
from reference_server.envelope import instant
from reference_server.ports import Caller, Store
from reference_server.wire.messages import Request, Response

# Operators are names here and UUIDs in BootstrapTokenMetadata: RFC 9562 section 5.5, version 5, under this.
_OPERATOR_NAMESPACE = uuid.UUID("6d0b7f63-5a0c-5d7e-9d3b-2f6c1c0e8a41")


class _Issue(msgspec.Struct):
    """BootstrapTokenIssueRequest."""

    kind: str = ""
    env_prefix: str = ""
    ttl_seconds: int = 0


class BootstrapTokens:
    """Handlers of a Project's bootstrap tokens."""

    def __init__(self, *, store: Store, admission: Admission, lists: Lists) -> None:
        self._store = store
        self._admission = admission
        self._lists = lists

    async def issue_bootstrap_token(self, request: Request) -> Response:
        """POST …/bootstrap-tokens: the plaintext is in this answer and nowhere else."""
        caller, project_id = await self._admitted(request, MANAGE)
        asked = body.decode(request.body, _Issue, code="invalid_body")
        domain_id = await self._domain_of(project_id)
        issued = await self._store.change(
            [domain_id],
            lambda change: bootstrap_tokens.issue(
                change,
                project_id=project_id,
                kind=asked.kind,
                env_prefix=asked.env_prefix,
                ttl_seconds=asked.ttl_seconds,
                issued_by=_issuer(caller),
                subject=subject_of(caller),
            ),
            correlation_id=request.correlation_id,
        )
        location = f"/v1/projects/{project_id}/bootstrap-tokens/{issued.token_id}"
        return answer.created(_rendered(issued), location=location)

    async def list_bootstrap_tokens(self, request: Request) -> Response:
        """GET …/bootstrap-tokens, in the order of their issue."""
        caller, project_id = await self._admitted(request, READ)
        await self._domain_of(project_id)

        def read(connection: Connection, after: str | None, count: int) -> list[ListedRow]:
            return list(bootstrap_tokens.after_id(connection, project_id, after, count))

        return await self._lists.answer(
            request,
            caller,
            list_name=f"bootstrap tokens of {project_id}",
            read=read,
            position=position_by_id,
            render=bootstrap_tokens.render,
        )

    async def get_bootstrap_token_metadata(self, request: Request) -> Response:
        """GET …/bootstrap-tokens/{id}."""
        _, project_id = await self._admitted(request, READ)
        token_id = path_uuid(request, "id", code="invalid_bootstrap_token_id", nil=True)
        await self._domain_of(project_id)
        row = await self._store.read(
            lambda connection: bootstrap_tokens.read(connection, project_id, token_id)
        )
        return answer.ok(bootstrap_tokens.render(row))

    async def revoke_bootstrap_token(self, request: Request) -> Response:
        """DELETE …/bootstrap-tokens/{id}: terminal, and refused the second time."""
        caller, project_id = await self._admitted(request, MANAGE)
        token_id = path_uuid(request, "id", code="invalid_bootstrap_token_id", nil=True)
        domain_id = await self._domain_of(project_id)
        await self._store.change(
            [domain_id],
            lambda change: bootstrap_tokens.revoke(
                change, project_id=project_id, token_id=token_id, subject=subject_of(caller)
            ),
            correlation_id=request.correlation_id,
        )
        return answer.EMPTY

    async def _admitted(self, request: Request, relation: str) -> tuple[Caller, str]:
        caller = await self._admission.operator(request)
        project_id = path_uuid(request, "project_id", code="invalid_project_id")
        await self._admission.require(caller, relation, Kind.PROJECT, project_id)
        return caller, project_id

    async def _domain_of(self, project_id: str) -> str:
        return await self._store.read(lambda connection: projects.domain_of(connection, project_id))


def _issuer(caller: Caller) -> str:
    return str(uuid.uuid5(_OPERATOR_NAMESPACE, str(caller.operator)))


def _rendered(issued: Issued) -> dict[str, str]:
    """BootstrapTokenIssueResponse."""
    return {
        "token_id": issued.token_id,
        "token": issued.plaintext,
        "issued_at": instant.render(issued.issued_at),
        "expires_at": instant.render(issued.expires_at),
    }
