"""``threelane windows holidays`` as an operator types it, and what windows do with it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.servers import RedisServer
from threelane.contract import holidays
from threelane.interfaces.command.windows import app
from threelane.operations.doctor import diagnose
from threelane.store import keys, windows
from threelane.worker.policy.legacy import LEGACY

ZA, NAMIBIA = "27831234567", "26461234567"
NEXT = datetime.now(UTC).year + 1
MAY_DAY = f"{NEXT}-05-01"
TODAY = datetime.now(UTC).date()
SOON, SOON_AFTER = [
    day for ahead in range(30, 34) if (day := TODAY + timedelta(days=ahead)).strftime("%m%d") != "0229"
][:2]
"""Two days that recur next year, but not within two years from now once more."""
ONE_DAY = "\r\n".join(
    [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:1", f"DTSTART;VALUE=DATE:{SOON:%Y%m%d}",
        "SUMMARY:Workers' Day", "RRULE:FREQ=YEARLY", "END:VEVENT", "END:VCALENDAR", "",
    ]
)  # fmt: skip


def next_year(day: date) -> date:
    return day.replace(year=day.year + 1)


class Operator:
    """Types commands."""

    def __init__(self, redis_url: str) -> None:
        self.environment = {"THREELANE_REDIS_URL": redis_url}

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, env=self.environment)

    def holidays(self, *words: str) -> Result:
        return self.types("holidays", *words)

    def listed(self, *words: str) -> list[dict[str, str]]:
        return list(json.loads(self.holidays("list", "--json", *words).stdout)["holidays"])


@pytest.fixture
def operator(client: redis.Redis, redis_server: RedisServer) -> Operator:
    """An operator of an empty Redis."""
    assert 0 == client.exists(keys.WINDOWS, keys.HOLIDAYS)
    return Operator(redis_server.url)


def test_holidays_are_added_listed_and_removed(operator: Operator, client: redis.Redis) -> None:
    """For a country or for all; the next day is open again."""
    assert "no holidays" in operator.holidays("list").stdout

    added = operator.holidays("add", MAY_DAY, f"{NEXT}-05-02", "--country", "za", "--name", "Workers'\nDay")
    lines = [f"closed on {day} (Workers' Day) in ZA" for day in (MAY_DAY, f"{NEXT}-05-02")]
    assert (0, lines) == (added.exit_code, added.stdout.splitlines())
    assert 0 == operator.holidays("add", f"{NEXT}-06-01").exit_code
    assert "1 of them was known" in operator.holidays("add", MAY_DAY, "--country", "ZA").stdout
    assert {
        f"ZA:{MAY_DAY}".encode(): b"",
        f"ZA:{NEXT}-05-02".encode(): b"Workers' Day",
        f"*:{NEXT}-06-01".encode(): b"",
    } == client.hgetall(keys.HOLIDAYS)
    assert [MAY_DAY, f"{NEXT}-05-02", f"{NEXT}-06-01"] == [one["day"] for one in operator.listed("--country", "ZA")]
    assert [f"{NEXT}-06-01"] == [one["day"] for one in operator.listed("--country", "NA")]
    assert "Workers' Day" in operator.holidays("list").stdout

    removed = operator.holidays("remove", MAY_DAY, f"{NEXT}-05-03", "--country", "ZA")
    assert (6, True) == (removed.exit_code, "was not a holiday" in removed.stdout)
    assert [f"{NEXT}-05-02", f"{NEXT}-06-01"] == [one["day"] for one in operator.listed()]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["add", "25.12.2026"], "'25.12.2026' is not a day: write YYYY-MM-DD"),
        (["add", "2026-W53-5"], "is not a day"),
        (["add", f"{NEXT}-02-30"], "is not a day"),
        (["add", MAY_DAY, "2026-01-01"], "2026-01-01 is in the past"),
        (["add", f"{NEXT + 9}-01-01"], "more than 5 years ahead"),
        (["add", MAY_DAY, "--country", "UK"], "'UK' is not a country"),
        (["add", MAY_DAY, "--country", ""], "'' is not a country"),
        (["add", MAY_DAY, "--country", "GG"], "cannot be told from those of GB"),
        (["add", MAY_DAY, "--country", "South Africa"], "did you mean ZA (South Africa)"),
        (["remove", "x"], "'x' is not a day"),
        (["list", "--country", "XX"], "is not a country"),
    ],
)
def test_an_invalid_holiday_is_refused(operator: Operator, client: redis.Redis, words: list[str], problem: str) -> None:
    """Exit code 2, a sentence, and nothing changed, also for the days beside it."""
    answer = operator.holidays(*words)

    assert (2, "") == (answer.exit_code, answer.stdout)
    assert problem in answer.stderr
    assert 0 == client.exists(keys.HOLIDAYS)


def test_a_calendar_is_imported_whole_or_not_at_all(operator: Operator, client: redis.Redis, tmp_path: Path) -> None:
    """A later edition replaces the earlier one of its country, and leaves the other countries alone."""
    file = tmp_path / "za.ics"
    file.write_bytes(ONE_DAY.encode())
    imported = operator.holidays("import", str(file), "--country", "ZA")
    assert (0, "2 holidays from za.ics, 2 of them new") == (imported.exit_code, imported.stdout.splitlines()[-1])
    assert [(str(day), "ZA", "Workers' Day") for day in (SOON, next_year(SOON))] == [
        (one["day"], one["country"], one["name"]) for one in operator.listed()
    ]

    before = client.hgetall(keys.HOLIDAYS)
    file.write_bytes(ONE_DAY.replace(";VALUE=DATE", "").replace(f"{SOON:%Y%m%d}", f"{SOON:%Y%m%d}T080000").encode())
    for refused, problem in (
        (operator.holidays("import", str(file)), "line 4, Workers' Day: it has a time of day"),
        (operator.holidays("import", str(tmp_path / "no.ics")), "No such file"),
        (operator.holidays("import", str(tmp_path)), "Is a directory"),
    ):
        assert (2, "") == (refused.exit_code, refused.stdout)
        assert problem in " ".join(refused.stderr.split())
    file.write_bytes(ONE_DAY.replace(f"{SOON:%Y%m%d}", "20200501").replace("RRULE:FREQ=YEARLY\r\n", "").encode())
    nothing_new = operator.holidays("import", str(file)).stderr
    assert "no day in the next 2 years; nothing was changed" in " ".join(nothing_new.split())
    assert before == client.hgetall(keys.HOLIDAYS)

    operator.holidays("add", str(SOON), "--country", "NA")
    file.write_bytes(ONE_DAY.replace(f"{SOON:%Y%m%d}", f"{SOON_AFTER:%Y%m%d}").encode())
    replaced = operator.holidays("import", str(file), "--country", "ZA", "--replace", "--json")
    assert 2 == json.loads(replaced.stdout)["new"]
    assert [(str(SOON), "NA"), (str(SOON_AFTER), "ZA"), (str(next_year(SOON_AFTER)), "ZA")] == [
        (one["day"], one["country"]) for one in operator.listed()
    ]


def test_a_holiday_is_shown_where_a_message_waits_for_it(operator: Operator, client: redis.Redis) -> None:
    """The trial names it; lane 1, other countries and messages without a window are sent."""
    windows.set_window(client, "lane:3", "daily 08:00-20:00 recipient")
    operator.holidays("add", MAY_DAY, "--country", "ZA", "--name", "Workers' Day")
    noon, opens = f"{MAY_DAY}T12:00:00Z", f"{NEXT}-05-02 06:00:00Z"

    waits = operator.types("try", "lane:3", "--to", ZA, "--at", noon).stdout.splitlines()
    assert waits[0].startswith(f"it waits until {opens}")
    assert ["the recipient's time: Africa/Johannesburg, the zone of ZA",
            f"closed on holidays: {MAY_DAY} (Workers' Day) in ZA"] == waits[1:]  # fmt: skip
    for words in (["lane:3", "--to", NAMIBIA], ["lane:2", "--to", ZA], ["lane:1", "--to", ZA]):
        assert json.loads(operator.types("try", *words, "--at", noon, "--json").stdout)["open"], words


def test_the_doctor_shows_windows_that_holidays_close(client: redis.Redis) -> None:
    """One day is as planned; more than a message may wait are a calendar that somebody should look at."""
    now = int(datetime(2026, 12, 25, 12, tzinfo=UTC).timestamp() * 1000)
    windows.set_window(client, "lane:3", "daily 08:00-20:00 recipient")
    windows.add_holidays(client, [holidays.Holiday(date(2026, 12, 25), "ZA", "Christmas")], now=now)
    week = [holidays.Holiday(date(2026, 12, 21) + timedelta(days=ahead), "NA") for ahead in range(14)]
    windows.add_holidays(client, week, now=now)

    found = [(str(one.grade), one.detail) for one in diagnose(client, now, LEGACY) if one.what == "window"]
    assert ["warning", "ok"] == [grade for grade, _ in found]
    (_, never), (_, today) = found
    assert never.startswith("lane:3 is closed in NA for a holiday (2026-12-25, ")
    assert "does not open within 8 days: its messages expire" in never
    assert today == "lane:3 is closed in ZA for a holiday (2026-12-25) until 2026-12-26 06:00 UTC"


def test_holidays_are_limited_and_what_is_over_is_removed(client: redis.Redis) -> None:
    """Each worker reads them every five seconds."""
    assert 0 == client.exists(keys.WINDOWS, keys.HOLIDAYS)
    now = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1000)
    first = windows.today(now)
    many = [holidays.Holiday(first + timedelta(days=ahead)) for ahead in range(holidays.MOST)]
    client.hset(keys.HOLIDAYS, mapping={"ZA:2025-12-25": "over", "ZA:whenever": "invalid"})

    assert holidays.MOST == windows.add_holidays(client, many, now=now)
    assert client.hget(keys.HOLIDAYS, "ZA:2025-12-25") is None
    with pytest.raises(ValueError, match="at most 5,000 holidays"):
        windows.add_holidays(client, [holidays.Holiday(first, "ZA")], now=now)
    assert holidays.MOST == len(windows.holidays(client).known)


def test_a_row_that_is_no_holiday_closes_nothing_and_is_listed(operator: Operator, client: redis.Redis) -> None:
    """As a window that cannot be read holds nothing back."""
    client.hset(keys.HOLIDAYS, mapping={f"ZA:{MAY_DAY}": "x", "ZA:soon": "y", b"\xff": "z", "QQ:2031-01-01": b"\xff"})

    found = windows.holidays(client)
    assert ([f"ZA:{MAY_DAY}"], {"ZA:soon", "\ufffd", "QQ:2031-01-01"}) == (
        [one.row for one in found.known],
        set(found.unreadable),
    )
    assert "not a holiday: invalid row" in " ".join(operator.holidays("list").stdout.split())


def test_an_import_without_its_libraries_names_the_extra(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands for producers are installed without a parser of calendars."""
    monkeypatch.setitem(sys.modules, "threelane.operations.calendar_file", None)
    file = tmp_path / "za.ics"
    file.write_bytes(ONE_DAY.encode())
    refused = operator.holidays("import", str(file))

    needs = "threelane windows holidays import needs: pip install 'threelane[calendar]'"
    assert (2, "", needs) == (refused.exit_code, refused.stdout, " ".join(refused.stderr.split()))
