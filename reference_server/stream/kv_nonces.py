"""The NonceStore that replicas share: one JetStream key-value bucket a layer (LOG-5, LOG-6)."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import trio
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from reference_server.log import direct
from reference_server.log.acknowledged import Ack, Fault
from reference_server.log.nats_link import LogRefused, NatsLink
from reference_server.ports import Appended, Layer, Sighting, Unavailable
from reference_server.stream import places as placing
from reference_server.stream.places import Key, Places

T = TypeVar("T")

_BUCKET = "busproof_nonces_{layer}"
_STREAM = "KV_{bucket}"
_KEY = "$KV.{bucket}.{key}"

# The answers of the newest events are known without asking. An event weighs what it costs beside its Nodes:
# some 100 MB hold a million nonces of broadcasts, or some 170,000 of events for one Node each.
_REMEMBERED = 1_200_000
_EVENT_WEIGHT = 6

# How long a batch of nonces may take.
_ADMIT_SECONDS = 10.0

# The server's code for a key that is not at the revision expected ("wrong last sequence").
_TAKEN = 10071
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"

# Keys looked at in one read once their entries are gone.
_FORGET_AT_ONCE = 1_024
_FORGET_BYTES = 1024 * 1024

_PLACES = msgspec.json.Decoder(Places)


class KvNonces:
    """See NonceStore; every write is acknowledged before it counts, and what is slower is Unavailable.

    The bucket keeps a nonce for `seconds` after its last sighting (0: until `forget_below` passes it).
    """

    shared = True

    def __init__(self, link: NatsLink, layer: Layer, *, forgets: bool) -> None:
        self.layer = layer
        self._link = link
        self._bucket = _BUCKET.format(layer=layer.value)
        self._stream = _STREAM.format(bucket=self._bucket)
        self._forgets = forgets
        self._known: OrderedDict[str, Places] = OrderedDict()
        self._weight = 0
        self._low = 0  # what stands below is forgotten
        self._reading: dict[Key, trio.Event] = {}  # what somebody is having read

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        """See the port."""
        return await self._admit([(*placing.parts(nonce), sequence) for nonce, sequence in sightings])

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        """See the port."""
        sightings = [
            (piece.body.event_id, node_id, sequence)
            for piece in appended
            for sequence, node_id in piece.entries
        ]
        answers = await self._admit(sightings)
        pairs = zip(sightings, answers, strict=True)
        return {sequence for (_, _, sequence), answer in pairs if answer is Sighting.REPLAY}

    async def _admit(self, sightings: Sequence[tuple[str, str, int]]) -> list[Sighting]:
        lowest: dict[str, Places] = {}
        for event_id, node_id, sequence in sightings:
            places = lowest.setdefault(event_id, {})
            if places.get(node_id, math.inf) > sequence:
                places[node_id] = sequence
        before = {event_id: dict(self._alive(self._known.get(event_id, {}))) for event_id in lowest}
        unsure = {
            key: places
            for key, places in placing.by_share(lowest).items()
            if placing.lowers(places, before[key[0]])
        }
        if unsure:
            for (event_id, _), places in (await self._call(partial(self._record, unsure))).items():
                before[event_id] = placing.merged(before[event_id], places)
        answers = [placing.see(before[event_id], node, at) for event_id, node, at in sightings]
        self._remember(before)
        if Sighting.REPLAY in answers:
            pairs = zip(sightings, answers, strict=True)
            repeated = [(event, node) for (event, node, _), answer in pairs if answer is Sighting.REPLAY]
            await self._call(partial(self._record, placing.excerpt(before, repeated)))
        return answers

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        """See the port."""
        return await self._look_up([placing.parts(nonce) for nonce in nonces])

    async def look_up_node(self, node_id: str, event_ids: Sequence[str]) -> Sequence[int | None]:
        """See the port."""
        return await self._look_up([(event_id, node_id) for event_id in event_ids])

    async def _look_up(self, wanted: Sequence[tuple[str, str]]) -> Sequence[int | None]:
        """What many look for at once is read once; a nonce that is not there is asked for each time."""
        found = {pair: at for pair in wanted if (at := self._find(*pair)) is not None}
        missing = {placing.key_of(*pair) for pair in wanted if pair not in found}
        awaited = {key: self._reading[key] for key in missing if key in self._reading}
        read = await self._read_in(missing - awaited.keys())
        for reading in awaited.values():
            await reading.wait()
        if awaited:
            found |= {pair: at for pair in wanted if (at := self._find(*pair)) is not None}
            left = {key for pair in wanted if pair not in found and (key := placing.key_of(*pair)) in awaited}
            read |= await self._read_in(left)
        return [found.get(pair, read.get(placing.key_of(*pair), {}).get(pair[1])) for pair in wanted]

    def _find(self, event_id: str, node_id: str) -> int | None:
        places = self._known.get(event_id)
        at = None if places is None else places.get(node_id)
        if places is None or at is None or at >= self._low:
            return at
        return at if placing.is_retained(places, node_id, self._low) else None

    async def _read_in(self, keys: Collection[Key]) -> dict[Key, Places]:
        """Read some keys and remember them."""
        if not keys:
            return {}
        done = trio.Event()
        self._reading |= dict.fromkeys(keys, done)
        try:
            read = await self._call(partial(self._read, keys))
        finally:
            for key in keys:
                self._reading.pop(key, None)
            done.set()
        fresh: dict[str, Places] = {}
        for (event_id, _), (places, _) in read.items():
            held = fresh.get(event_id) or self._known.get(event_id, {})
            fresh[event_id] = placing.merged(held, places)
        self._remember(fresh)
        return {key: self._alive(places) for key, (places, _) in read.items()}

    async def forget_below(self, low: int) -> None:
        """See the port; with a time to live the bucket forgets by itself, after its entries are gone."""
        if low <= self._low:
            return
        self._low = low
        doubtful = [event for event, places in self._known.items() if next(iter(places.values()), 0) < low]
        for event_id in doubtful:
            if not self._alive(self._known[event_id]):
                self._weigh(event_id, None)
        if self._forgets:
            await self._call(partial(self._drop_below, low))

    def _alive(self, places: Places) -> Places:
        """Those that the log still retains; the others count as forgotten wherever they stand."""
        return placing.retained(places, self._low)

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._link.call(work, seconds=_ADMIT_SECONDS)
        except APIError as refusal:
            raise Unavailable("the nonce store refuses") from refusal

    def _remember(self, events: dict[str, Places]) -> None:
        for event_id, places in events.items():
            self._weigh(event_id, places)
        while self._weight > _REMEMBERED:
            self._weigh(next(iter(self._known)), None)

    def _weigh(self, event_id: str, places: Places | None) -> None:
        """Keep these places of an event, as the newest, or none."""
        held = self._known.pop(event_id, None)
        if held is not None:
            self._weight -= len(held) + _EVENT_WEIGHT
        if places is not None:
            self._known[event_id] = places
            self._weight += len(places) + _EVENT_WEIGHT

    # ---- in the asyncio thread

    async def _record(self, wanted: dict[Key, Places]) -> dict[Key, Places]:
        """Record every place unless a lower one stands there; answers what stood there."""
        stood: dict[Key, Places] = {}
        left = {key: (places, 0) for key, places in wanted.items()}  # the value, and the revision it replaces
        while left:
            taken = await self._write(left)
            found = await self._read(taken)
            left = {}
            for key in taken:
                places, revision = found.get(key, ({}, 0))
                stood[key] = self._alive(places)
                if placing.lowers(wanted[key], stood[key]):
                    left[key] = (placing.merged(stood[key], wanted[key]), revision)
        return stood

    async def _write(self, values: Mapping[Key, tuple[Places, int]]) -> list[Key]:
        """Write values over the revisions that they replace; answers the keys that stood at another."""
        taken: list[Key] = []
        waiting = set(values)
        done = asyncio.Event()
        faults: list[Fault] = []

        def heard(key: Key, ack: Ack) -> None:
            waiting.discard(key)
            if ack.error is not None and ack.error.err_code == _TAKEN:
                taken.append(key)
            elif ack.error is not None:
                faults.append(ack.error)
            if not waiting:
                done.set()

        tokens: list[str] = []
        try:
            for key, (places, revision) in values.items():
                headers = {_EXPECTED: str(revision)}
                value = msgspec.json.encode(places)
                publish = self._link.publisher.publish(
                    self._subject(key), value, headers, partial(heard, key)
                )
                tokens.append(await publish)
            if waiting:
                await done.wait()
        finally:
            for token in tokens if waiting else ():
                self._link.publisher.forget(token)
        if faults:
            raise NatsError(faults[0].description)
        return taken

    async def _read(self, keys: Collection[Key]) -> dict[Key, tuple[Places, int]]:
        """The recorded places and their revisions, of keys that are there."""
        wanted = {self._subject(key): key for key in keys}
        found = await direct.last_of(self._link, list(wanted), stream=self._stream) if wanted else []
        return {wanted[subject]: (_PLACES.decode(value), at) for at, subject, _, value in found}

    def _subject(self, key: Key) -> str:
        return _KEY.format(bucket=self._bucket, key=f"{key[0]}.{key[1]}")

    async def _drop_below(self, low: int) -> None:
        """Purge the beginning of the bucket as far as its nonces are all below `low`."""
        subject = _KEY.format(bucket=self._bucket, key=">")
        start = 1
        while True:
            batch = await direct.next_of(
                self._link, subject, start, entries=_FORGET_AT_ONCE, size=_FORGET_BYTES, stream=self._stream
            )
            gone = 0
            for at, _, _, value in batch.messages:
                if any(abs(place) >= low for place in _PLACES.decode(value).values()):
                    break
                gone, start = gone + 1, at + 1
            if gone:
                await self._link.stream.purge_stream(self._stream, seq=start)
            if gone < len(batch.messages) or not batch.messages:
                return


async def ensure_nonces(
    link: NatsLink, layer: Layer, *, seconds: float, retention_seconds: float, replicas: int = 1
) -> KvNonces:
    """The layer's store, its bucket made or adjusted. Raises LogRefused and Unavailable.

    A nonce lives at least as long as the log retains its entry (LOG-5): a shorter time is refused, and with
    entries that are kept without limit nonces go only when their entries have gone.
    """
    if retention_seconds and seconds < retention_seconds:
        raise LogRefused(
            f"nonces live {seconds:g} s and are forgotten before their entries, kept {retention_seconds:g} s"
        )
    store = KvNonces(link, layer, forgets=not retention_seconds)
    bucket = _BUCKET.format(layer=layer.value)
    config = StreamConfig(
        name=_STREAM.format(bucket=bucket),
        subjects=[_KEY.format(bucket=bucket, key=">")],
        max_msgs_per_subject=1,
        max_age=seconds if retention_seconds else 0,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        num_replicas=replicas,
        allow_direct=True,
        deny_delete=True,
    )
    try:
        present = (await link.call(lambda: link.stream.stream_info(config.name or ""))).config
        changed = present.evolve(max_age=config.max_age, num_replicas=replicas)
        await link.call(lambda: link.stream.update_stream(changed))
    except NotFoundError:
        await _made(link, config)
    except APIError as refusal:
        raise LogRefused(f"the nonce store cannot be adjusted: {refusal.description}") from refusal
    return store


async def _made(link: NatsLink, config: StreamConfig) -> None:
    try:
        await link.call(lambda: link.stream.add_stream(config))
    except APIError as refusal:
        raise LogRefused(f"the nonce store cannot be made: {refusal.description}") from refusal
