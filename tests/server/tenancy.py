"""A server without sockets for the tests of tenancy and enrolment: the real store, the real doors."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from reference_server import errors
from reference_server.api.admission import Admission
from reference_server.api.bootstrap_tokens import BootstrapTokens
from reference_server.api.domains import Domains
from reference_server.api.enrolment import Enrolment
from reference_server.api.lists import Lists
from reference_server.api.nodes import Nodes
from reference_server.api.pages import Pages
from reference_server.api.projects import Projects
from reference_server.api.resources import Resources
from reference_server.clock import SystemClock
from reference_server.control import signing_keys
from reference_server.control.enrolment import Minting
from reference_server.control.node_repo import NodeRecords
from reference_server.control.operators import Operators
from reference_server.control.relations import Grant, GrantedRelations, StoredPlaces, grant
from reference_server.control.resolver import StoredCredentials
from reference_server.envelope.keyring import Keyring, Purpose
from reference_server.ids import Uuid7Ids
from reference_server.ports import Change, Unavailable
from reference_server.store.engine import MEMORY, SqliteStore
from reference_server.wire.messages import Request, Response

ROOT_TOKEN = "root-token-of-the-tests"
STALE_LIMIT = timedelta(seconds=300)


class Interruptible:
    """The real store, whose reads and changes can be made to fail as in an outage."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.away = False
        self.reads = 0

    async def change(self, domains: Sequence[str], work: Any, *, correlation_id: str | None = None) -> Any:
        self._check()
        return await self._store.change(domains, work, correlation_id=correlation_id)

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        self._check()
        self.reads += 1
        return await self._store.read(work)

    shared = False

    def counted(self, _connection: Connection, domain_id: str) -> int:
        return self.version(domain_id)

    def version(self, domain_id: str) -> int:
        return self._store.version(domain_id)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("away for the test")


@dataclass(kw_only=True)
class Tenancy:
    """Everything of one server that these tests talk to."""

    store: Interruptible
    clock: SystemClock
    operators: Operators
    nodes: NodeRecords
    relations: GrantedRelations
    resolver: StoredCredentials
    admission: Admission
    pages: Pages
    minting: Minting
    keyring: Keyring
    doors: dict[str, Any]
    revoked: list[str] = field(default_factory=list)

    def operator(self, name: str, *grants: tuple[str, str]) -> str:
        """Enrol an operator and answer its token."""
        token = f"token-of-{name}-in-the-tests"
        granted: list[Grant] = [grant(relation, on) for relation, on in grants]
        self.operators.enrol(name=name, token=token, grants=granted)
        return token

    async def call(
        self,
        door: str,
        *,
        token: str | None = ROOT_TOKEN,
        body: object = None,
        query: Mapping[str, tuple[str, ...]] | None = None,
        **path_parameters: Any,
    ) -> "Answer":
        """Call `surface.method`; a Refusal comes back as the problem that it is on the wire."""
        surface, method = door.split(".")
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = () if token is None else ((b"authorization", b"Bearer " + token.encode()),)
        asked = request(headers=headers, body=sent, query=query or {}, path_parameters=path_parameters)
        try:
            return Answer(response=await getattr(self.doors[surface], method)(asked))
        except errors.Refusal as refusal:
            return Answer(refusal=refusal)

    async def scalar(self, statement: Any) -> Any:
        """Read one value."""
        return await self.store.read(lambda connection: connection.execute(statement).scalar())

    async def rows(self, statement: Any) -> list[Any]:
        """Read rows."""
        found: list[Any] = await self.store.read(lambda connection: list(connection.execute(statement).all()))
        return found

    async def count(self, table: Any) -> int:
        """How many rows a table holds."""
        return int(await self.scalar(select(func.count()).select_from(table)))

    async def domain(self, slug: str = "acme", cidr: str = "10.1.0.0/24", **more: Any) -> str:
        """Create a Domain and answer its id."""
        made = await self.call(
            "domains.create_domain", body={"name": slug, "slug": slug, "mesh_cidr": cidr, **more}
        )
        return str(made.json(201)["id"])

    async def project(self, domain_id: str, slug: str = "shop", **more: object) -> str:
        """Create a Project and answer its id."""
        body = {"domain_id": domain_id, "name": slug, "slug": slug, **more}
        return str((await self.call("projects.create_project", body=body)).json(201)["id"])

    async def resource(self, project_id: str, handle: str = "edge-1", kind: str = "vm") -> str:
        """Adopt a Resource and answer its id."""
        body = {"origin": "adopted", "kind": kind, "external_ref": handle}
        made = await self.call("resources.create_resource", body=body, project_id=project_id)
        return str(made.json(201)["id"])

    async def bootstrap_token(self, project_id: str, kind: str = "node") -> str:
        """Issue a bootstrap token and answer its plaintext."""
        body = {"kind": kind, "env_prefix": "test", "ttl_seconds": 300}
        made = await self.call("bootstrap_tokens.issue_bootstrap_token", body=body, project_id=project_id)
        return str(made.json(201)["token"])

    async def node(self, domain_id: str, seed: str = "one", **more: object) -> dict[str, Any]:
        """Create a Node by the operator's door and answer its RegisterResponse."""
        body = {"public_key": public_key(seed), **more}
        return (await self.call("enrolment.create_domain_node", body=body, id=domain_id)).json(201)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a door gave: a response or a refusal."""

    response: Response | None = None
    refusal: errors.Refusal | None = None

    @property
    def outcome(self) -> tuple[int, str | None]:
        """Status and code."""
        if self.refusal is not None:
            return self.refusal.status, self.refusal.code
        assert self.response is not None
        return self.response.status, None

    def json(self, status: int = 200) -> dict[str, Any]:
        """The body of an answer with this status."""
        assert self.outcome == (status, None), self.outcome
        assert self.response is not None
        document: dict[str, Any] = json.loads(self.response.body)
        return document

    def problem(self) -> dict[str, Any]:
        """The body of a refusal."""
        assert self.refusal is not None
        body = errors.problem_body(self.refusal, instance="/here", correlation_id="c-1")
        document: dict[str, Any] = json.loads(body)
        return document


_BLANK = Request(
    method="GET",
    path="/here",
    target=b"/here",
    query={},
    headers=(),
    body=b"",
    http_version=b"1.1",
    client="127.0.0.1",
    correlation_id="c-1",
)


def request(**more: Any) -> Request:
    """A request as the connection would hand it over."""
    return replace(_BLANK, **more)


def public_key(seed: str) -> str:
    """A WireGuard key of its own for every seed."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


