"""What each code and each status of the One API is taken to mean."""

from __future__ import annotations

import re
from random import Random

import pytest

from threelane.contract.message import Message
from threelane.contract.refusal import Owner
from threelane.gateways.one.codes import ONE_API
from threelane.gateways.one.statuses import ONE_STATUSES, one_status
from threelane.store.states import MAY_FOLLOW, Status
from threelane.worker.account.hold import Hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.policy.legacy import LEGACY, TRANSPORT
from threelane.worker.policy.rule import UNTIL_EXPIRY, Rule, Scope, Table, Verdict
from threelane.worker.policy.statuses import STATUSES
from threelane.worker.send.judge import Patience, Tried, judge

RETRY, HOLD, STOP, SUPPRESS = Verdict.RETRY, Verdict.HOLD, Verdict.STOP, Verdict.SUPPRESS
MESSAGE, RECIPIENT, PREFIX, SENDER, CREDENTIALS, ACCOUNT = Scope
CALLER, OPERATOR, PERSON, GATEWAY = Owner.PRODUCER, Owner.OPERATOR, Owner.RECIPIENT, Owner.GATEWAY
NOW = 1_800_000_000_000
ALARM = True

# fmt: off
EXPECTED = {
    # pause the workers with these credentials until a login is accepted; the message waits
    "1": (HOLD, CREDENTIALS, OPERATOR, ALARM), "3": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    "7": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    "41": (HOLD, CREDENTIALS, OPERATOR, ALARM), "42": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    # pause the account until somebody acts; the message waits
    "2": (HOLD, ACCOUNT, OPERATOR, ALARM), "20": (HOLD, ACCOUNT, OPERATOR, ALARM),
    "38": (HOLD, ACCOUNT, OPERATOR, ALARM), "39": (HOLD, ACCOUNT, OPERATOR, ALARM),
    "46": (HOLD, ACCOUNT, OPERATOR, ALARM),
    # a dead letter, and nothing more to this number
    "26": (SUPPRESS, RECIPIENT, PERSON, False),
    # a dead letter
    "23": (STOP, MESSAGE, CALLER, False), "24": (STOP, MESSAGE, CALLER, False), "25": (STOP, MESSAGE, CALLER, False),
    "27": (STOP, MESSAGE, CALLER, False), "28": (STOP, MESSAGE, OPERATOR, False), "30": (STOP, MESSAGE, CALLER, False),
    "31": (STOP, MESSAGE, CALLER, False), "32": (STOP, MESSAGE, CALLER, False), "33": (STOP, MESSAGE, CALLER, False),
    "40": (STOP, MESSAGE, CALLER, False), "100": (STOP, MESSAGE, CALLER, False),
    "44": (STOP, SENDER, OPERATOR, False), "45": (STOP, SENDER, OPERATOR, False),
    "101": (STOP, MESSAGE, OPERATOR, False), "110": (STOP, MESSAGE, OPERATOR, ALARM),
    "111": (STOP, PREFIX, OPERATOR, ALARM), "21": (STOP, MESSAGE, OPERATOR, ALARM),
    # it passes
    "18": (RETRY, MESSAGE, GATEWAY, False), "19": (RETRY, MESSAGE, GATEWAY, False),
    "22": (RETRY, MESSAGE, OPERATOR, ALARM), "43": (RETRY, ACCOUNT, GATEWAY, False),
    "429": (RETRY, ACCOUNT, GATEWAY, False),
}
UNLISTED = ["4", "5", "6", "29", "34", "35", "36", "37", "47", "130", "301", "901", "none", "", "xxx"]
TABLES = {"legacy": LEGACY, "one": ONE_API, "transport": TRANSPORT}
# fmt: on


