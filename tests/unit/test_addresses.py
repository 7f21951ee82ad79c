"""A webhook never leads into our own network."""

from __future__ import annotations

import socket

import pytest

from threelane.worker.webhooks.addresses import RefusedAddress, is_own, is_public, is_public_name, public_socket

# fmt: off
REFUSED = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254",
    "fd20:ce::254", "::ffff:168.63.129.16", "64:ff9b::a83f:8110",
    "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:1::1", "2001:db8::1", "fc00::1",
    "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "3fff::1", "5f00::1", "4000::1",
    "", "localhost", "2130706433", "0x7f000001", "127.1", "0177.0.0.1",
]
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "172.32.0.1", "196.216.236.7", "2606:4700:4700::1111", "2a00:1450:4001::1",
    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]
# fmt: on


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_inside_is_refused(address: str) -> None:
    """Also inside another address: mapped, translated, tunnelled; and strings that are not plain addresses."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_not(address: str) -> None:
    """Where receivers are."""
    assert is_public(address)


def test_the_socket_itself_is_refused() -> None:
    """Whatever was looked up, and however often: this is the address that would be connected to."""
    (inside, *_) = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    with pytest.raises(RefusedAddress):
        public_socket(inside)
    (outside, *_) = socket.getaddrinfo("8.8.8.8", 443, type=socket.SOCK_STREAM)
    public_socket(outside).close()


@pytest.mark.parametrize(
    "name",
    ["localhost", "LOCALHOST.", "metadata", "metadata.google.internal", "metadata.goog", "x.instance-data", "db.local"],
)
def test_a_name_of_a_cloud_s_metadata_or_of_the_local_network_is_refused(name: str) -> None:
    """Whatever a resolver of that network answers."""
    assert (False, True) == (is_public_name(name), is_public_name("hooks.example.com"))


def test_the_host_s_own_addresses_are_known() -> None:
    """A public address of this host leads to services that listen for itself only."""
    assert [True, True, False] == [is_own("127.0.0.1"), is_own("127.0.0.2"), is_own("192.0.2.1")]


def test_a_public_address_of_this_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's answer decides; no test machine has a public address of its own."""
    monkeypatch.setattr("threelane.worker.webhooks.addresses.is_own", lambda address: address == "8.8.8.8")
    (outside, *_) = socket.getaddrinfo("8.8.8.8", 443, type=socket.SOCK_STREAM)
    with pytest.raises(RefusedAddress):
        public_socket(outside)
