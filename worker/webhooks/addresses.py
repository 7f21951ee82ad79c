"""Addresses: which addresses a webhook may use, checked on the socket before it connects.

A name is resolved once per connection, and the connection goes to the checked address, so a second resolution cannot
differ from the first (DNS rebinding).  Numeric addresses are checked here, too.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple


class Refused(NamedTuple):
    """A network that no webhook may use, why, and the document that says so."""

    network: IPv4Network | IPv6Network
    what: str
    source: str


def _refused(network: str, what: str, source: str) -> Refused:
    return Refused(ip_network(network), what, source)


_NOBODY_S = ("192.0.2.1", "2001:db8::1")  # of documentation: if it can be bound, the kernel lets any be bound
_NAT64 = ip_network("64:ff9b::/96")
# fmt: off
REFUSED = (  # in addition to Python's own table of the IANA registries
    # cloud providers' metadata and host services; some are in ranges that are refused in any case
    _refused("169.254.0.0/16", "link-local; metadata of most clouds", "RFC 3927; AWS EC2 User Guide"),
    _refused("169.254.170.0/24", "credentials of AWS containers", "AWS ECS Developer Guide"),
    _refused("168.63.129.16/32", "Azure's host", "Microsoft: What is IP address 168.63.129.16"),
    _refused("100.100.100.200/32", "metadata of Alibaba Cloud", "Alibaba Cloud: ECS instance metadata"),
    _refused("192.0.0.192/32", "metadata of Oracle Cloud, earlier address", "Oracle Cloud Classic: instance metadata"),
    _refused("fd00:ec2::/32", "metadata, DNS and time of AWS over IPv6", "AWS EC2 User Guide"),
    _refused("fd20:ce::/32", "metadata of Google Cloud over IPv6", "Google Cloud: Compute metadata server"),
    # reserved ranges that Python's table lacks in some versions
    _refused("192.0.0.0/24", "IETF protocol assignments", "RFC 6890"),
    _refused("192.88.99.0/24", "6to4 relays", "RFC 7526"),
    _refused("64:ff9b:1::/48", "local translation of IPv4", "RFC 8215"),
    _refused("100::/64", "discard only", "RFC 6666"),
    _refused("2001::/23", "IETF protocol assignments, Teredo", "RFC 2928"),
    _refused("3fff::/20", "documentation", "RFC 9637"),
    _refused("5f00::/16", "segment routing", "RFC 9602"),
)
REFUSED_NAMES = (  # these names, and all below them: a resolver of the cloud may answer them with any address
    "localhost", "metadata", "instance-data", "metadata.goog", "internal", "local", "localdomain",
)
# fmt: on


class RefusedAddress(OSError):
    """The address is not a public one."""


def is_public(address: str) -> bool:
    """Return whether a text is a public internet address; False if it is not an address."""
    try:
        return _is_public(ip_address(address))
    except ValueError:
        return False


def is_public_name(host: str) -> bool:
    """Return whether a name may be resolved at all: none of a cloud's metadata, and none of the local network."""
    name = host.rstrip(".").lower()
    return not any(name == one or name.endswith("." + one) for one in REFUSED_NAMES)


def is_own(address: str) -> bool:
    """Return whether an address is one of this host's: a socket can be bound to it.  Sends nothing."""
    return _can_bind(address) and not _can_bind(_NOBODY_S[":" in address])


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for a result of getaddrinfo; raises RefusedAddress unless it is public and not this host's."""
    family, kind, protocol, _, address = address_info
    if not is_public(str(address[0])) or is_own(str(address[0])):
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
        and not any(address in one.network for one in REFUSED if one.network.version == address.version)
    )
