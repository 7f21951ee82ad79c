"""Ability: when the stand-by of an account takes over."""

from __future__ import annotations

import pytest

from threelane.store import rows
from threelane.store.diverted import Why
from threelane.worker.account.hold import BY_HAND, Held
from threelane.worker.standby.ability import ABSENT_MS, SHORT_MS, Reporting, why_unable

NOW = 1_800_000_000_000
READY = Reporting("gate", "login")
OTHER = Reporting("gate", "another")
NO_CREDIT = Held("301", "no_credit", NOW, 0)
REFUSED = {"credentials:login": Held("001", "authentication_failed", NOW, NOW + 30_000)}
OPEN = {"gateway:gate": Held("lost", "no answer", NOW, 0)}


def _until(code: str, left_ms: int) -> dict[str, Held]:
    return {"account": Held(code, "a limit", NOW, NOW + left_ms)}


# fmt: off
CASES = {
    "all is well":              ({}, [READY], 0, None),
    "no credit":                ({"account": NO_CREDIT}, [READY], 0, Why.HOLD),
    "a limit until tomorrow":   (_until("130", 3_600_000), [READY], 0, Why.HOLD),
    "too fast for two seconds": (_until("429", 2_000), [READY], 0, None),
    "a hold that ends soon":    (_until("130", SHORT_MS), [READY], 0, None),
    "a person's hold":          ({"account": Held(BY_HAND, "stop", NOW, 0)}, [READY], 0, None),
    "a person's hold, outage":  ({"account": Held(BY_HAND, "stop", NOW, 0)} | OPEN, [READY], 0, None),
    "a hold that is damaged":   ({"account": Held(rows.CODE, "?", 0, 0)}, [READY], 0, None),
    "a lane on hold":           ({"lane:3": NO_CREDIT}, [READY], 0, None),
    "a sender on hold":         ({"sender:ACME": NO_CREDIT}, [READY], 0, None),
    "the breaker is open":      (OPEN, [READY], 0, Why.UNREACHABLE),
    "of another address":       ({"gateway:else": NO_CREDIT}, [READY], 0, None),
    "open for some workers":    (OPEN, [READY, Reporting("else", "login")], 0, None),
    "one cannot reach it":      ({}, [Reporting("gate", "login", fault="no route"), READY], 0, None),
    "none can reach it":        ({}, [Reporting("gate", "login", fault="no route")], 0, Why.UNREACHABLE),
    "refused for all":          (REFUSED, [READY], 0, Why.REFUSED_LOGIN),
    "refused for one of two":   (REFUSED, [READY, OTHER], 0, None),
    "refused, and no answer":   (REFUSED, [READY, Reporting("gate", "another", fault="?")], 0, Why.UNREACHABLE),
    "no worker since now":      ({}, [], ABSENT_MS - 1, None),
    "no worker for a while":    ({}, [], ABSENT_MS, Why.NO_WORKER),
    "starting":                 ({}, [READY._replace(no_login="login")], ABSENT_MS - 1, None),
    "never ready":              ({}, [READY._replace(no_login="login")], ABSENT_MS, Why.UNREACHABLE),
}
# fmt: on


@pytest.mark.parametrize("case", CASES)
def test_an_account_cannot_send_for_one_reason(case: str) -> None:
    """A stop of seconds, or of a person, is waited for; else the stand-by takes over."""
    held, workers, absent_ms, expected = CASES[case]
    assert expected == why_unable(held, workers, absent_ms, NOW)
