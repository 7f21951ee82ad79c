"""One callback endpoint for several accounts: the secret of the address decides the account of a callback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest
import redis

from tests.integration.conftest import SECRET, log_of, threelane_child
from tests.integration.test_callbacks import Caller, basic
from tests.integration.test_replies import events
from tests.properties.system import System, open_system
from tests.servers import RedisServer
from threelane.demo import accounts
from threelane.demo.accounts import at_sandbox
from threelane.demo.child import Child
from threelane.store import keys
from threelane.store.events import Route
from threelane.store.keys import HERE, space_of
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

ACME, BANK, OLD = "acme", "bank", "older-one"
SECRETS = {"": SECRET, ACME: "ac" * 16, BANK: "ba" * 16}
PREVIOUS, PASSWORD = "0123456789abcdef", "pass-of-bank-that-nobody-may-see"
ITS_ID = "7e1c40b2a9d84f3f8a5b6c7d8e9f0011"
PERSON, OURS = "27831234567", "27999000001"


class Served(NamedTuple):
    """An endpoint of three accounts, one of which has basic authentication, and the systems of the three."""

    child: Child
    systems: dict[str, System]

    def caller(self, account: str) -> Caller:
        return Caller(self.url(SECRETS[account]))

    def url(self, secret: str) -> str:
        return str(self.child.event("callbacks")["url"]).replace("<secret>", secret)

    def report(self, account: str, message_id: str, status: str = "004", charge: str = "0.800000") -> int:
        """Report a status by the address of an account, with the gateway id that all of them give."""
        fields = {"apiMsgId": ITS_ID, "cliMsgId": message_id, "status": status, "charge": charge}
        return self.caller(account).send(fields, "POST") if account != BANK else self._guarded(fields)

    def _guarded(self, fields: dict[str, str]) -> int:
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        return self.caller(BANK).request("GET", query, headers=basic(BANK, PASSWORD))

    def metric(self, name: str) -> dict[str, float]:
        """Return the samples of a counter that are not 0, by their labels."""
        page = urlopen(self.child.event("metrics")["url"]).read().decode()
        lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith(f"threelane_{name}_total{{")]
        return {found.partition("{")[2].rstrip("}"): float(value) for found, _, value in lines if float(value)}

    def sent(self, account: str) -> str:
        """Return a message of an account that its gateway took, under the id that all of them give."""
        system = self.systems[account]
        message_id = system.take()
        system.attempt(message_id, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID))
        return message_id


@pytest.fixture(scope="module")
def child(base_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("accounts")
    tables = {
        ACME: at_sandbox(f"http://{ACME}", callback_secret=SECRETS[ACME], callback_secret_previous=PREVIOUS),
        BANK: at_sandbox(
            f"http://{BANK}", callback_secret=SECRETS[BANK], callback_user=BANK, callback_password=PASSWORD
        ),
        OLD: at_sandbox(f"http://{OLD}"),
    }
    more = {"THREELANE_ACCOUNTS_FILE": str(accounts.write(folder, tables))}
    made = threelane_child("callbacks", folder, base_environment | more)
    yield made
    made.stop()


@pytest.fixture
def served(child: Child, redis_server: RedisServer, client: redis.Redis) -> Iterator[Served]:
    """The endpoint on an empty Redis."""
    assert client.ping()
    with ExitStack() as opened:
        systems = {}
        for place, account in enumerate(SECRETS):
            systems[account] = opened.enter_context(
                open_system(redis_server, account=account, parts_per_second=100_000)
            )
            systems[account].now = int(time.time() * 1000)
            systems[account]._drafts = 1_000 * (place + 1)
        yield Served(child, systems)


def everything(client: redis.Redis) -> dict[bytes, Any]:
    """Return all of Redis but the times of the last reports."""
    names = [key for key in client.keys("*") if not key.startswith(keys.HEARD.encode())]
    return {one: client.hgetall(one) if client.type(one) == b"hash" else client.dump(one) for one in names}


def charged(client: redis.Redis, account: str) -> int:
    return int(client.hget(keys.names(space_of(account)).TALLY, "charged:3:") or 0)


def test_equal_gateway_ids_of_accounts_never_meet(served: Served, client: redis.Redis) -> None:
    """Each report moves the message of its own address, and charges its own account."""
    ids = {account: served.sent(account) for account in SECRETS}
    for place, (account, message_id) in enumerate(ids.items(), 1):
        assert 200 == served.report(account, message_id, charge=f"{place}.000000")
        status = {one: client.hget(keys.record(other), "status") for one, other in ids.items()}
        assert [b"delivered"] * place == [*status.values()][:place]
        assert [b"sent"] * (3 - place) == [*status.values()][place:]
    assert {"": 1_000_000, ACME: 2_000_000, BANK: 3_000_000} == {one: charged(client, one) for one in SECRETS}
    assert all(client.exists(keys.names(space_of(one)).HEARD) for one in SECRETS)


def test_a_report_by_the_address_of_another_account_changes_nothing(served: Served, client: redis.Redis) -> None:
    """Not of a message that was sent, nor of one that is in doubt, nor the account: 200, counted, and logged once.

    A status that is refused would be repeated for three days.
    """
    sent, doubtful = served.sent(ACME), served.systems[ACME].take()
    served.systems[ACME].attempt(doubtful, AttemptOutcome(OutcomeKind.LOST))
    before, counted = everything(client), served.metric("foreign_statuses")
    wrong = [(account, one, status) for account in ("", BANK) for one in (sent, doubtful) for status in ("004", "012")]
    assert [200] * 8 == [served.report(*each) for each in wrong]
    assert before == everything(client)
    assert {'path="status",whose="other_account"': 8.0} == {
        labels: times - counted.get(labels, 0) for labels, times in served.metric("foreign_statuses").items()
    }
    logged = [line for line in log_of(served.child) if line["event"] == "statuses_foreign"]
    assert [("other_account", "default", "status", sent)] == [
        (one["whose"], one["account"], one["path"], one["id"]) for one in logged
    ]
    assert [200, 200] == [served.report(ACME, one) for one in (sent, doubtful)]
    assert [b"delivered"] * 2 == [client.hget(keys.record(one), "status") for one in (sent, doubtful)]


def test_equal_ids_of_replies_of_accounts_never_meet(served: Served, client: redis.Redis) -> None:
    """Whole ones, and the parts of long ones: neither is a repetition or a part of the other account's."""
    whole = {"moMsgId": "m1", "from": PERSON, "to": OURS, "text": "Hello"}
    assert [200] * 4 == [served.caller(one).send(whole) for one in ("", ACME, ACME, "")]
    assert ["Hello"] * 2 == [one.text for one in events(client)]
    part = {"moMsgId": "m2", "from": PERSON, "to": OURS, "udh": "050003070201", "text": "first "}
    rest = {"moMsgId": "m3", "from": PERSON, "to": OURS, "udh": "050003070202", "text": "second"}
    assert [200] * 3 == [served.caller(one).send(which) for one, which in (("", part), (ACME, rest), (ACME, part))]
    assert ["first second"] == [one.text for one in events(client)][2:]
    halves = [client.zcard(keys.names(space).REPLY_HALVES) for space in (HERE, space_of(ACME))]
    assert [1, 0] == halves


