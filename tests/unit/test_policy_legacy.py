"""What each code of the HTTP API is taken to mean."""

from __future__ import annotations

import re

import pytest

from threelane.contract.refusal import Owner
from threelane.worker.gateway.outcome import OutcomeKind
from threelane.worker.policy import legacy
from threelane.worker.policy.legacy import LEGACY, TRANSPORT
from threelane.worker.policy.rule import UNTIL_EXPIRY, Rule, Scope, Verdict, table

RETRY, REAUTH, HOLD, STOP = Verdict.RETRY, Verdict.REAUTH, Verdict.HOLD, Verdict.STOP
SUPPRESS, UNSURE = Verdict.SUPPRESS, Verdict.UNSURE
MESSAGE, RECIPIENT, PREFIX = Scope.MESSAGE, Scope.RECIPIENT, Scope.PREFIX
SENDER, CREDENTIALS, ACCOUNT = Scope.SENDER, Scope.CREDENTIALS, Scope.ACCOUNT
CALLER, OPERATOR, PERSON, GATEWAY = Owner.PRODUCER, Owner.OPERATOR, Owner.RECIPIENT, Owner.GATEWAY
ALARM = True

# fmt: off
EXPECTED = {
    # pause the account until somebody acts
    "001": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    "002": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    "004": (HOLD, ACCOUNT, GATEWAY, ALARM),
    "007": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    "108": (HOLD, CREDENTIALS, OPERATOR, ALARM),
    # pause it until a moment that the gateway names
    "130": (HOLD, ACCOUNT, OPERATOR, False),
    # pause it, and this message is a dead letter
    "301": (STOP, ACCOUNT, OPERATOR, ALARM),
    # a new session, then again
    "003": (REAUTH, ACCOUNT, OPERATOR, False),
    "005": (REAUTH, ACCOUNT, OPERATOR, False),
    # a dead letter: the request is wrong
    "101": (STOP, MESSAGE, CALLER, False), "102": (STOP, MESSAGE, CALLER, False),
    "105": (STOP, MESSAGE, CALLER, False), "107": (STOP, MESSAGE, CALLER, False),
    "110": (STOP, MESSAGE, CALLER, False), "112": (STOP, MESSAGE, CALLER, False),
    "113": (STOP, MESSAGE, CALLER, False), "115": (STOP, MESSAGE, CALLER, False),
    "116": (STOP, MESSAGE, CALLER, False), "120": (STOP, MESSAGE, CALLER, False),
    "302": (STOP, MESSAGE, CALLER, False),
    # a dead letter: the sender, or the way there, is wrong
    "106": (STOP, SENDER, OPERATOR, False), "123": (STOP, SENDER, OPERATOR, False),
    "114": (STOP, PREFIX, GATEWAY, False),
    # a dead letter, and nothing more to this number
    "121": (SUPPRESS, RECIPIENT, GATEWAY, False),
    "122": (SUPPRESS, RECIPIENT, PERSON, False),
    "128": (SUPPRESS, RECIPIENT, PERSON, False),
    # a dead letter and an alarm: our own mistake
    "100": (STOP, MESSAGE, OPERATOR, ALARM), "111": (STOP, MESSAGE, OPERATOR, ALARM),
    "160": (STOP, MESSAGE, OPERATOR, ALARM), "161": (STOP, MESSAGE, OPERATOR, ALARM),
    "165": (STOP, ACCOUNT, OPERATOR, ALARM), "166": (STOP, ACCOUNT, OPERATOR, ALARM),
    "167": (STOP, ACCOUNT, OPERATOR, ALARM),
    # answers to questions, which no send should get
    "103": (UNSURE, MESSAGE, GATEWAY, ALARM), "104": (UNSURE, MESSAGE, GATEWAY, ALARM),
    "109": (UNSURE, MESSAGE, GATEWAY, ALARM),
    "606": (STOP, MESSAGE, OPERATOR, ALARM), "607": (STOP, MESSAGE, OPERATOR, ALARM),
    # it passes
    "201": (RETRY, MESSAGE, GATEWAY, False), "202": (RETRY, MESSAGE, GATEWAY, False),
    "900": (RETRY, MESSAGE, GATEWAY, False), "901": (RETRY, MESSAGE, GATEWAY, False),
    "429": (RETRY, ACCOUNT, GATEWAY, False),
}
UNLISTED = {
    "006": (HOLD, "0xx"), "000": (HOLD, "0xx"), "099": (HOLD, "0xx"),
    "118": (STOP, "1xx"), "119": (STOP, "1xx"), "124": (STOP, "1xx"), "125": (STOP, "1xx"),
    "126": (STOP, "1xx"), "127": (STOP, "1xx"), "129": (STOP, "1xx"), "131": (STOP, "1xx"),
    "200": (RETRY, "2xx"), "299": (RETRY, "2xx"),
    "300": (HOLD, "3xx"), "303": (HOLD, "3xx"),
    "902": (RETRY, "9xx"), "999": (RETRY, "9xx"),
    "605": (STOP, "xxx"), "608": (STOP, "xxx"), "609": (STOP, "xxx"), "710": (STOP, "xxx"), "400": (STOP, "xxx"),
    "": (STOP, "xxx"), "none": (STOP, "xxx"), "1": (STOP, "xxx"), "0001": (STOP, "xxx"), "9": (STOP, "xxx"),
}
# fmt: on

