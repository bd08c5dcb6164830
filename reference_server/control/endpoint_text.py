"""Endpoints as agents report them: an IP address and a port, never a name (PUT endpoint)."""

import re
from ipaddress import IPv4Address, IPv6Address

# Digits without leading zero; the range is checked apart.
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4})", re.ASCII)
_HIGHEST_PORT = 65_535
_BROADCAST = IPv4Address("255.255.255.255")


class NotAnEndpoint(ValueError):
    """The text is no address and port that a Peer could be reached at."""


def parse(text: str) -> str:
    """The endpoint in its one spelling: dotted quad, or RFC 5952 in brackets, and a port from 1 to 65535.

    Raises NotAnEndpoint, also for loopback, link-local, unspecified, multicast and broadcast addresses.
    """
    match = _ENDPOINT.fullmatch(text)
    if match is None or int(match[3]) > _HIGHEST_PORT:
        raise NotAnEndpoint("not ip:port")
    try:
        address = IPv6Address(match[1]) if match[1] is not None else IPv4Address(match[2])
    except ValueError:
        raise NotAnEndpoint("not an IP address") from None
    if not _reaches_a_peer(address):
        raise NotAnEndpoint("not an address of a single other host")
    return f"[{address}]:{match[3]}" if isinstance(address, IPv6Address) else f"{address}:{match[3]}"


def _reaches_a_peer(address: IPv4Address | IPv6Address) -> bool:
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if inner is not None:
        return _reaches_a_peer(inner)
    local = address.is_loopback or address.is_link_local or address.is_unspecified
    return not (local or address.is_multicast or address == _BROADCAST)
