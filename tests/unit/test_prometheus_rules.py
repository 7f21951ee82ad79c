"""The alert rules: when each fires, checked by Prometheus' own tool, and its description."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.prometheus import FOLDER, MISSING, RULES, alerts, rules
from threelane.contract.refusal import Owner
from threelane.operations.catalogue import UNLISTED, of_series

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
SERIES = re.compile(r"\bthreelane_[a-z0-9_]+")
ENVIRONMENT = os.environ | {"GOGC": "800"}  # collecting its garbage would take a third of its time
needs_promtool = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def _promtool(*words: str) -> str:
    completed = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=280, env=ENVIRONMENT)
    assert 0 == completed.returncode, completed.stdout + completed.stderr
    return completed.stdout


@needs_promtool
def test_the_rules_and_the_configuration_are_sound() -> None:
    """Prometheus does not start on a mistake in them."""
    folder = FOLDER / "prometheus"
    assert "SUCCESS" in _promtool("check", "rules", str(RULES))
    assert "SUCCESS" in _promtool("check", "config", str(folder / "prometheus.yml"))


@needs_promtool
@pytest.mark.slow
def test_each_alert_fires_for_its_cause_and_for_no_other() -> None:
    """The scenes are in rules_test.yml: after each, all that fires is named."""
    assert "SUCCESS" in _promtool("test", "rules", str(FOLDER / "prometheus" / "rules_test.yml"))


def test_each_alert_has_a_scene() -> None:
    """An alert that never fired in a test is only a hope."""
    scenes = (FOLDER / "prometheus" / "rules_test.yml").read_text()
    assert [] == [one["alert"] for one in alerts() if f'{{alertname="{one["alert"]}"}}' not in scenes]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_names_its_owner_and_the_first_step(alert: dict[str, dict[str, str]]) -> None:
    """Who is woken at night reads one text, and has a link to the rest."""
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["labels"]["owner"] in set(Owner)
    assert {"summary", "meaning", "first_step", "runbook"} == set(alert["annotations"])
    anchor = alert["annotations"]["runbook"].removeprefix("docs/runbook.md#")
    sections = {part.split("\n")[0].lower(): part for part in RUNBOOK.read_text().split("\n## ")[1:]}
    assert anchor == str(alert["alert"]).lower()
    for word in ("**Meaning.**", "**First step.**", "**Over when.**"):
        assert word in sections[anchor]


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    """It is read at night."""
    sections = {part.split("\n")[0] for part in RUNBOOK.read_text().split("\n## ")[1:]}
    assert {one["alert"] for one in alerts()} == sections


def test_the_rules_name_only_metrics_of_the_catalogue() -> None:
    """A metric that was renamed leaves an alert that never fires."""
    named = {name for rule in rules() for name in SERIES.findall(rule["expr"])}
    assert [] == sorted(name for name in named if of_series(name) is None)


def test_the_alert_for_unlisted_codes_names_what_the_tables_fall_back_to() -> None:
    """A new fallback without the alert would go unseen."""
    (expr,) = (one["expr"] for one in alerts() if one["alert"] == "UnlistedCode")
    named = set(re.findall(r'code=~"([^"]*)"', expr)[0].split("|"))
    assert UNLISTED | {"status"} == named


_OF_INSTALLATION = {
    *("InternalError", "DamagedData", "RedisMemoryHigh", "RedisMemoryFull", "RedisAway", "RedisNotWritable"),
    *("RedisRefuses", "ExporterGone", "CallbacksGone", "WebhookDeadLetters", "OptOutsRise"),
    "CallbackOfAnotherAccount",
    *("NeighbouringNumbers", "LimitReached", "BatchPausedLong", "PausedMessagesExpire", "NewCountry"),
    *("RepliesUnassigned", "RepliesRemovedUnread"),
}


def test_every_alert_names_its_account_except_those_of_the_whole_installation() -> None:
    """Who has ten accounts and is woken by "the account has no credit" has to look up which."""
    unnamed = {one["alert"] for one in alerts() if "$labels.account" not in one["annotations"]["summary"]}
    assert _OF_INSTALLATION == unnamed
