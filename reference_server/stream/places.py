"""Where the nonces of one event stand on the log (LOG-5): pure, over tables that are JSON as they are."""

import math
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from reference_server.ports import Sighting

# A nonce is `<event id>.<node id>`. One key holds those of an event whose Nodes fall into one share, so that
# a broadcast costs a few writes, and a share of 100,000 Nodes stays below the message size of a server.
_SHARES = 8
_NODES_KNOWN = 65_536

# By Node the lowest sequence; and by `<node id>+`, where the nonce stands again, the newest sequence of those
# below zero: so of both the lowest number wins.
Places: TypeAlias = dict[str, int]
Key: TypeAlias = tuple[str, int]  # an event, and a share of the Nodes
_AGAIN = "+"


def parts(nonce: str) -> tuple[str, str]:
    """The event and the Node of a nonce."""
    event_id, _, node_id = nonce.rpartition(".")
    return event_id, node_id


def see(places: Places, node_id: str, sequence: int) -> Sighting:
    """What a sighting of the Node's nonce is, given all earlier ones; from now on it is one of them."""
    first = places.get(node_id)
    if first is None or sequence < first:
        places[node_id] = sequence
        return Sighting.FIRST
    if sequence == first:
        return Sighting.SAME
    name = node_id + _AGAIN
    places[name] = min(places.get(name, 0), -sequence)
    return Sighting.REPLAY


def is_retained(places: Places, node_id: str, low: int) -> bool:
    """Whether an entry that carries the Node's nonce, known to be here, is at `low` or above."""
    return abs(places[node_id]) >= low or -places.get(node_id + _AGAIN, 0) >= low


def retained(places: Places, low: int) -> Places:
    """What is left of the places once all entries below `low` are gone."""
    if min(places.values(), default=low) >= low:
        return places
    return {name: at for name, at in places.items() if is_retained(places, name, low)}


def lowers(places: Places, stood: Places) -> bool:
    """Whether any of the places is new, or lower than what stood there."""
    return any(stood.get(name, math.inf) > at for name, at in places.items())


def merged(stood: Places, places: Places) -> Places:
    """The lowest of both."""
    return stood | {name: at for name, at in places.items() if stood.get(name, math.inf) > at}


@lru_cache(_NODES_KNOWN)
def _share(node_id: str) -> int:
    return zlib.crc32(node_id.encode()) % _SHARES


def key_of(event_id: str, node_id: str) -> Key:
    """The key that holds a nonce."""
    return event_id, _share(node_id)


def by_share(events: Mapping[str, Places]) -> dict[Key, Places]:
    """The places of some events, none of them repeated, by their keys."""
    shares: dict[Key, Places] = {}
    for event_id, places in events.items():
        for node_id, at in places.items():
            shares.setdefault((event_id, _share(node_id)), {})[node_id] = at
    return shares


def excerpt(events: Mapping[str, Places], nonces: Iterable[tuple[str, str]]) -> dict[Key, Places]:
    """Of these nonces all that is known of their places, by their keys."""
    shares: dict[Key, Places] = {}
    for event_id, node_id in nonces:
        places, share = events[event_id], shares.setdefault(key_of(event_id, node_id), {})
        share |= {name: places[name] for name in (node_id, node_id + _AGAIN) if name in places}
    return shares
