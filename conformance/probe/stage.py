"""The stage: everything a scenario may do to a target. Bytes and acts are recorded, nothing is judged."""

import base64
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import trio

from conformance.probe.client import Client
from conformance.probe.grounds import Grounds
from conformance.probe.node import DomainHandle, NodeHandle
from conformance.probe.obstacle import CannotAct
from conformance.probe.recorder import Recorder, Tape
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Ending, Exchange, Transcript
from conformance.probe.vault import MIN_SECRET, Vault
from conformance.probe.verbs import Driver, Verbs
from conformance.target.model import Claims, Identity, Target

# An ordinary answer comes within milliseconds; the longest door limit of the contract is 30 s, no scenario
# waits for it unless it says so.
REQUEST_SECONDS = 15.0

CURSOR_HEADER = "Last-Event-ID"
STREAM_TYPE = "text/event-stream"

Headers = Iterable[tuple[str, str]]


class Stage:
    """One scenario's hands. Made by the runner; `rng` is seeded by run seed and scenario name."""

    def __init__(
        self,
        *,
        target: Target,
        claims: Claims,
        client: Client,
        recorder: Recorder,
        vault: Vault,
        driver: Driver,
        grounds: Grounds,
        rng: random.Random,
        nursery: trio.Nursery,
    ) -> None:
        self.target = target
        self.claims = claims
        self.rng = rng
        self.driver = Verbs(driver, recorder.mark)
        self._client = client
        self._recorder = recorder
        self._vault = vault
        self._grounds = grounds
        self._nursery = nursery
        self._identities: dict[str, Identity] = {}

    def identity(self, label: str) -> Identity:
        """The identity of that label: of the target, or of a Node made here. Raises CannotAct."""
        known = self._identities.get(label) or self.target.identity(label)
        if known is None:
            raise CannotAct(f"the target file has no identity {label!r}")
        return known

    def has(self, label: str) -> bool:
        """True if requests can be sent as that identity."""
        return label in self._identities or self.target.identity(label) is not None

    def present(self, label: str, credential: str) -> str:
        """Lets requests be sent under a credential of the scenario's own making; returns `label`."""
        if len(credential) >= MIN_SECRET:
            self._vault.add(f"{self._recorder.scenario}.{label}", credential)
        self._identities[label] = Identity(label=label, credential=credential)
        return label

    def mark(self, name: str, **facts: object) -> None:
        """Notes a fact, with the time, in the transcript."""
        self._recorder.mark(name, facts)

    async def request(
        self,
        label: str,
        method: str,
        path: str,
        *,
        identity: str = "none",
        headers: Headers = (),
        body: bytes | None = None,
        json: object = None,
        replica: int | None = None,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109  # part of what is recorded: its end is Ending.TIMEOUT
    ) -> Exchange:
        """Sends one request, reads the whole answer and returns the exchange; never raises for the answer.

        `replica` is one of the target's `base_urls`, by its place.
        """
        authorised = (*self._authorisation(identity), *headers)
        request = self._client.build(
            method, path, headers=authorised, body=body, json=json, base_url=self._replica(replica)
        )
        tape = self._recorder.open(
            label,
            identity=identity,
            method=method,
            target=request.url.raw_path.decode("ascii"),
            headers=_pairs(request.headers.raw),
            body=request.content,
        )
        with trio.move_on_after(timeout):
            await self._client.drive(request, tape)
        tape.end(Ending.TIMEOUT)
        return self._recorder.exchange(tape)

    async def raw(
        self,
        label: str,
        data: bytes,
        *,
        identity: str = "none",
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109  # as above
    ) -> Exchange:
        """Sends bytes as they are on a connection of their own and reads until the answer is whole.

        `identity` only names the caller in the transcript: an Authorization header must stand in `data`
        (`stage.bearer(identity)`).
        """
        tape = self._raw_tape(label, data, identity)
        with trio.move_on_after(timeout):
            await self._client.drive_raw(data, tape)
        tape.end(Ending.TIMEOUT)
        return self._recorder.exchange(tape)

    @asynccontextmanager
    async def stream(
        self,
        label: str,
        *,
        identity: str = "node_a",
        node: str | NodeHandle | None = None,
        cursor: int | str | None = None,
        headers: Headers = (),
        http_version: str = "1.1",
        replica: int | None = None,
    ) -> AsyncIterator[StreamProbe]:
        """Opens `GET /v1/nodes/{id}/events` and observes it until the block ends.

        `node` is the Node's id or handle, by default the identity's own. `http_version` may be "1.0".
        `replica` is one of the target's `base_urls`, by its place (with 1.1 alone).
        """
        path = f"/v1/nodes/{quote(self.node_id(node, identity), safe='-')}/events"
        asked = (*self._authorisation(identity), *_stream_headers(cursor, tuple(headers)))
        if http_version == "1.1":
            probe = self._open_stream(label, identity, path, asked, replica)
        else:
            probe = self._open_raw_stream(label, identity, path, asked, http_version)
        try:
            yield probe
            await probe.refused_in_full()
        finally:
            probe.leave()
            with trio.CancelScope(shield=True):
                await probe.finished.wait()

    async def fresh_domain(self, name: str, *, signing_key: str = "active") -> DomainHandle:
        """A Domain of the scenario's own, made through the operator surface. Raises CannotAct."""
        return await self._grounds.domain(self.request, name, signing_key=signing_key)

    def slug(self, name: str) -> str:
        """A slug of our own, for a Domain that the scenario creates by a request of its own making."""
        return self._grounds.slug(name)

    def settled(self, slug: str, domain_id: str | None) -> None:
        """What became of that slug: a Domain, to be removed with the others, or None."""
        self._grounds.settled(slug, domain_id)

    def took_node(self, domain_id: str, node_id: str) -> None:
        """A Node that such a request created in a Domain of ours, to be removed with it."""
        self._grounds.took_node(domain_id, node_id)

    async def fresh_node(self, name: str, domain: str = "own") -> NodeHandle:
        """A Node of the scenario's own in its `own` Domain, its `other` one, or one made by `fresh_domain`.

        Requests are sent as it under the identity label `name`. Raises CannotAct.
        """
        node = await self._grounds.node(self.request, name, domain)
        self.adopt(node)
        return node

    def adopt(self, node: NodeHandle) -> None:
        """Makes the Node's credential known: as an identity, and to the vault."""
        self._vault.add(f"{self._recorder.scenario}.{node.identity}", node.credential)
        self._identities[node.identity] = Identity(
            label=node.identity, credential=node.credential, node_id=node.id, domain_id=node.domain_id
        )

    async def put_entry(
        self,
        node: str | NodeHandle,
        key: str,
        value: str,
        *,
        label: str | None = None,
        bucket: str = "metadata",
    ) -> Exchange:
        """Writes a state entry as the operator: the way to make something happen at G1. Raises CannotAct."""
        node_id = self.node_id(node, "operator")
        exchange = await self.request(
            label or f"put {bucket} {key} #{self._grounds.count()}",
            "PUT",
            f"/v1/nodes/{node_id}/state/{bucket}/{quote(key, safe='')}",
            identity="operator",
            json={"value": value},
        )
        if exchange.head is None or exchange.head.status not in (200, 201, 204):
            status = "nothing" if exchange.head is None else exchange.head.status
            raise CannotAct(f"writing a state entry was answered {status}")
        self.mark("entry", node_id=node_id, bucket=bucket, key=key, value=value)
        return exchange

    @property
    def one(self) -> int | None:
        """One replica to stay with, for what each remembers by itself; None where there is one address."""
        return 0 if self.target.base_urls else None

    def node_id(self, node: str | NodeHandle | None, identity: str) -> str:
        """The id meant by `node`, by default the identity's own Node. Raises CannotAct."""
        if isinstance(node, NodeHandle):
            return node.id
        own = node or self.identity(identity).node_id
        if own is None:
            raise CannotAct(f"the identity {identity!r} belongs to no Node")
        return own

    def bearer(self, identity: str) -> str:
        """The value of the Authorization header of an identity, for bytes made by hand. Raises CannotAct."""
        credential = self.identity(identity).credential
        if credential is None:
            raise CannotAct(f"the identity {identity!r} has no credential")
        return f"Bearer {credential}"

    @property
    def canary(self) -> str:
        """This run's planted secret: a well-formed credential that no server knows."""
        return self._vault.canary

    def transcript(self) -> Transcript:
        """What was recorded so far, redacted."""
        return self._recorder.transcript()

    def excerpt(self, beginning: str) -> Transcript:
        """What was recorded under labels that begin so, not redacted: never to be written anywhere."""
        return self._recorder.excerpt(beginning)

    def _authorisation(self, identity: str) -> tuple[tuple[str, str], ...]:
        if self.identity(identity).credential is None:
            return ()
        return (("Authorization", self.bearer(identity)),)

    def _replica(self, place: int | None) -> str:
        return "" if place is None else self.target.base_urls[place]

    def _open_stream(
        self,
        label: str,
        identity: str,
        path: str,
        headers: tuple[tuple[str, str], ...],
        replica: int | None,
    ) -> StreamProbe:
        request = self._client.build("GET", path, headers=headers, base_url=self._replica(replica))
        target = request.url.raw_path.decode("ascii")
        sent = _pairs(request.headers.raw)
        tape = self._recorder.open(label, identity=identity, method="GET", target=target, headers=sent)
        probe = StreamProbe(tape)
        self._nursery.start_soon(probe.pump, lambda: self._client.drive(request, tape))
        return probe

    def _open_raw_stream(
        self, label: str, identity: str, path: str, headers: tuple[tuple[str, str], ...], version: str
    ) -> StreamProbe:
        request = self._client.build("GET", path, headers=headers)
        lines = [f"GET {request.url.raw_path.decode('ascii')} HTTP/{version}".encode()]
        lines += [name + b": " + value for name, value in request.headers.raw]
        data = b"\r\n".join(lines) + b"\r\n\r\n"
        tape = self._raw_tape(label, data, identity)
        probe = StreamProbe(tape)
        self._nursery.start_soon(probe.pump, lambda: self._client.drive_raw(data, tape))
        return probe

    def _raw_tape(self, label: str, data: bytes, identity: str) -> Tape:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target = (*first.split(" "), "", "")[:2]
        pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return self._recorder.open(
            label, identity=identity, method=method, target=target, headers=pairs, body=body, raw=data
        )


def fresh_public_key(rng: random.Random) -> str:
    """A Node's public key as the contract writes it: standard base64 of 32 bytes."""
    return base64.b64encode(rng.randbytes(32)).decode("ascii")


def renamed(node: NodeHandle, identity: str) -> NodeHandle:
    """The same Node under another identity label."""
    return replace(node, identity=identity)


def _stream_headers(
    cursor: int | str | None, headers: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    given = {name.lower() for name, _ in headers}
    accept = () if "accept" in given else (("Accept", STREAM_TYPE),)
    resume = () if cursor is None else ((CURSOR_HEADER, str(cursor)),)
    return (*accept, *resume, *headers)


def _pairs(raw: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
