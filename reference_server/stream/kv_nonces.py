"""The NonceStore that replicas share: one JetStream key-value bucket a layer (LOG-5, LOG-6)."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from reference_server.log import direct, subjects
from reference_server.log.nats_link import LogRefused, NatsLink
from reference_server.ports import Appended, Layer, Sighting, Unavailable

T = TypeVar("T")

_BUCKET = "busproof_nonces_{layer}"
_STREAM = "KV_{bucket}"
_KEY = "$KV.{bucket}.{nonce}"

# The answers of the newest nonces are known without asking: some 200 bytes each.
_REMEMBERED = 100_000

# Nonces written side by side, and how long a batch of them may take.
_AT_ONCE = 512
_ADMIT_SECONDS = 10.0

# The server's code for a key that is already there ("wrong last sequence").
_TAKEN = 10071
_EXPECT_NONE = {"Nats-Expected-Last-Subject-Sequence": "0"}

# Nonces dropped in one look once their entries are gone.
_FORGET_AT_ONCE = 1_024
_FORGET_BYTES = 256 * 1024


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
        self._known: OrderedDict[str, int] = OrderedDict()

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        """See the port."""
        if not sightings:
            return []
        lowest: dict[str, int] = {}
        for nonce, sequence in sightings:
            lowest[nonce] = min(sequence, lowest.get(nonce, sequence))
        unknown = {nonce: at for nonce, at in lowest.items() if self._known.get(nonce, math.inf) > at}
        before: dict[str, int | None] = {nonce: self._known.get(nonce) for nonce in lowest}
        if unknown:
            before |= await self._call(partial(self._enter_all, unknown))
        repeated = [nonce for nonce, at in sightings if at > _first(before[nonce], lowest[nonce])]
        if repeated:
            held = {nonce: _first(before[nonce], lowest[nonce]) for nonce in repeated}
            await self._call(partial(self._refresh_all, held))
        return self._answers(sightings, before)

    def _answers(
        self, sightings: Sequence[tuple[str, int]], before: dict[str, int | None]
    ) -> Sequence[Sighting]:
        """What each is, one after the other, given what was recorded before all of them."""
        answers: list[Sighting] = []
        for nonce, sequence in sightings:
            first = before[nonce]
            if first is None or sequence < first:
                answers.append(Sighting.FIRST)
                before[nonce] = sequence
                self._remember(nonce, sequence)
            else:
                answers.append(Sighting.SAME if sequence == first else Sighting.REPLAY)
        return answers

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        """See the port."""
        sightings = [
            (subjects.message_id(piece.body.event_id, node_id), sequence)
            for piece in appended
            for sequence, node_id in piece.entries
        ]
        answers = await self.admit(sightings)
        pairs = zip(sightings, answers, strict=True)
        return {sequence for (_, sequence), answer in pairs if answer is Sighting.REPLAY}

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        """See the port."""
        unknown = [nonce for nonce in nonces if nonce not in self._known]
        found: dict[str, int | None] = {}
        if unknown:
            found = await self._call(partial(self._read_all, unknown))
        return [self._known.get(nonce, found.get(nonce)) for nonce in nonces]

    async def look_up_node(self, node_id: str, event_ids: Sequence[str]) -> Sequence[int | None]:
        """See the port."""
        return await self.look_up([subjects.message_id(event_id, node_id) for event_id in event_ids])

    async def forget_below(self, low: int) -> None:
        """See the port; with a time to live the bucket forgets by itself, after its entries are gone."""
        for nonce in [nonce for nonce, at in self._known.items() if at < low]:
            del self._known[nonce]
        if self._forgets:
            await self._call(partial(self._drop_below, low))

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._link.call(work, seconds=_ADMIT_SECONDS)
        except APIError as refusal:
            raise Unavailable("the nonce store refuses") from refusal

    def _remember(self, nonce: str, sequence: int) -> None:
        self._known[nonce] = sequence
        self._known.move_to_end(nonce)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    # ---- in the asyncio thread

    async def _enter_all(self, lowest: dict[str, int]) -> dict[str, int | None]:
        """Record every nonce under its sequence unless a lower one stands there; answers what stood there."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def enter(nonce: str, sequence: int) -> int | None:
            async with places:
                return await self._enter(nonce, sequence)

        stood = await asyncio.gather(*(enter(nonce, at) for nonce, at in lowest.items()))
        return dict(zip(lowest, stood, strict=True))

    async def _enter(self, nonce: str, sequence: int) -> int | None:
        while True:
            if await self._wrote(nonce, sequence, _EXPECT_NONE):
                return None
            found = await self._read(nonce)
            if found is None:
                continue  # it expired in between
            first, revision = found
            if first <= sequence or await self._wrote(nonce, sequence, _expect(revision)):
                return first

    async def _refresh_all(self, held: dict[str, int]) -> None:
        """Begin the time to live of replayed nonces anew: their repetition is retained longer than they."""
        for nonce, first in held.items():
            found = await self._read(nonce)
            if found is not None and found[0] <= first:
                await self._wrote(nonce, found[0], _expect(found[1]))

    async def _wrote(self, nonce: str, sequence: int, expected: dict[str, str]) -> bool:
        key = _KEY.format(bucket=self._bucket, nonce=nonce)
        try:
            await self._link.stream.publish(key, str(sequence).encode(), headers=dict(expected))
        except APIError as refusal:
            if refusal.err_code == _TAKEN:
                return False
            raise
        return True

    async def _read(self, nonce: str) -> tuple[int, int] | None:
        """The recorded sequence and its revision."""
        key = _KEY.format(bucket=self._bucket, nonce=nonce)
        try:
            message = await self._link.stream.get_last_msg(self._stream, key, direct=True)
        except NotFoundError:
            return None
        if message.data is None or message.seq is None:
            raise NatsError
        return int(message.data), message.seq

    async def _read_all(self, nonces: Sequence[str]) -> dict[str, int | None]:
        found = await asyncio.gather(*(self._read(nonce) for nonce in nonces))
        return {nonce: None if at is None else at[0] for nonce, at in zip(nonces, found, strict=True)}

    async def _drop_below(self, low: int) -> None:
        """Purge the beginning of the bucket as far as its nonces are all below `low`."""
        subject = _KEY.format(bucket=self._bucket, nonce=">")
        start = 1
        while True:
            batch = await direct.next_of(
                self._link, subject, start, entries=_FORGET_AT_ONCE, size=_FORGET_BYTES, stream=self._stream
            )
            gone = 0
            for at, _, _, value in batch.messages:
                if int(value) >= low:
                    break
                gone, start = gone + 1, at + 1
            if gone:
                await self._link.stream.purge_stream(self._stream, seq=start)
            if gone < len(batch.messages) or not batch.messages:
                return


def _first(before: int | None, lowest: int) -> int:
    return lowest if before is None else min(before, lowest)


def _expect(revision: int) -> dict[str, str]:
    return {"Nats-Expected-Last-Subject-Sequence": str(revision)}


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
        subjects=[_KEY.format(bucket=bucket, nonce=">")],
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
