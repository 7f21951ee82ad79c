"""Registry: what can be registered, and what cannot."""

from __future__ import annotations

import pytest
import redis

from threelane.store import keys, registry
from threelane.store.registry import Registration, check_webhook

HOOK = "https://shop.example/threelane"


@pytest.mark.parametrize("webhook", [HOOK, HOOK + "?a=b", "https://shop.example:8443/x", "https://[2001:db8::1]/x"])
def test_an_address_that_can_be_is_taken(webhook: str) -> None:
    """Where it leads is looked at when it is connected to."""
    check_webhook(webhook)


# fmt: off
IMPOSSIBLE = [  # address, whether this machine is allowed, the error
    ("http://shop.example/x",               True,  "https://"),
    ("http://127.0.0.1/x",                  False, "https://"),
    ("http://10.0.0.1/x",                   True,  "https://"),
    ("http://localhost.example.com/x",      True,  "https://"),
    ("ftp://shop.example/x",                True,  "https://"),
    ("shop.example/x",                      True,  "host"),
    ("https://127.1/x",                     True,  "four decimal"),
    ("https://0x7f.1/x",                    True,  "four decimal"),
    ("https://2130706433/x",                True,  "four decimal"),
    ("https://0x7f000001/x",                True,  "four decimal"),
    ("https://0177.0.0.1/x",                True,  "four decimal"),
    ("https://127.0.0.1./x",                True,  "four decimal"),
    ("https://",                            True,  "host"),
    ("https:///x",                          True,  "host"),
    ("https://shop.example:99999/x",        True,  "host"),
    ("https://shop.example:0/x",            True,  "host"),
    ("https://[::1/x",                      True,  "host"),
    ("https://user:pass@shop.example/x",    True,  "remove user"),
    ("https://user@shop.example/x",         True,  "remove user"),
    ("https://@shop.example/x",             True,  "remove user"),
    ("https://shop.example/x#part",         True,  "fragment"),
    ("https://shop.example/x#",             True,  "fragment"),
    ("https://shop.example/a b",            True,  "visible"),
    ("https://shop.example\\@127.0.0.1/",   True,  "visible"),
    ("https://shöp.example/x",              True,  "visible"),
    ("https://shop.example/\n",             True,  "visible"),
    ("https://shop.example/" + "x" * 2048,  True,  "visible"),
]
# fmt: on


@pytest.mark.parametrize(("webhook", "inside", "problem"), IMPOSSIBLE)
def test_an_invalid_address_is_refused_with_a_sentence(webhook: str, inside: bool, problem: str) -> None:
    """Before anything is stored."""
    with pytest.raises(ValueError, match=problem):
        check_webhook(webhook, allow_loopback=inside)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "127.9.9.9"])
def test_plain_http_is_for_this_machine_when_that_is_allowed(host: str) -> None:
    """As tests and a first try need it."""
    check_webhook(f"http://{host}/x", allow_loopback=True)


def test_a_secret_is_created_with_the_first_webhook_and_returned_once(client: redis.Redis) -> None:
    """Another address keeps it; requesting a new one, or a webhook after none, creates a new one."""
    first, shown = registry.put(client, "shop", webhook=HOOK)
    assert (first.secret, True) == (shown, len(shown) >= 43)
    assert (first.secret, "") == (lambda one: (one[0].secret, one[1]))(registry.put(client, "shop", webhook=HOOK + "2"))
    second, shown = registry.put(client, "shop", new_secret=True)
    assert shown == second.secret != first.secret
    assert Registration() == registry.put(client, "shop", webhook="")[0]
    assert registry.put(client, "shop", webhook=HOOK)[1] not in ("", first.secret, second.secret)


def test_an_option_that_is_not_given_stays(client: redis.Redis) -> None:
    """A right and a webhook are changed one by one."""
    registry.put(client, "shop", bypass=True)
    registry.put(client, "shop", webhook=HOOK)
    registry.put(client, "bank")
    found = registry.read_all(client)
    assert {"shop": (True, HOOK), "bank": (False, "")} == {n: (one.bypass, one.webhook) for n, one in found.items()}
    assert found["shop"] == registry.read(client, "shop")
    assert [True, False, None] == [
        registry.remove(client, "shop"),
        registry.remove(client, "shop"),
        registry.read(client, "shop"),
    ]


def test_the_scripts_can_read_the_right(client: redis.Redis) -> None:
    """They look for ``bypass`` in the JSON."""
    registry.put(client, "shop", bypass=True)
    registry.put(client, "bank", webhook=HOOK)
    look = "return cjson.decode(redis.call('HGET', KEYS[1], ARGV[1])).bypass and 1 or 0"
    assert [1, 0] == [client.eval(look, 1, keys.PRODUCERS, name) for name in ("shop", "bank")]


@pytest.mark.parametrize("name", ["", " shop", "a|b", "a\nb", "x" * 65, "shöp"])
def test_a_name_that_messages_cannot_carry_is_refused(client: redis.Redis, name: str) -> None:
    """Nothing would ever reach it."""
    with pytest.raises(ValueError, match="is not a producer name"):
        registry.put(client, name)
    assert not client.exists(keys.PRODUCERS)


def test_a_registration_does_not_show_its_secret() -> None:
    """Nor what may be one, in its address."""
    shown = repr(Registration(True, HOOK + "?token=hunter2", "hunter2"))
    assert "hunter2" not in shown
    assert "shop.example" in shown


def test_a_secret_needs_a_webhook(client: redis.Redis) -> None:
    """It would sign nothing."""
    with pytest.raises(ValueError, match="webhook"):
        registry.put(client, "shop", new_secret=True)


def test_an_earlier_secret_signs_until_its_end(client: redis.Redis) -> None:
    """The newest first; a further rotation gives it no more time, and one without an overlap ends it."""
    first, _ = registry.put(client, "shop", webhook=HOOK)
    second, made = registry.put(client, "shop", new_secret=True, overlap_ms=1_000, now=5_000)
    assert [(made, first.secret), (made,)] == [second.secrets(at) for at in (5_999, 6_000)]
    assert second == registry.read(client, "shop") == registry.put(client, "shop", bypass=False)[0]
    third, newest = registry.put(client, "shop", new_secret=True, overlap_ms=9_000, now=5_500)
    assert [(newest, made, first.secret), (newest, made)] == [third.secrets(at) for at in (5_999, 6_000)]
    last, only = registry.put(client, "shop", new_secret=True, now=5_600)
    assert (only,) == last.secrets(5_600)
    assert first.secret not in repr(third)


def test_a_registration_of_an_earlier_version_is_read(client: redis.Redis) -> None:
    """It has one secret."""
    client.hset(keys.PRODUCERS, "shop", b'{"bypass":true,"webhook":"https://a.example/","secret":"abc"}')
    found = registry.read(client, "shop")
    assert found
    assert (True, ("abc",)) == (found.bypass, found.secrets(1))