@asynccontextmanager
async def opened() -> AsyncIterator[Tenancy]:
    """A server of its own, over a store in memory; the operator `root` manages everything."""
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    real = await SqliteStore.open(MEMORY, clock=clock, ids=ids)
    try:
        tenancy = _composed(Interruptible(real), clock, ids)
        tenancy.operators.enrol(name="root", token=ROOT_TOKEN, grants=[grant("manage", "*")])
        yield tenancy
    finally:
        await real.aclose()


def _composed(store: Interruptible, clock: SystemClock, ids: Uuid7Ids) -> Tenancy:
    keyring = Keyring(bytes(range(32)))
    key = keyring.derived(Purpose.CREDENTIALS)
    operators = Operators(key)
    nodes = NodeRecords(store=store, clock=clock, stale_limit=STALE_LIMIT)
    relations = GrantedRelations(granted=operators.grants_of, places=StoredPlaces(store=store, nodes=nodes))
    resolver = StoredCredentials(nodes=nodes, operators=operators, key=key)
    admission = Admission(credentials=resolver, relations=relations)
    pages = Pages(keyring.derived(Purpose.CURSORS))
    lists = Lists(store=store, pages=pages)
    minting = Minting(key=key, environment="test", seal=keyring.seal)
    revoked: list[str] = []

    def provision(change: Change, domain_id: str) -> None:
        signing_keys.provision(change, domain_id, keyring=keyring, subject="operator:root")

    return Tenancy(
        store=store,
        clock=clock,
        operators=operators,
        nodes=nodes,
        relations=relations,
        resolver=resolver,
        admission=admission,
        pages=pages,
        minting=minting,
        keyring=keyring,
        revoked=revoked,
        doors={
            "domains": Domains(store=store, ids=ids, admission=admission, lists=lists, provision=provision),
            "projects": Projects(store=store, admission=admission, lists=lists),
            "resources": Resources(store=store, admission=admission, lists=lists),
            "bootstrap_tokens": BootstrapTokens(store=store, admission=admission, lists=lists),
            "enrolment": Enrolment(store=store, admission=admission, minting=minting),
            "nodes": Nodes(store=store, admission=admission, lists=lists, on_revoked=revoked.append),
        },
    )
