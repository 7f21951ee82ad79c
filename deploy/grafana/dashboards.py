"""Dashboards as code: ``python -m deploy.grafana.dashboards`` writes dashboards/*.json; a panel's title is a question.

The colour of a stat shows whether somebody should act: green for no, orange for tomorrow morning, red for now. The
limits are those of deploy/prometheus/rules.yml.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)

from threelane.operations.catalogue import ACCOUNT, of_series

FOLDER = Path(__file__).with_name("dashboards")
SOURCE = DataSourceRef(type_val="prometheus", uid="threelane-prometheus")
WINDOW = "$__rate_interval"
_A_MINUTE, _AN_HOUR = " * 60", " * 3600"


class Limits(NamedTuple):
    """The values from which a stat is orange and red; with ``falling``, below them instead of above."""

    orange: float
    red: float | None
    falling: bool = False


class Panel(NamedTuple):
    """One question and the queries that answer it; ``now`` shows only the current value, large."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]  # PromQL, legend
    help: str = ""
    limits: Limits | None = None
    now: bool = False
    width: int = 12
    none: str = ""  # shown when there is no data
    stacked: bool = False
    words: bool = False  # also show the names of the series
    yes_no: tuple[str, str] = ("", "")  # texts for 1 and 0


class Board(NamedTuple):
    """One dashboard: rows of a title and panels."""

    uid: str
    title: str
    about: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    variable: str = ""


_NAMED = re.compile(r"\b(threelane_[a-z0-9_]+)(?:\{([^}]*)\})?")


def of_accounts(expression: str) -> str:
    """Return a query for the accounts that the variable ``account`` selects; all of them include series without one.

    What processes of several accounts expose, and dead letters, have no account, and are shown for each.
    """
    return _NAMED.sub(_with_account, expression)


def _with_account(found: re.Match[str]) -> str:
    metric = of_series(found[1])
    if metric is None or not any(ACCOUNT in metric.labels_of(where) for where in metric.where):
        return found[0]
    has_others = metric.name == "threelane_messages" or any(
        ACCOUNT not in metric.labels_of(one) for one in metric.where
    )
    matchers = filter(None, (found[2], f'{ACCOUNT}=~"$account{"|" if has_others else ""}"'))
    return f"{found[1]}{{{', '.join(matchers)}}}"


def _rate(metric: str, by: str, where: str = "", per: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{where}[{WINDOW}])){per}"


def _most(metric: str, by: str) -> str:
    """Return the ten largest charges per hour: by account, since each may have its own currency."""
    return f"topk by (account) (10, {_rate(metric, f'account, {by}', per=_AN_HOUR)})"


def _happened(metric: str, by: str) -> str:
    """Return the rate per minute of series that increased in the last hour: a hundred codes at 0 answer nothing."""
    return f"{_rate(metric, by, per=_A_MINUTE)} and sum by ({by}) (increase({metric}[1h])) > 0"


def _sum(metric: str, where: str = "", window: str = WINDOW) -> str:
    """Return the sum of increases; 0 instead of no data when nothing has happened yet."""
    return f"sum(increase({metric}{where}[{window}])) or vector(0)"


