"""Workers publish accounts and routes, operators drain accounts; every process reads both, with one version."""

from __future__ import annotations

import pytest
import redis

from threelane.contract.accounts.account import Account
from threelane.contract.accounts.route import Route
from threelane.contract.accounts.routing import Routing
from threelane.store import accounts, audit, keys
from threelane.store.accounts import Published, UnknownAccount
from threelane.store.keys import HERE, Space
from threelane.store.spaces import spaces
from threelane.worker.process import accounts as file

ONE = Routing(accounts={"default": Account(name="default", gateway="rest", prices="*=2")})
SEVERAL = Routing(
    accounts={**ONE.accounts, "bulk": Account(name="bulk", gateway="http")},
    routes=(Route(name="newsletters", accounts={"bulk": 1}, lane=(3,)),),
)
OTHERS = Routing(accounts={"bulk": SEVERAL.accounts["bulk"], "codes": Account(name="codes", gateway="one")})


def test_one_account_stores_nothing(client: redis.Redis) -> None:
    """Its keys are those of the version before."""
    assert not accounts.publish(client, ONE)
    assert [] == client.keys("tl:accounts*")
    assert Published() == accounts.read(client)


def test_accounts_are_read_as_they_were_published(client: redis.Redis) -> None:
    """A producer has no other source."""
    assert accounts.publish(client, SEVERAL)

    assert SEVERAL == accounts.read(client).routing


def test_publishing_the_same_again_changes_nothing(client: redis.Redis) -> None:
    """A worker that is started for more capacity makes no producer read the routes again."""
    accounts.publish(client, SEVERAL)
    before = client.hgetall(keys.ACCOUNTS)

    assert not accounts.publish(client, SEVERAL)
    assert before == client.hgetall(keys.ACCOUNTS)


def test_the_version_follows_accounts_routes_and_drained_accounts(client: redis.Redis) -> None:
    """A producer notices each change by it."""
    versions = [accounts.read(client).version]
    for change in (
        lambda: accounts.publish(client, SEVERAL),
        lambda: accounts.drain(client, "bulk", "ann"),
        lambda: accounts.publish(client, OTHERS),
    ):
        assert change()
        versions.append(accounts.read(client).version)
    assert accounts.use(client, "bulk", "ann")
    assert accounts.publish(client, SEVERAL)

    assert len(versions) == len(set(versions))
    assert versions[1] == accounts.read(client).version


def test_a_drained_account_remains_drained_when_a_worker_publishes(client: redis.Redis) -> None:
    """A rolling restart must not let an account take messages that an operator stopped."""
    accounts.publish(client, SEVERAL)
    assert accounts.drain(client, "default", "ann")
    assert accounts.drain(client, "bulk", "ann")
    assert not accounts.drain(client, "bulk", "ben")
    assert accounts.use(client, "default", "ben")
    accounts.publish(client, OTHERS)

    assert [("bulk", "ann")] == [(name, one.by) for name, one in accounts.read(client).drained.items()]
    assert accounts.use(client, "bulk", "ben")
    assert not accounts.use(client, "bulk", "ben")
    with pytest.raises(accounts.UnknownAccount, match="there is no account bluk; did you mean bulk"):
        accounts.use(client, "bluk", "ben")
    assert {} == accounts.read(client).drained


def test_drains_are_in_the_audit_log(client: redis.Redis) -> None:
    """Who stopped an account is a question of the day after."""
    accounts.publish(client, SEVERAL)
    accounts.drain(client, "bulk", "ann")
    accounts.use(client, "bulk", "ben")

    assert [
        ("ben", "bulk: in use (before: drained)"),
        ("ann", "bulk: drained (before: in use)"),
    ] == [(one.who, one.detail) for one in audit.read(client, 2)]


def test_an_unknown_account_cannot_be_drained(client: redis.Redis) -> None:
    """A misspelt name would leave the account in use."""
    accounts.publish(client, SEVERAL)

    with pytest.raises(UnknownAccount, match=r"there is no account bluk; did you mean bulk\?"):
        accounts.drain(client, "bluk", "ann")


def test_removed_accounts_are_read_as_long_as_they_are_known(client: redis.Redis) -> None:
    """Their messages are stored, and their receipts are expected, for days after they left the file."""
    accounts.publish(client, SEVERAL)
    accounts.publish(client, OTHERS)
    accounts.publish(client, ONE)

    assert Routing() == accounts.read(client).routing
    assert (HERE, Space(account="bulk"), Space(account="codes")) == spaces(client)


def test_the_account_of_the_environment_is_published_by_its_own_workers(client: redis.Redis) -> None:
    """The environment of another account's workers has other settings for it, or none."""
    of_others = Routing(accounts={**OTHERS.accounts, "default": Account(name="default", gateway="http")})
    file.publish(client, of_others, "bulk")
    assert "http" == accounts.read(client).routing.accounts["default"].gateway
    file.publish(client, SEVERAL, "default")
    for routing in (of_others, OTHERS):
        file.publish(client, routing, "bulk")
        assert ONE.accounts["default"] == accounts.read(client).routing.accounts["default"]
        assert {"default", "bulk", "codes"} == {*accounts.read(client).routing.accounts}


def test_spaces_are_read_again_after_a_second(client: redis.Redis) -> None:
    """A reader of all indexes costs one command more a second, not one more per index."""
    now = [100.0]
    assert (HERE,) == spaces(client, lambda: now[0])
    accounts.publish(client, SEVERAL)
    assert (HERE,) == spaces(client, lambda: now[0])
    now[0] += 1
    assert (HERE, Space(account="bulk")) == spaces(client, lambda: now[0])


@pytest.mark.parametrize("field", ["routing", "drained"])
def test_an_unreadable_field_is_reported_until_a_worker_publishes(client: redis.Redis, field: str) -> None:
    """Intake must not take the default account for that of a route."""
    accounts.publish(client, SEVERAL)
    accounts.drain(client, "bulk", "ann")
    client.hset(keys.ACCOUNTS, field, "{")

    assert accounts.read(client).is_damaged
    accounts.publish(client, SEVERAL)
    accounts.use(client, "bulk", "ann")
    assert not accounts.read(client).is_damaged


def test_a_key_of_another_type_is_replaced(client: redis.Redis) -> None:
    """Otherwise no worker could start."""
    client.set(keys.ACCOUNTS, "x")

    assert accounts.read(client).is_damaged
    accounts.publish(client, SEVERAL)
    assert SEVERAL == accounts.read(client).routing
