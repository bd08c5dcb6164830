"""Address ranges of Domains and Projects (RFC 4632, contract_facts 1.6 @CIDR)."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

_CIDR = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}|[0-9a-fA-F:]+/[0-9]{1,3}", re.ASCII)
_LONGEST = 49


def read(text: str) -> Network | None:
    """The range; None where the text is no @CIDR, or has bits set beyond its prefix."""
    if len(text) > _LONGEST or not _CIDR.fullmatch(text):
        return None
    try:
        return ip_network(text, strict=True)
    except ValueError:
        return None


def overlaps_any(network: Network, others: Iterable[str]) -> bool:
    """Whether the range shares an address with one of the others (of either family)."""
    return any(network.overlaps(ip_network(other)) for other in others)


def contains(outer: Network, inner: Network) -> bool:
    """Whether every address of `inner` is one of `outer`."""
    if isinstance(outer, IPv4Network) and isinstance(inner, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network):
        return inner.subnet_of(outer)
    return False
