"""The doors of Domains (contract_facts 3)."""

import msgspec
from msgspec import UNSET, UnsetType

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.api.lists import ListedRow, Lists
from reference_server.control import domains, thresholds
from reference_server.control.domains import Draft, KeyProvision, Patch
from reference_server.control.relations import MANAGE, READ, Kind
from reference_server.errors import Refusal
from reference_server.ports import Ids, Store
from reference_server.wire.messages import Request, Response

# The extension member `signing_key` of a creation (KEY-5).
_NO_KEY = "none"
_KEY_CHOICES = ("active", _NO_KEY)

Policy = dict[str, str]


class _Create(msgspec.Struct):
    """DomainCreateRequest; a missing text is as wrong as an empty one, and no more."""

    name: str = ""
    slug: str = ""
    description: str = ""
    region: str = ""
    mesh_cidr: str = ""
    reachability: Policy | UnsetType = UNSET
    signing_key: str = _KEY_CHOICES[0]


class _Patch(msgspec.Struct, forbid_unknown_fields=True):
    """DomainPatchRequest."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    region: str | UnsetType = UNSET
    mesh_cidr: str | UnsetType = UNSET
    reachability: Policy | UnsetType = UNSET


class Domains:
    """Handlers of `/v1/domains`. `provision` makes a new Domain's first signing key."""

    def __init__(
        self, *, store: Store, ids: Ids, admission: Admission, lists: Lists, provision: KeyProvision
    ) -> None:
        self._store = store
        self._ids = ids
        self._admission = admission
        self._lists = lists
        self._provision = provision

    async def create_domain(self, request: Request) -> Response:
        """POST /v1/domains: `manage` on the platform, then the body."""
        caller = await self._admission.operator(request)
        await self._admission.require_platform(caller, MANAGE)
        asked = body.decode(request.body, _Create, code="invalid_body")
        if asked.signing_key not in _KEY_CHOICES:
            raise Refusal("invalid_domain")
        draft = Draft(
            name=asked.name,
            slug=asked.slug,
            description=asked.description,
            region=asked.region,
            mesh_cidr=asked.mesh_cidr,
            reachability=None if asked.reachability is UNSET else thresholds.read(asked.reachability),
        )
        provision = None if asked.signing_key == _NO_KEY else self._provision
        domain_id = self._ids.uuid7()
        made = await self._store.change(
            [domains.ALL_DOMAINS, domain_id],
            lambda change: domains.create(
                change, domain_id=domain_id, draft=draft, provision=provision, subject=subject_of(caller)
            ),
            correlation_id=request.correlation_id,
        )
        return answer.created(made, location=f"/v1/domains/{domain_id}")

    async def list_domains(self, request: Request) -> Response:
        """GET /v1/domains: those that the caller may read, in slug order."""
        caller = await self._admission.operator(request)

        async def visible(row: ListedRow) -> bool:
            return await self._admission.may(caller, READ, Kind.DOMAIN, row._mapping["id"])

        return await self._lists.answer(
            request,
            caller,
            list_name="domains",
            read=domains.after_slug,
            position=_slug_of,
            render=domains.render,
            visible=visible,
            says_why_empty=True,
        )

    async def get_domain(self, request: Request) -> Response:
        """GET /v1/domains/{id}: the relation before the look-up."""
        caller = await self._admission.operator(request)
        domain_id = path_uuid(request, "id", code="invalid_domain_id")
        await self._admission.require(caller, READ, Kind.DOMAIN, domain_id)
        row = await self._store.read(lambda connection: domains.read(connection, domain_id))
        return answer.ok(domains.render(row))

    async def patch_domain(self, request: Request) -> Response:
        """PATCH /v1/domains/{id}."""
        caller = await self._admission.operator(request)
        domain_id = path_uuid(request, "id", code="invalid_domain_id")
        await self._admission.require(caller, MANAGE, Kind.DOMAIN, domain_id)
        wanted = _patch_of(request.body)
        changed = await self._store.change(
            [domains.ALL_DOMAINS, domain_id],
            lambda change: domains.patch(
                change, domain_id=domain_id, wanted=wanted, subject=subject_of(caller)
            ),
            correlation_id=request.correlation_id,
        )
        return answer.ok(changed)

    async def delete_domain(self, request: Request) -> Response:
        """DELETE /v1/domains/{id}: only an empty one."""
        caller = await self._admission.operator(request)
        domain_id = path_uuid(request, "id", code="invalid_domain_id")
        await self._admission.require(caller, MANAGE, Kind.DOMAIN, domain_id)
        await self._store.change(
            [domain_id],
            lambda change: domains.remove(change, domain_id=domain_id, subject=subject_of(caller)),
            correlation_id=request.correlation_id,
        )
        return answer.EMPTY


def _patch_of(sent: bytes) -> Patch:
    """The patch in a body. Raises Refusal: invalid_body, slug_immutable, empty_patch, and the policy's."""
    document = body.document(sent, code="invalid_body")
    if isinstance(document, dict) and "slug" in document:
        raise Refusal("slug_immutable")
    asked = body.shaped(document, _Patch, code="invalid_body")
    given = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}
    if not given:
        raise Refusal("empty_patch")
    policy = given.pop("reachability", None)
    reachability = None if policy is None else thresholds.read(policy)
    if policy is not None and reachability is None:
        raise Refusal("invalid_reachability_policy")
    return Patch(reachability=reachability, **given)


def _slug_of(row: ListedRow) -> str:
    slug: str = row._mapping["slug"]
    return slug