def test_a_reply_answers_no_message_of_another_account(served: Served, client: redis.Redis) -> None:
    """Its producer gets what comes by the address of its own account alone."""
    system = served.systems[ACME]
    message_id = system.take(producer="shop", to=PERSON)
    system.attempt(message_id, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=ITS_ID))
    for number, account in enumerate(("", ACME)):
        reply = {"moMsgId": f"m{number}", "from": PERSON, "to": OURS, "text": "Yes", "cliMsgId": message_id}
        assert 200 == served.caller(account).send(reply)
    found = {one.reply_id: (one.producer, one.route) for one in events(client)}
    assert {"m0": ("", Route.INBOX), "m1": ("shop", Route.MESSAGE)} == found


def test_each_address_has_its_own_password_and_previous_secret(served: Served) -> None:
    """An address of nobody does not exist, and no secret is in the log."""
    credentials, refused = served.metric("callback_credentials"), served.metric("callback_passwords_refused")
    plain = {one: served.caller(one).request("GET") for one in SECRETS}
    assert {"": 200, ACME: 200, BANK: 401} == plain
    assert [401, 401] == [
        served.caller(BANK).request("GET", headers=basic(user, PASSWORD[::step]))
        for user, step in ((BANK, -1), (ACME, 1))
    ]
    assert [200, 200, 404] == [
        served.caller(BANK).request("GET", headers=basic(BANK, PASSWORD)),
        Caller(served.url(PREVIOUS)).request("GET"),
        Caller(served.url("x" * 32)).request("GET", headers=basic(BANK, PASSWORD)),
    ]
    assert {
        'account="default",credential="secret",used="current"': 1.0,
        'account="acme",credential="secret",used="current"': 1.0,
        'account="acme",credential="secret",used="previous"': 1.0,
        'account="bank",credential="secret",used="current"': 1.0,
        'account="bank",credential="password",used="current"': 1.0,
    } == {
        labels: times - credentials.get(labels, 0)
        for labels, times in served.metric("callback_credentials").items()
        if times - credentials.get(labels, 0)
    }
    assert {'account="bank",presented="missing"': 1.0, 'account="bank",presented="wrong"': 2.0} == {
        labels: times - refused.get(labels, 0) for labels, times in served.metric("callback_passwords_refused").items()
    }
    log = served.child.log.read_text()
    assert [] == [one for one in (*SECRETS.values(), PREVIOUS, PASSWORD) if one in log]
    started = {line["event"]: line.get("accounts") for line in log_of(served.child)}
    assert ("default,acme,bank", OLD) == (started["callbacks"], started["accounts_without_callbacks"])
