"""A receiver can distinguish our webhooks from any others."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from threelane.contract.signature import EVENT, SIGNATURE, SIGNATURE_V2, headers, sign, sign_event, verify

SECRET = "k3y-of-the-shop"
BODY = '{"type":"outcome","text":"Grüße"}'.encode()
NOW = 1_750_000_000


def test_a_signature_matches_the_documentation() -> None:
    """Receivers in other languages compute it themselves: v1=hex(hmac-sha256(secret, "<timestamp>.<body>"))."""
    expected = hmac.new(SECRET.encode(), f"{NOW}.".encode() + BODY, hashlib.sha256).hexdigest()
    assert f"v1={expected}" == sign(SECRET, NOW, BODY)


@pytest.mark.parametrize("now", [NOW - 300, NOW, NOW + 0.5, NOW + 300])
def test_a_genuine_webhook_is_verified(now: float) -> None:
    """The timestamp is taken as the header came: text."""
    assert verify(SECRET, str(NOW), BODY, sign(SECRET, NOW, BODY), now)
    assert verify(SECRET, NOW, BODY, sign(SECRET, NOW, BODY), now)


# fmt: off
FORGED = {
    "another secret":        (SECRET + "x", str(NOW),     BODY,        NOW),
    "another body":          (SECRET,       str(NOW),     BODY + b" ", NOW),
    "another time":          (SECRET,       str(NOW + 1), BODY,        NOW),
    "too old":               (SECRET,       str(NOW),     BODY,        NOW + 301),
    "of the future":         (SECRET,       str(NOW),     BODY,        NOW - 301),
    "no time":               (SECRET,       "",           BODY,        NOW),
    "a time in words":       (SECRET,       "now",        BODY,        NOW),
    "a time with a sign":    (SECRET,       f"+{NOW}",    BODY,        NOW),
    "a time of other digits": (SECRET,      "".join(chr(0x660 + int(one)) for one in str(NOW)), BODY, NOW),
}
# fmt: on


@pytest.mark.parametrize("case", FORGED)
def test_anything_else_is_not(case: str) -> None:
    """Nothing of it raises: a receiver answers 401 and is done."""
    secret, timestamp, body, now = FORGED[case]
    assert not verify(secret, timestamp, body, sign(SECRET, NOW, BODY), now)


@pytest.mark.parametrize("signature", ["", "v1=", "v2=" + "0" * 64, "v1=" + "0" * 64, "v1=\u00e9", "v1=\ud800"])
def test_an_invalid_signature_is_refused(signature: str) -> None:
    """With any content of the header."""
    assert not verify(SECRET, NOW, BODY, signature, NOW)


def test_without_a_secret_nothing_is_signed_and_nothing_verified() -> None:
    """An empty key is known to everybody."""
    with pytest.raises(ValueError, match="secret"):
        sign("", NOW, BODY)
    forged = "v1=" + hmac.new(b"", f"{NOW}.".encode() + BODY, "sha256").hexdigest()
    assert not verify("", NOW, BODY, forged, NOW)


# The id of the event.

EVENT_ID = "1750000000000-0"


def test_the_second_version_covers_the_event_s_id() -> None:
    """Receivers recognise repeats by it: whoever replays a post with another id must not be processed twice."""
    text = f"v2.{NOW}.{EVENT_ID}.".encode() + BODY
    expected = "v2=" + hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    assert expected == sign_event(SECRET, NOW, EVENT_ID, BODY)
    assert verify(SECRET, NOW, BODY, expected, NOW, event=EVENT_ID)
    assert not verify(SECRET, NOW, BODY, expected, NOW, event="1750000000000-1")


def test_a_second_version_that_was_removed_is_refused() -> None:
    """A receiver that checks the id accepts no signature that does not cover it."""
    sent = headers([SECRET], EVENT_ID, NOW, BODY)
    assert verify(SECRET, NOW, BODY, sent[SIGNATURE], NOW)
    for stripped in ("", sent[SIGNATURE], sent[SIGNATURE].replace("v1=", "v2=")):
        assert not verify(SECRET, NOW, BODY, stripped, NOW, event=EVENT_ID)


def test_a_first_version_cannot_be_presented_as_a_second_of_another_body() -> None:
    """The text of a message may contain anything: no part of a body may pass for the id of an event."""
    body = b"17-0.{}"
    digest = sign(SECRET, NOW, body).removeprefix("v1=")
    assert not verify(SECRET, NOW, b"{}", "v2=" + digest, NOW, event="17-0")


def test_while_two_secrets_are_valid_a_receiver_may_hold_either() -> None:
    """A receiver of an earlier version compares the whole first header: it keeps the old secret until the end."""
    sent = headers(["new", "old"], EVENT_ID, NOW, BODY)
    assert EVENT_ID == sent[EVENT]
    assert [True, True, False] == [
        verify(secret, NOW, BODY, sent[SIGNATURE_V2], NOW, event=EVENT_ID) for secret in ("new", "old", "other")
    ]
    assert sign("old", NOW, BODY) == sent[SIGNATURE]


@pytest.mark.parametrize("event", ["", "a.b", "x" * 65, "é"])
def test_an_event_s_id_that_cannot_be_one_is_refused(event: str) -> None:
    """Without raising in a receiver."""
    assert not verify(SECRET, NOW, BODY, "v2=" + "0" * 64, NOW, event=event)


def test_a_receiver_may_hold_several_secrets() -> None:
    """While one is replaced: with both it accepts every post, of either header, before and after the end."""
    for valid in (["old"], ["new", "old"], ["new"]):
        sent = headers(valid, EVENT_ID, NOW, BODY)
        for known, right in ((("new", "old"), True), (("", "other"), False), ((), False)):
            assert right == verify(known, NOW, BODY, sent[SIGNATURE], NOW)
            assert right == verify(known, NOW, BODY, sent[SIGNATURE_V2], NOW, event=EVENT_ID)
        assert not verify(("new", "old"), NOW, BODY + b" ", sent[SIGNATURE_V2], NOW, event=EVENT_ID)
