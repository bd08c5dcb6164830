"""EnsureNodeEventsStream: the log as LOG-2 asks for it, made, adjusted, or refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from reference_server.log import subjects
from reference_server.log.nats_link import LogRefused, NatsLink

# LOG-2: how far beyond everything that was ever given out a log begins that had to be made again.
LEAP = 1_000_000

# OUT-6: the largest wire form that ever leaves, with room for subject and headers.
MAX_MESSAGE_BYTES = 512 * 1024 + 4096

# Each replica has one live consumer, each relay none; servers refuse more than they were told of.
_MAX_CONSUMERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an operator chooses; nought means no such limit."""

    replicas: int = 1
    max_bytes: int = 0
    max_age_seconds: float = 0
    duplicate_window_seconds: float = 120


# What an existing stream must have and JetStream does not change, or what would make holes or lose order.
_FIXED: Mapping[str, object] = MappingProxyType(
    {
        "retention": RetentionPolicy.LIMITS,
        "storage": StorageType.FILE,
        "deny_delete": True,
        "sealed": False,
        "no_ack": False,  # a publish must be acknowledged (LOG-3)
        "deny_purge": False,  # a log that was lost is moved beyond by a purge
        "allow_rollup_hdrs": False,  # a publisher could have entries dropped unseen
        "mirror": None,
        "sources": None,  # what is copied in has other message ids
        "subject_transform": None,
    }
)


async def ensure_node_events_stream(link: NatsLink, wanted: Wanted, *, recorded: int) -> StreamInfo:
    """Make the stream, or bring the one that is there to what is wanted; doing it again changes nothing.

    `recorded` is the last sequence of which `sse_relay_cursor` tells: a log below it was lost or made again
    and is moved beyond, so that every old cursor is outside (LOG-2, CUR-7). Raises LogRefused naming the
    field that stands in the way, and Unavailable.
    """
    try:
        info = await link.call(lambda: link.stream.stream_info(subjects.STREAM))
    except NotFoundError:
        first = recorded + LEAP + 1 if recorded else None
        return await _made(link, wanted, first)
    _refuse_unfit(info.config)
    if not _fits(info.config, wanted):
        info = await _adjusted(link, wanted, info.config)
    if info.state.last_seq < recorded:
        await link.call(lambda: link.stream.purge_stream(subjects.STREAM, seq=recorded + LEAP + 1))
        info = await link.call(lambda: link.stream.stream_info(subjects.STREAM))
    return info


def _config(wanted: Wanted, first: int | None = None) -> StreamConfig:
    return StreamConfig(
        name=subjects.STREAM,
        subjects=[subjects.ALL_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_msgs_per_subject=-1,
        max_msgs=-1,
        max_bytes=wanted.max_bytes or -1,
        max_age=wanted.max_age_seconds,
        max_msg_size=-1,
        max_consumers=_MAX_CONSUMERS,
        num_replicas=wanted.replicas,
        duplicate_window=_window(wanted),
        deny_delete=True,
        allow_direct=True,
        first_seq=first,
    )


def _window(wanted: Wanted) -> float:
    """JetStream takes no duplicate window beyond the age of its messages."""
    longest = wanted.max_age_seconds or wanted.duplicate_window_seconds
    return min(wanted.duplicate_window_seconds, longest)


async def _made(link: NatsLink, wanted: Wanted, first: int | None) -> StreamInfo:
    try:
        return await link.call(lambda: link.stream.add_stream(_config(wanted, first)))
    except APIError as refusal:
        raise LogRefused(f"the log cannot be made: {refusal.description}") from refusal


async def _adjusted(link: NatsLink, wanted: Wanted, present: StreamConfig) -> StreamInfo:
    changed = present.evolve(**_adjustable(_config(wanted)))
    try:
        return await link.call(lambda: link.stream.update_stream(changed))
    except APIError as refusal:
        raise LogRefused(f"the log cannot be adjusted: {refusal.description}") from refusal


def _adjustable(config: StreamConfig) -> dict[str, object]:
    names = ("max_bytes", "max_age", "duplicate_window", "num_replicas", "discard", "allow_direct")
    return {name: getattr(config, name) for name in names}


def _fits(present: StreamConfig, wanted: Wanted) -> bool:
    return all(getattr(present, name) == value for name, value in _adjustable(_config(wanted)).items())


def _refuse_unfit(present: StreamConfig) -> None:
    for name, must in _FIXED.items():
        if (getattr(present, name) or (None if must is None else False)) != must:
            raise LogRefused(f"the log {subjects.STREAM} has {name} {getattr(present, name)}, not {must}")
    if list(present.subjects or ()) != [subjects.ALL_SUBJECTS]:
        raise LogRefused(f"the log {subjects.STREAM} has subjects {present.subjects}")
    if (present.max_msgs_per_subject or -1) != -1:
        raise LogRefused(f"the log {subjects.STREAM} has max_msgs_per_subject, which drops entries unseen")
    if 0 < (present.max_consumers or -1) < _MAX_CONSUMERS:
        raise LogRefused(f"the log {subjects.STREAM} has max_consumers below {_MAX_CONSUMERS}")
    if (present.max_msgs or -1) != -1:
        raise LogRefused(f"the log {subjects.STREAM} has max_msgs, which no setting here speaks of")
    if 0 < (present.max_msg_size or -1) < MAX_MESSAGE_BYTES:
        raise LogRefused(f"the log {subjects.STREAM} has max_msg_size below {MAX_MESSAGE_BYTES} (OUT-6)")
