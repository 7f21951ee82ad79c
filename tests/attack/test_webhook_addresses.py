"""Webhook addresses: a producer points its webhook at the cloud's host services or at this host."""

from __future__ import annotations

import asyncio

import pytest

from threelane.store.registry import Registration
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.addresses import REFUSED
from threelane.worker.webhooks.post import PostVerdict, open_session, post

PLACES = [
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]",
    "[fd20:ce::254]", "[::ffff:168.63.129.16]", "[64:ff9b::a83f:8110]", "127.0.0.1", "metadata.google.internal",
    "metadata", "instance-data", "localhost", "0x7f000001",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_post_leads_to_a_cloud_s_services_or_to_this_host(place: str) -> None:
    """Before: 168.63.129.16, Azure's host, was a public address like any other."""

    async def attempt() -> PostVerdict:
        async with open_session(WebhookSettings(webhook_timeout_seconds=2)) as session:
            registration = Registration(webhook=f"https://{place}/hook", secret="x" * 32)
            return (await post(session, registration, "1-0", b"{}", 1_750_000_000)).result

    assert PostVerdict.REFUSED_ADDRESS is asyncio.run(attempt())


def test_each_refused_network_has_its_reason_and_source() -> None:
    """Who adds or removes one knows why it is there."""
    assert all(one.what and one.source for one in REFUSED)
