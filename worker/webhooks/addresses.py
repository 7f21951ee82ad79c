"""Addresses: which addresses a webhook may use, checked on the socket before it connects.

A name is resolved once per connection, and the connection goes to the checked address, so a second resolution cannot
differ from the first (DNS rebinding).  Numeric addresses are checked here, too.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

_NAT64 = ip_network("64:ff9b::/96")
_REFUSED = tuple(  # in addition to Python's own table
    ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
    )
)


class RefusedAddress(OSError):
    """The address is not a public one."""


def is_public(address: str) -> bool:
    """Return whether a text is a public internet address; False if it is not an address."""
    try:
        return _is_public(ip_address(address))
    except ValueError:
        return False


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for a result of getaddrinfo; raises RefusedAddress if the address is not public."""
    family, kind, protocol, _, address = address_info
    if not is_public(str(address[0])):
        raise RefusedAddress("not a public address")  # always the same text: aiohttp joins errors that differ
    return socket.socket(family, kind, protocol)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:  # the embedded address decides
            return _is_public(inner)
        if address.is_site_local:
            return False
    return (
        address.is_global
        and not (address.is_private or address.is_loopback or address.is_link_local or address.is_unspecified)
        and not (address.is_multicast or address.is_reserved)
        and not any(address in network for network in _REFUSED if network.version == address.version)
    )