ALL_RULES = [
    *LEGACY.rules.values(),
    *LEGACY.by_hundred.values(),
    LEGACY.otherwise,
    *TRANSPORT.rules.values(),
    TRANSPORT.otherwise,
]


def test_the_table_lists_exactly_the_codes_that_are_known() -> None:
    """An additional code has no decision; a missing one falls back to its hundred."""
    assert sorted(EXPECTED) == sorted(LEGACY.rules)


@pytest.mark.parametrize("code", sorted(EXPECTED))
def test_a_listed_code_has_its_verdict_reach_owner_and_alarm(code: str) -> None:
    """The verdict, its scope, the owner, and whether there is an alarm."""
    rule = LEGACY.rule_for(code)
    assert (code, *EXPECTED[code]) == (rule.code, rule.verdict, rule.scope, rule.owner, rule.alarm)


@pytest.mark.parametrize(("code", "expected"), UNLISTED.items())
def test_an_unlisted_code_follows_its_hundred_and_raises_an_alarm(code: str, expected: tuple[Verdict, str]) -> None:
    """A new code must not be guessed at silently."""
    rule = LEGACY.rule_for(code)
    assert (*expected, True) == (rule.verdict, rule.code, rule.alarm)


def test_every_code_of_three_digits_has_a_rule() -> None:
    """Every answer has a decision."""
    rules = {LEGACY.rule_for(f"{code:03d}") for code in range(1000)}
    assert set() == {rule for rule in rules if not isinstance(rule, Rule)}


def test_a_lost_session_and_a_new_batch_code_are_tried_twice_at_most() -> None:
    """A second failure is not an accident."""
    assert {2} == {LEGACY.rule_for(code).most_attempts for code in ("003", "005", "200", "299")}


def test_reasons_are_few_short_words_that_fit_a_metric() -> None:
    """They are labels: from these tables only, and never a number, an id or a sentence."""
    assert [] == [rule.reason for rule in ALL_RULES if not re.fullmatch(r"[a-z_]{4,32}", rule.reason)]


def test_a_reason_means_one_thing() -> None:
    """Two codes may share a reason only if they share the verdict and the owner."""
    meanings: dict[str, set[tuple[Verdict, Scope, Owner]]] = {}
    for rule in ALL_RULES:
        meanings.setdefault(rule.reason, set()).add((rule.verdict, rule.scope, rule.owner))
    assert {} == {reason: several for reason, several in meanings.items() if len(several) > 1}


def test_a_code_with_two_rules_is_refused() -> None:
    """The second would silently win."""
    rule = LEGACY.rule_for("901")
    with pytest.raises(ValueError, match="two rules"):
        table(rule, rule._replace(verdict=STOP), by_hundred={}, otherwise=rule)


def test_a_table_cannot_be_changed_while_it_is_in_use() -> None:
    """All threads read the same one."""
    with pytest.raises(TypeError):
        LEGACY.rules["901"] = LEGACY.rule_for("122")  # type: ignore[index]


# fmt: off
TRANSPORTS = [
    (OutcomeKind.NOT_REACHED, RETRY),   # no connection was had, so surely nothing was sent
    (OutcomeKind.LOST, UNSURE),
    (OutcomeKind.UNREADABLE, UNSURE),
]
# fmt: on


@pytest.mark.parametrize(("kind", "verdict"), TRANSPORTS)
def test_only_an_unreached_gateway_is_tried_again_without_a_look_up(kind: OutcomeKind, verdict: Verdict) -> None:
    """Once a request may have left, only the gateway knows."""
    assert verdict == TRANSPORT.rule_for(kind).verdict


def test_a_gateway_that_is_away_costs_no_message_its_life() -> None:
    """It is tried until the message's own validity ends."""
    assert UNTIL_EXPIRY == TRANSPORT.rule_for(OutcomeKind.NOT_REACHED).most_attempts


def test_the_words_of_the_table_are_the_enums_in_order() -> None:
    """The table unpacks the enums by position, so a new member in the middle would change its meaning."""
    assert (RETRY, REAUTH, HOLD, STOP, SUPPRESS, UNSURE) == (
        legacy.RETRY,
        legacy.REAUTH,
        legacy.HOLD,
        legacy.STOP,
        legacy.SUPPRESS,
        legacy.UNSURE,
    )
    assert (CALLER, OPERATOR, PERSON, GATEWAY) == (
        legacy.PRODUCER,
        legacy.OPERATOR,
        legacy.RECIPIENT_OWNER,
        legacy.GATEWAY,
    )
