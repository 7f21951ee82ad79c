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
    "I revoke my consent", "Revoke consent", "Consent revoked", "I withdraw my consent", "STOP ACME", "STOP MARKETING",
    "STOP CLINIC", "CLINIC STOP", "CANCEL ALL", "END ALL", "QUIT ALL", "ok stop", "No. Stop.", "I said stop",
    "wrong number stop", "REPLY STOP", "STOP 2", "STOP1", "STOPSTOP", "ST OP", "STO P", "Arrêter", "I don't want this",
    "no more please", "cease and desist", "yes stop", "Stop acme alerts", "STOP ALERTS", "Stop everything",
    "cancel everything please", "Please remove me from all", "unsub me", "My consent is revoked",
    "I hereby withdraw all consent", "I rescind my permission", "Please cease and desist", "I do not want these",
    "don't want this anymore", "quit2", "stop.stop.stop.stop", "un subscribe", "Stop!!! Acme", "text stop",
    "STOP HERO", "Cancel\n> 20% off today", "Unsubscribe\nJohn Smith", "Quit\nSent from my iPhone",
    "Remove\n-- My phone", "please delete my number", "drop me from your list", "take me off please",
    "take my number off your list", "don't text me again please", "stop messages to this number",
    "Stop sending texts to my phone", "stop alerts for good", "Don't send me messages in the future",
    "I no longer want these texts", "desabonner", "arretez svp", "STOP BANK", "who is this? stop",
    "how do I unsubscribe?", "Unsubscribe from everything!", "please stop acme", "no stop",
    "I never signed up for this. Stop",
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
    "Ned", "NED", "edn", "eend", "take me", "Take me please", "drop me", "Drop me off", "Drop me off please",
    "Do not take me off your list", "Don't take me off the list", "please don't delete my number",
    "I would never ask you to remove me", "Remove\n2 large pizzas", "Cancel\nmy appointment on Friday please",
    "Don't contact me at all hours", "don't message me again until Monday", "Never text me again until 9am lol",
    "I don't need notifications twice, once is fine", "Cancel alerts for account 2 only",
    "Don't send me the texts in Spanish", "don't send alerts to my wife",
    "I no longer need alerts for flight 12, only 14", "Do you want to stop?", "Did I unsubscribe?",
    "My unsub link is broken", "the opt-out link does not work", "What should I do with the old ticket?\nCancel",
    "Q: quit or stay?\nQuit", "Was the game good?\nThe end", "dne", "end2", "next stop", "Last stop?", "rest stop",
    "I'll stop", "let's stop", "you stop", "Stop sign", "stop loss", "stop lol", "stop payment", "stop fraud",
    "Stop working", "stop by", "Stop my card", "stop the car", "Stop no", "Bus stop 5", "truck stop",
    "stop here please", "stop at 5", "Cancel all orders", "cancel my 5pm", "end all wars", "Never take me off",
    "I did not revoke my consent", "don't drop me from the list", "take me off hold", "Drop me from the 5pm slot",
    "delete my number from the old account", "I don't want this to end badly", "no more", "No more milk",
    "I don't want it", "Don't text me again before 9", "Do not contact me again tonight",
    "don't send texts while I drive", "Would you like to stop", "the unsubscribe button is grey", "Did we opt out?",
    "quit all day long", "permission slip attached", "I consent", "they want to stop", "stop stop sign", "para mi",
    "toast op",
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