def judged(code: str, attempt: int = 1, table: Table = ONE_API) -> tuple[Status, Hold | None, bool, bool]:
    message = Message(id="4b1d0c2e8f7a4e5e9a3b6c7d8e9f0a1b", to="27999500001", expires_at=NOW + 86_400_000)
    tried = Tried(message, attempt, NOW, NOW - 5000)
    decision = judge(tried, AttemptOutcome(OutcomeKind.REFUSED, code=code), table, Patience(), NOW, Random(1))
    assert decision.to in MAY_FOLLOW[Status.SENDING]
    return decision.to, decision.hold, decision.suppresses, decision.spends_attempt


def test_the_table_lists_exactly_the_codes_that_are_known() -> None:
    """An additional code has no decision."""
    assert sorted(EXPECTED) == sorted(ONE_API.rules)


@pytest.mark.parametrize("code", EXPECTED)
def test_a_listed_code_has_its_verdict_reach_owner_and_alarm(code: str) -> None:
    """The verdict, its scope, the owner, and whether there is an alarm."""
    rule = ONE_API.rule_for(code)
    assert (code, *EXPECTED[code]) == (rule.code, rule.verdict, rule.scope, rule.owner, rule.alarm)


@pytest.mark.parametrize("code", UNLISTED)
def test_an_unlisted_code_ends_the_message_and_raises_an_alarm(code: str) -> None:
    """Numbers of the legacy APIs among them: here they mean nothing."""
    rule = ONE_API.rule_for(code)
    assert ("xxx", STOP, MESSAGE, True) == (rule.code, rule.verdict, rule.scope, rule.alarm)


@pytest.mark.parametrize("code", [code for code, (verdict, *_) in EXPECTED.items() if verdict is HOLD])
def test_a_code_that_stops_the_account_or_its_credentials_costs_no_message_anything(code: str) -> None:
    """It waits in its place; the hold ends when somebody resumes it, or when a login is accepted."""
    to, hold, suppresses, spends = judged(code)
    assert (Status.QUEUED, False, False) == (to, suppresses, spends)
    assert hold is not None
    assert (EXPECTED[code][1], code, 0) == (hold.scope, hold.code, hold.until)


# fmt: off
COURSES = [
    ("18", 1, Status.SCHEDULED), ("18", 2, Status.SCHEDULED), ("18", 3, Status.DEAD),   # few attempts
    ("19", 7, Status.SCHEDULED), ("19", 8, Status.DEAD),
    ("22", 1, Status.SCHEDULED), ("43", 500, Status.QUEUED), ("26", 1, Status.DEAD), ("25", 1, Status.DEAD),
]
# fmt: on


@pytest.mark.parametrize(("code", "attempt", "to"), COURSES)
def test_a_code_is_as_patient_as_it_should_be(code: str, attempt: int, to: Status) -> None:
    """An internal error is given up soon, a rate limit never."""
    assert to == judged(code, attempt)[0]


@pytest.mark.parametrize(("table", "code"), [(ONE_API, "43"), (ONE_API, "429"), (LEGACY, "429")])
def test_a_rate_limit_holds_the_account_for_a_moment_and_spends_no_attempt(table: Table, code: str) -> None:
    """Waiting for rate is not the message's fault; the hold ends automatically."""
    to, hold, _, spends = judged(code, 5, table)
    assert (Status.QUEUED, Hold(ACCOUNT, code, "rate_limited", NOW + 2000), False) == (to, hold, spends)
    assert UNTIL_EXPIRY == table.rule_for(code).most_attempts


def test_reasons_are_few_short_words_and_mean_one_thing_in_all_tables() -> None:
    """They are metric labels, and a dashboard does not depend on the account's API."""
    rules: list[Rule] = [
        rule for one in TABLES.values() for rule in (*one.rules.values(), *one.by_hundred.values(), one.otherwise)
    ]
    meanings: dict[str, set[tuple[Verdict, Scope, Owner]]] = {}
    for rule in rules:
        meanings.setdefault(rule.reason, set()).add((rule.verdict, rule.scope, rule.owner))
    assert [] == [reason for reason in meanings if not re.fullmatch(r"[a-z_]{4,32}", reason)]
    assert {} == {reason: several for reason, several in meanings.items() if len(several) > 1}