LANES = Board(
    "threelane-lanes",
    "Threelane / 1 Lanes",
    "Do messages flow, which lanes wait, and for how long?",
    (
        (
            "Now",
            (
                Panel(
                    "How long has the oldest message waited?",
                    "s",
                    [("max by (lane) (threelane_lane_oldest_seconds)", "lane {{lane}}")],
                    "Since it was accepted or due, also on hold, retried or in doubt. Lane 1: alert above 30 s.",
                    Limits(5, 30),
                    now=True,
                    width=5,
                    words=True,
                ),
                Panel(
                    "How many messages wait?",
                    "short",
                    [("sum by (lane) (threelane_lane_depth)", "lane {{lane}}")],
                    now=True,
                    width=4,
                    words=True,
                ),
                Panel(
                    "What is on hold?",
                    "short",
                    [("sum by (account, scope, code) (threelane_on_hold)", "{{account}}: {{scope}} {{code}}")],
                    "threelane holds shows why and until when; docs/operations.md explains what to do.",
                    Limits(1, 1),
                    now=True,
                    width=4,
                    none="nothing",
                    words=True,
                ),
                Panel(
                    "Do workers run?",
                    "short",
                    [("sum(threelane_workers)", "workers"), ("sum(threelane_workers_of_lane_1)", "of lane 1")],
                    limits=Limits(1, 1, falling=True),
                    now=True,
                    width=4,
                    words=True,
                ),
                Panel(
                    "When is the backlog cleared?",
                    "m",
                    [("max(threelane_drain_minutes)", "cleared in")],
                    "At the rate that all workers of an account share; of the account that takes longest.",
                    Limits(15, 60),
                    now=True,
                    width=4,
                ),
                Panel(
                    "Is Redis full?",
                    "percentunit",
                    [("threelane_redis_memory_share", "memory of Redis")],
                    "Share of the memory that Redis may use. Intake refuses at 90 %. 0 %: maxmemory is not set.",
                    Limits(0.8, 0.9),
                    now=True,
                    width=3,
                ),
            ),
        ),
        (
            "Which lanes wait, and for how long?",
            (
                Panel(
                    "How long did the oldest message wait?",
                    "s",
                    [("threelane_lane_oldest_seconds", "{{account}} lane {{lane}}")],
                    limits=Limits(5, 30),
                ),
                Panel("How many messages waited?", "short", [("threelane_lane_depth", "{{account}} lane {{lane}}")]),
                Panel(
                    "What did messages wait for?",
                    "short",
                    [("sum by (lane, cause) (threelane_waiting) > 0", "lane {{lane}} {{cause}}")],
                ),
                Panel(
                    "How many messages of paused batches wait, and how many expired?",
                    "short",
                    [
                        ("sum by (lane) (threelane_paused_messages)", "lane {{lane}} waits"),
                        ("sum(increase(threelane_expired_paused_total[1h]))", "expired within the hour"),
                    ],
                    "threelane doctor names the batches; threelane batch resume sends the rest of one.",
                ),
                Panel(
                    "How fast is a login code? (accept to first call, 95th percentile)",
                    "s",
                    [
                        (
                            "histogram_quantile(0.95, sum by (lane, le) "
                            f"(rate(threelane_accept_to_gateway_seconds_bucket[{WINDOW}])))",
                            "lane {{lane}}",
                        )
                    ],
                ),
                Panel(
                    "Is the gateway slow? (one call)",
                    "s",
                    [
                        (
                            f"histogram_quantile({share}, sum by (le) "
                            f"(rate(threelane_gateway_call_seconds_bucket[{WINDOW}])))",
                            f"{share:.0%}",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ],
                ),
            ),
        ),
        (
            "Do messages flow?",
            (
                Panel(
                    "What comes in? (per second)",
                    "short",
                    [(_rate("threelane_accepted_total", "lane"), "lane {{lane}}")],
                ),
                Panel(
                    "What goes out? (per second)",
                    "short",
                    [(_rate("threelane_moved_total", "lane", '{status="sent"}'), "lane {{lane}}")],
                ),
                Panel(
                    "What does each account send? (messages per second)",
                    "short",
                    [(_rate("threelane_moved_total", "account", '{status="sent"}'), "{{account}}")],
                    "Each account has its own rate, THREELANE_PARTS_PER_SECOND.",
                ),
                Panel(
                    "What arrives? (per second)",
                    "short",
                    [
                        (
                            _rate("threelane_moved_total", "status", '{status=~"delivered|undelivered|expired"}'),
                            "{{status}}",
                        )
                    ],
                ),
                Panel(
                    "Do login codes arrive? (lane 1, late per minute)",
                    "short",
                    [(_sum("threelane_late_total", window="1m"), "no receipt in time")],
                ),
                Panel(
                    "Which states are the messages in?",
                    "short",
                    [("sum by (status) (threelane_messages)", "{{status}}")],
                ),
                Panel(
                    "Are there enough workers?",
                    "short",
                    [
                        ("threelane_workers", "{{account}}: running"),
                        ("threelane_workers_worth_having", "{{account}}: worth having"),
                    ],
                    "A worker serves one account.",
                ),
            ),
        ),
    ),
)

MONEY = Board(
    "threelane-money",
    "Threelane / 2 Money",
    "What is spent and by whom, what is left, and when does it run out?",
    (
        (
            "Now",
            (
                Panel(
                    "When does the balance run out?",
                    "h",
                    [("threelane_hours_left", "{{account}}")],
                    "At the rate of the last hour.",
                    Limits(24, 2, falling=True),
                    now=True,
                    width=4,
                    words=True,
                    none="no charges yet",
                ),
                Panel(
                    "How many credits are left?",
                    "short",
                    [("threelane_left_credits", "{{account}}")],
                    "Each account has its own credits, and may have its own currency.",
                    now=True,
                    width=4,
                    words=True,
                ),
                Panel(
                    "How many credits are missing?",
                    "short",
                    [("threelane_short_credits", "{{account}}")],
                    "The credits missing to pay for all waiting messages.",
                    Limits(0.01, None),
                    now=True,
                    width=4,
                    words=True,
                ),
                Panel(
                    "How fast are credits spent?",
                    "short",
                    [("threelane_burn_credits_per_hour", "{{account}}")],
                    "Credits per hour.",
                    now=True,
                    width=4,
                    words=True,
                ),
                Panel(
                    "Does a lane wait for credit?",
                    "short",
                    [("threelane_lane_reserved", "{{account}} lane {{lane}}")],
                    "The remaining credits are reserved for higher lanes.",
                    Limits(1, 1),
                    now=True,
                    width=4,
                    words=True,
                    yes_no=("waits", "no"),
                ),
                Panel(
                    "How old is the reading?",
                    "s",
                    [("threelane_balance_age_seconds", "{{account}}")],
                    limits=Limits(120, 600),
                    now=True,
                    width=4,
                    words=True,
                    none="never read",
                ),
            ),
        ),
        (
            "What is left",
            (
                Panel(
                    "Do the credits cover all waiting messages?",
                    "short",
                    [
                        ("threelane_left_credits", "{{account}}: left"),
                        ("threelane_balance_credits", "{{account}}: balance as last read"),
                        ("sum by (account) (threelane_committed_credits)", "{{account}}: committed"),
                    ],
                ),
                Panel(
                    "For how many hours does the balance last?",
                    "h",
                    [("threelane_hours_left", "{{account}}")],
                    limits=Limits(24, 2, falling=True),
                ),
                Panel(
                    "What will the waiting messages cost? (credits)",
                    "short",
                    [("threelane_committed_credits", "{{account}} lane {{lane}}")],
                    stacked=True,
                ),
                Panel(
                    "Does another system spend credits? (credits without a charge)",
                    "short",
                    [("threelane_drift_credits", "{{account}}")],
                    "How much more the balance fell than the reported charges explain.",
                ),
            ),
        ),
        (
            "What is spent (credits per hour)",
            (
                Panel(
                    "Which lane spends credits?",
                    "short",
                    [
                        (
                            _rate("threelane_charged_credits_total", "account, lane", per=_AN_HOUR),
                            "{{account}} lane {{lane}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Which cost centre spends credits?",
                    "short",
                    [
                        (
                            _most("threelane_charged_credits_total", "cost_centre"),
                            "{{account}} {{cost_centre}}",
                        )
                    ],
                ),
                Panel(
                    "Which producer spends credits?",
                    "short",
                    [
                        (
                            _most("threelane_charged_by_producer_credits_total", "producer"),
                            "{{account}} {{producer}}",
                        )
                    ],
                ),
                Panel(
                    "In which country are credits spent?",
                    "short",
                    [
                        (
                            _most("threelane_charged_by_country_credits_total", "country"),
                            "{{account}} {{country}}",
                        )
                    ],
                ),
                Panel(
                    "What does a part cost? (credits, since counting began)",
                    "short",
                    [
                        (
                            "sum by (account, lane) (threelane_charged_credits_total) / sum by (account, lane) "
                            "(threelane_charged_parts_total)",
                            "{{account}} lane {{lane}}",
                        )
                    ],
                ),
                Panel(
                    "Whose budget runs out?",
                    "percentunit",
                    [("threelane_budget_used_credits / threelane_budget_credits > 0", "{{scope}} per {{period}}")],
                    limits=Limits(0.8, 1),
                    none="no budgets",
                ),
            ),
        ),
    ),
)

TROUBLE = Board(
    "threelane-trouble",
    "Threelane / 3 Trouble",
    "What went wrong, who can fix it, and what is on hold?",
    (
        (
            "Now",
            (
                Panel(
                    "What is on hold?",
                    "short",
                    [("sum by (account, scope, code) (threelane_on_hold)", "{{account}}: {{scope}} {{code}}")],
                    limits=Limits(1, 1),
                    now=True,
                    width=6,
                    none="nothing",
                    words=True,
                ),
                Panel(
                    "Messages in doubt",
                    "short",
                    [('sum(threelane_messages{status="in_doubt"})', "in doubt")],
                    "Their answer was lost. They are looked up, and not sent again in the meantime.",
                    Limits(10, 100),
                    now=True,
                    width=4,
                ),
                Panel(
                    "Which codes are unlisted, or a defect? (1 hour)",
                    "short",
                    [("round(sum by (code) (increase(threelane_alarms_total[1h]))) > 0", "{{code}}")],
                    "Alarms by rule: 0xx to xxx are codes that no table lists.",
                    Limits(1, 1),
                    now=True,
                    width=6,
                    none="nothing",
                    words=True,
                ),
                Panel(
                    "How many dead letters are there?",
                    "short",
                    [('threelane_messages{status="dead"}', "dead")],
                    "When their cause is fixed, threelane redrive <code> puts them back.",
                    now=True,
                    width=4,
                ),
                Panel(
                    "Is Redis up and writable?",
                    "short",
                    [("threelane_redis_up", "up"), ("threelane_redis_writable", "writable")],
                    limits=Limits(1, 1, falling=True),
                    now=True,
                    width=4,
                    none="no exporter",
                    yes_no=("yes", "no"),
                ),
            ),
        ),
        (
            "Who can fix it? (messages per minute)",
            (
                Panel(
                    "Who can fix the dead letters?",
                    "short",
                    [(_happened("threelane_dead_total", "owner"), "{{owner}}")],
                    stacked=True,
                ),
                Panel(
                    "Which codes caused dead letters?",
                    "short",
                    [(_happened("threelane_dead_total", "account, code, owner"), "{{account}} {{code}} {{owner}}")],
                ),
                Panel(
                    "Why are messages refused?",
                    "short",
                    [(_happened("threelane_refused_total", "code"), "{{code}}")],
                ),
                Panel(
                    "Which codes cause retries?",
                    "short",
                    [(_happened("threelane_retried_total", "code"), "{{code}}")],
                ),
                Panel(
                    "How does the gateway respond?",
                    "short",
                    [(_rate("threelane_attempts_total", "account, outcome", per=_A_MINUTE), "{{account}} {{outcome}}")],
                ),
                Panel(
                    "Does the gateway lose answers?",
                    "short",
                    [(_happened("threelane_in_doubt_total", "account, code"), "{{account}} {{code}}")],
                ),
                Panel(
                    "Does the gateway stop answering?",
                    "short",
                    [
                        ("threelane_breaker_open", "{{account}}: breaker open"),
                        (_happened("threelane_breaker_openings_total", "outcome"), "opened after {{outcome}}"),
                        (_happened("threelane_gateway_probes_total", "result"), "probes {{result}}"),
                        ("sum(threelane_workers_at_fault)", "workers that stopped alone"),
                    ],
                    "docs/outages.md explains what happens. threelane holds shows the next probe.",
                ),
                Panel(
                    "Do senders and prefixes on hold recover?",
                    "short",
                    [
                        (_happened("threelane_held_total", "scope"), "{{scope}} on hold"),
                        (_happened("threelane_hold_probes_total", "scope"), "{{scope}} probed"),
                        (_happened("threelane_holds_healed_total", "scope"), "{{scope}} lifted by a probe"),
                    ],
                    "threelane holds shows the evidence for each hold, and when the next message tests it.",
                ),
            ),
        ),
        (
            "Does it recover?",
            (
                Panel(
                    "How soon do look-ups find messages?",
                    "s",
                    [("threelane_look_up_delay_seconds", "{{account}}: largest recent delay")],
                    "A lost message is sent again after three times this delay, at the earliest after 5 s.",
                ),
                Panel(
                    "How often are refusals looked up, or doubts reopened?",
                    "short",
                    [
                        (_happened("threelane_verified_refusals_total", "code"), "{{code}} looked up"),
                        (_sum("threelane_reopened_doubts_total", window="1m"), "reopened"),
                        (_sum("threelane_renamed_total", window="1m"), "another id"),
                        (_sum("threelane_hidden_samples_total", window="1m"), "never found"),
                    ],
                ),
                Panel(
                    "How were messages in doubt resolved? (per minute)",
                    "short",
                    [
                        (_rate("threelane_resolved_total", "result", per=_A_MINUTE), "{{result}}"),
                        (_sum("threelane_unknown_total", window="1m"), "unknown for good"),
                    ],
                ),
                Panel(
                    "Do workers die? (per minute)",
                    "short",
                    [(_sum("threelane_lapsed_leases_total", window="1m"), "attempts cut off")],
                ),
                Panel(
                    "Do nudges arrive? (messages per minute)",
                    "short",
                    [
                        (_sum("threelane_unpublished_total", window="1m"), "not taken by the broker"),
                        (_sum("threelane_found_without_nudge_total", window="1m"), "found by a look"),
                        (_sum("threelane_swept_messages_total", window="1m"), "found by the sweep"),
                        (_sum("threelane_swept_again_total", window="1m"), "found by the sweep again"),
                    ],
                ),
                Panel(
                    "Do receipts come in? (per minute)",
                    "short",
                    [
                        (_rate("threelane_receipts_total", "result", per=_A_MINUTE), "{{result}}"),
                        (_sum("threelane_foreign_statuses_total", window="1m"), "of messages that are not ours"),
                        (_sum("threelane_callback_passwords_refused_total", window="1m"), "refused for their password"),
                        (_sum("threelane_polled_total", window="1m"), "looked up, since none came"),
                    ],
                ),
                Panel(
                    "Does housekeeping fail? (per minute)",
                    "short",
                    [(_sum("threelane_housekeeping_failed_total", window="1m"), "rounds failed")],
                ),
                Panel(
                    "Do webhooks accept events? (per minute)",
                    "short",
                    [
                        (_sum("threelane_webhooks_total", f'{{result="{result}"}}', "1m"), result)
                        for result in ("taken", "failed", "dead", "dropped")
                    ],
                ),
                Panel(
                    "Do recipients reply STOP? (per minute)",
                    "short",
                    [
                        (_sum("threelane_replies_told_total", '{word=~"stop|near_stop"}', "1m"), "replied STOP"),
                        (_sum("threelane_suppressions_total", window="1m"), "added to the suppression list"),
                    ],
                ),
                Panel(
                    "Does one number, prefix, country or producer get too much? (per minute)",
                    "short",
                    [
                        (_happened("threelane_limited_total", "limited, action"), "{{limited}} {{action}}"),
                        (_sum("threelane_neighbour_runs_total", window="1m"), "runs of neighbouring numbers"),
                    ],
                    "Messages over a limit. threelane limits list shows the limits, threelane doctor those in use.",
                ),
                Panel(
                    "Do replies reach a producer? (per minute)",
                    "short",
                    [
                        (_rate("threelane_replies_routed_total", "route", per=_A_MINUTE), "{{route}}"),
                        ("max(threelane_replies_unassigned)", "in the inbox now"),
                        (_sum("threelane_replies_removed_unread_total", window="1m"), "removed unread"),
                    ],
                ),
            ),
        ),
    ),
)

_ONE = '{instance=~"$instance"}'
WORKER = Board(
    "threelane-worker",
    "Threelane / 4 One worker",
    "What does one worker do, and is it healthy?",
    (
        (
            "Work",
            (
                Panel(
                    "What does it send? (messages per second)",
                    "short",
                    [(_rate("threelane_claimed_total", "lane", _ONE), "lane {{lane}}")],
                ),
                Panel(
                    "How do its attempts end? (per second)",
                    "short",
                    [(_rate("threelane_attempts_total", "outcome, reason", _ONE), "{{outcome}} {{reason}}")],
                ),
                Panel(
                    "Are its calls slow?",
                    "s",
                    [
                        (
                            f"histogram_quantile({share}, sum by (le) "
                            f"(rate(threelane_gateway_call_seconds_bucket{_ONE}[{WINDOW}])))",
                            f"{share:.0%}",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ],
                ),
                Panel(
                    "Is it at its limit of concurrent calls?",
                    "short",
                    [(f"sum by (instance) (threelane_calls_under_way{_ONE})", "{{instance}}")],
                    "THREELANE_GATEWAY_CONNECTIONS is the limit.",
                ),
            ),
        ),
        (
            "Housekeeping and health",
            (
                Panel(
                    "What housekeeping does it do? (messages per minute)",
                    "short",
                    [
                        (_sum("threelane_released_total", _ONE, "1m"), "released when due"),
                        (_sum("threelane_deferred_total", _ONE, "1m"), "deferred until a window opens"),
                        (_sum("threelane_polled_total", _ONE, "1m"), "receipts looked up"),
                        (_sum("threelane_resolved_total", _ONE, "1m"), "doubts resolved"),
                        (_sum("threelane_swept_total", _ONE, "1m"), "lost nudges found"),
                        (_sum("threelane_lapsed_total", _ONE, "1m"), "leases lapsed"),
                    ],
                ),
                Panel(
                    "Is it unhealthy? (per minute)",
                    "short",
                    [
                        (_sum("threelane_housekeeping_failed_total", _ONE, "1m"), "rounds failed"),
                        (_sum("threelane_settled_elsewhere_total", _ONE, "1m"), "settled elsewhere"),
                        (_sum("threelane_alarms_total", _ONE, "1m"), "alarms"),
                        (_sum("threelane_internal_errors_total", _ONE, "1m"), "internal errors"),
                        (_sum("threelane_unreadable_nudges_total", _ONE, "1m"), "unreadable nudges"),
                    ],
                ),
                Panel(
                    "Does its memory grow?",
                    "bytes",
                    [(f"process_resident_memory_bytes{_ONE}", "{{job}} {{instance}}")],
                ),
                Panel(
                    "Is its core fully used?",
                    "percentunit",
                    [(f"rate(process_cpu_seconds_total{_ONE}[{WINDOW}])", "{{job}} {{instance}}")],
                    limits=Limits(0.8, 0.95),
                ),
            ),
        ),
    ),
    variable="instance",
)
BOARDS = (LANES, MONEY, TROUBLE, WORKER)


def file_of(board: Board) -> Path:
    """Return the file that a dashboard is written to."""
    return FOLDER / f"{board.uid.removeprefix('threelane-')}.json"


def written(board: Board) -> str:
    """Return the dashboard's JSON."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["threelane"])
        .refresh("15s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("Threelane").type(DashboardLinkType.DASHBOARDS).tags(["threelane"]).keep_time(True)
        )
    )
    made.with_variable(
        dashboard.QueryVariable(ACCOUNT)
        .datasource(SOURCE)
        .query("label_values(threelane_workers, account)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .multi(True)
    )
    if board.variable:
        made.with_variable(
            dashboard.QueryVariable(board.variable)
            .datasource(SOURCE)
            .query('label_values(up{job="threelane-worker"}, instance)')
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .multi(True)
        )
    for title, panels in board.rows:
        made.with_row(dashboard.Row(title))
        for panel in panels:
            made.with_panel(_stat(panel) if panel.now else _curves(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _targets(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().expr(of_accounts(expr)).legend_format(legend).ref_id(chr(ord("A") + place))
        for place, (expr, legend) in enumerate(panel.queries)
    ]


def _steps(limits: Limits | None) -> dashboard.ThresholdsConfig:
    config = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    if limits is None:
        return config.steps([Threshold(value=None, color="blue")])
    if limits.falling:
        steps = [("red", None), ("orange", limits.red), ("green", limits.orange)]
    else:
        steps = [("green", None), ("orange", limits.orange), ("red", limits.red)]
        steps = [step for step in steps if step[0] == "green" or step[1] is not None]
    if limits.orange == limits.red:
        steps = [step for step in steps if step[0] != "orange"]
    return config.steps([Threshold(value=value, color=color) for color, value in steps])


def _stat(panel: Panel) -> stat.Panel:
    made = (
        stat.Panel()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .unit(panel.unit)
        .thresholds(_steps(panel.limits))
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .text_mode(
            common_models.BigValueTextMode.VALUE_AND_NAME if panel.words else common_models.BigValueTextMode.VALUE
        )
        .no_value(panel.none or "no data")
        .span(panel.width)
        .height(4)
    )
    if panel.yes_no[0]:
        texts = {str(value): ValueMappingResult(text=text) for value, text in zip((1, 0), panel.yes_no, strict=True)}
        made.mappings([ValueMap(options=texts)])
    for target in _targets(panel):
        made.with_target(target.instant())
    return made


def _curves(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .unit(panel.unit)
        .fill_opacity(30 if panel.stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.RIGHT)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .no_value(panel.none or "nothing")
        .span(panel.width)
        .height(7)
    )
    if "drift" not in panel.queries[0][0]:
        made.min(0)
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if panel.limits:
        made.thresholds(_steps(panel.limits))
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED))
    for target in _targets(panel):
        made.with_target(target)
    return made


def main() -> None:
    """Write all dashboards."""
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        file_of(board).write_text(written(board), encoding="utf-8")


if __name__ == "__main__":
    main()
