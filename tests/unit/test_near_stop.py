"""Texts that ask for an end of messages without being a STOP word, and innocent ones that have such a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.worker.reply.near import RULES, NearStop, Rule, looks_like_stop
from threelane.worker.reply.words import build

WORDS = build({})
AMERICAN, SOUTH_AFRICAN = "12025550123", "27831234567"

# fmt: off
REQUESTS = [
    "stop please", "pls stop", "Please stop!", "STOP texting me", "please unsubscribe me", "stopp", "I want to opt out",
    "Stop sending me messages", "remove me", "take me off your list", "no more texts", "cancel please", "stop now",
    "unsubscribe me", "stop it", "I want to stop receiving these messages", "how do I opt out?", "do not text me again",
    "Don’t text me", "don't text me. STOP", "I don't want these messages", "I no longer wish to receive texts",
    "leave me alone", "stop stop stop", "Stop!\n\nSent from my phone", "sotp", "st0p", "STOOOP", "unsubcribe",
    "please stop texting", "quit texting me", "stop all messages", "Bitte stop", "ARRET svp", "take me off", "REVOKE",
    "opt me out", "stop contacting me", "Please remove my number from your list", "unsubscribe from this list", "STOPP",
    "can you stop texting me?", "please cancel these alerts", "Thank you, stop", "opt out", "arrêt", "STOP\n> Sale!",
]
INNOCENT = [
    "Don't stop believing", "bus stop at 5", "I'll cancel my appointment? no", "end of story", "end call",
    "can you stop by at 6", "quit smoking day 5", "please don't cancel", "stop by anytime", "Please stop by the shop",
    "I can't stop laughing", "When does it end?", "cancel my order", "Can I cancel my appointment on Friday?",
    "I need to cancel tomorrow's delivery", "the end", "weekend", "Quit playing games", "stop sign on the corner",
    "unstoppable", "What time does the bus stop running", "non-stop flights only please", "full stop", "stop and think",
    "I already stopped", "I will stop texting you now, driving", "don't text and drive", "stop texting and driving",
    "I never unsubscribe", "I don't want to unsubscribe", "do not stop the messages", "please do not opt out",
    "can you remove the extra charge", "remove me from the Friday schedule", "take me to the airport at 7",
    "take me out tonight", "Don't call, text me instead", "don't send me the invoice, I have it", "No", "Yes", "OK",
    "text me when you arrive", "no more milk please", "I have no more messages left on my plan", "1", "help me please",
    "shop", "step", "spot", "quite", "quiet", "send", "friend", "bend", "top", "Is this the last stop?", "start at 9",
    "How do I opt out of the dental plan?", "the train didn't stop", "It won't end well", "I quit my job yesterday",
    "Cancelled flight, what now?", "we start tomorrow", "information please", "Stop wasting time and come home",
    "I'd like to cancel the pizza", "Thanks, see you at the end", "Let's end this meeting at 3", "stop loss at 30",
    "Doctor says stop taking the pills?", "And so they lived.\nThe end", "", " ", "🛑", "x" * 100_000, "a " * 1000,
]
# fmt: on


@pytest.mark.parametrize("text", REQUESTS)
def test_a_request_to_stop_is_recognised(text: str) -> None:
    """A reasonable person reads it so (47 CFR 64.1200(a)(10))."""
    assert "" != looks_like_stop(text, WORDS)


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_reply_is_neither_a_word_nor_a_request(text: str) -> None:
    """Its author wants the next login code."""
    assert ("", "") == (looks_like_stop(text, WORDS), WORDS.meaning(text, AMERICAN).replace("help", ""))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example)
def test_each_rule_recognises_its_example(rule: Rule) -> None:
    """The table is also the documentation."""
    assert rule.name == looks_like_stop(rule.example, WORDS)


@pytest.mark.parametrize(
    ("near_stop", "expected"),
    [("suppress-us", [True, False]), ("suppress", [True, True]), ("report", [False] * 2), ("off", [False] * 2)],
)
def test_the_setting_decides_who_is_suppressed(near_stop: str, expected: list[bool]) -> None:
    """By default, numbers of +1."""
    assert expected == [NearStop(near_stop).suppresses(one) for one in (AMERICAN, SOUTH_AFRICAN)]


@given(some.text() | some.text(alphabet="dont stop \n"))
def test_no_text_raises(text: str) -> None:
    """A stranger writes it."""
    assert isinstance(looks_like_stop(text, WORDS), str)