# fmt: off
SPEAKS_AGAINST = [
    (LEGACY, "114", True), (LEGACY, "105", True), (LEGACY, "121", True), (LEGACY, "122", True), (LEGACY, "128", True),
    (LEGACY, "106", False), (LEGACY, "101", False), (LEGACY, "605", False), (LEGACY, "199", False),
    (LEGACY, "none", False),
    (LEGACY, "001", False), (LEGACY, "301", False), (LEGACY, "130", False), (LEGACY, "901", False),
    (LEGACY, "003", False), (LEGACY, "165", False), (LEGACY, "104", False), (LEGACY, "429", False),
]
# fmt: on


@pytest.mark.parametrize(("table", "code", "against"), SPEAKS_AGAINST)
def test_only_some_codes_speak_against_a_number(table: Table, code: str, against: bool) -> None:
    """An empty account, a bad moment, or a code that nobody knows gives no information about coverage."""
    assert against == table.is_of_number(code)


# Statuses.

# fmt: off
MEANINGS = {
    "UNKNOWN": None, "QUEUED": Status.SENT, "SCHEDULED": Status.SENT, "SENT_TO_SUPPLIER": Status.SENT,
    "DEVICE_ACK": Status.DELIVERED, "READ": Status.DELIVERED, "EXPIRED": Status.EXPIRED,
    "STOPPED_BY_USER": Status.CANCELLED, "STOPPED_BY_ADMIN": Status.CANCELLED, "DELIVERY_FAILURE": Status.UNDELIVERED,
    "EMULATED": Status.UNDELIVERED, "INSUFFICIENT_ACCOUNT_BALANCE": Status.UNDELIVERED,
    "VOLUME_LIMIT": Status.UNDELIVERED, "VOLUME_LIMIT_DAILY": Status.UNDELIVERED,
    "VOLUME_LIMIT_MONTHLY": Status.UNDELIVERED, "RECIPIENT_DOES_NOT_EXIST": Status.UNDELIVERED,
    "STOP_MARKETING_MESSAGES": Status.UNDELIVERED, "EXCESSIVE_MESSAGES_TO_RECIPIENT": Status.UNDELIVERED,
    "ROUTING_ERROR": Status.UNDELIVERED,
}
NEW_NAMES = [
    ("SOMETHING_NEW", None, None), ("SOMETHING_NEW", 0, None), ("SOMETHING_NEW", 1, None),
    ("SOMETHING_NEW", 2, Status.SENT), ("SOMETHING_NEW", 6, Status.SENT), ("SOMETHING_NEW", 7, None),
    ("SOMETHING_NEW", 19, None), ("SOMETHING_NEW", 20, Status.UNDELIVERED), ("SOMETHING_NEW", 85, Status.UNDELIVERED),
    ("SOMETHING_NEW", 131, Status.UNDELIVERED), ("SOMETHING_NEW", -1, None), ("", 5, Status.SENT), ("", None, None),
]
# fmt: on


def test_each_status_has_its_meaning_and_there_is_no_other() -> None:
    """A message that a sandbox only pretended to send is not delivered."""
    assert MEANINGS == ONE_STATUSES == {name: one_status(name) for name in ONE_STATUSES}


@pytest.mark.parametrize("name", MEANINGS)
def test_a_known_name_counts_and_its_number_does_not(name: str) -> None:
    """The same numbers mean other things in other APIs."""
    assert [MEANINGS[name]] * 4 == [one_status(name, number) for number in (None, 1, 4, 23)]


@pytest.mark.parametrize(("name", "number", "status"), NEW_NAMES)
def test_a_new_name_is_read_by_its_number(name: str, number: int | None, status: Status | None) -> None:
    """From 20 on all are failures; nothing new is ever taken for delivered."""
    assert status == one_status(name, number)


def test_names_and_legacy_numbers_cannot_be_mistaken_for_each_other() -> None:
    """A record's network status has both."""
    assert set() == set(ONE_STATUSES) & set(STATUSES)
