"""``threelane suppress`` as an operator types it."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.servers import RedisServer, free_port, stored
from threelane.interfaces.command.suppress import COLUMNS, app
from threelane.store import audit, keys, suppression
from threelane.store.suppression import IMPORT, OPERATOR, STOP, Entry

ZA = "27831234567"
DAY = 24 * 3600 * 1000
INTERNATIONAL = ("--numbers", "international")
HEADER = ",".join(COLUMNS)


class Operator:
    """Types commands."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.environment = {"THREELANE_REDIS_URL": redis_url}
        self.folder = folder

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, env=self.environment)

    def reads(self, *words: str) -> Any:
        result = self.types(*words, "--json")
        assert 0 == result.exit_code, result.output
        return json.loads(result.stdout)

    def imports(self, content: str | bytes, *words: str) -> Result:
        file = self.folder / "list.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.types("import", str(file), *words)


@pytest.fixture
def operator(client: redis.Redis, redis_server: RedisServer, tmp_path: Path) -> Operator:
    """An operator of an empty Redis."""
    assert stored(client) == 0
    return Operator(redis_server.url, tmp_path)


def now_of(client: redis.Redis) -> int:
    return int(client.time()[0]) * 1000


def exported(operator: Operator) -> set[tuple[str, ...]]:
    result = operator.types("export")
    assert 0 == result.exit_code
    header, *rows = csv.reader(StringIO(result.stdout))
    assert list(COLUMNS) == header
    return {tuple(row) for row in rows}


# Add, why, list, remove.


def test_a_number_is_added_explained_listed_and_removed(operator: Operator, client: redis.Redis) -> None:
    """However it is written; where a person may look over a shoulder its last digits are hidden."""
    result = operator.types("add", "+27 83 123-4567", "--evidence", "called on 3 May [red] 👍")
    assert (0, "27831****** is suppressed (all)\n") == (result.exit_code, result.stdout)
    (entry,) = suppression.why(client, ZA)
    assert (OPERATOR, "122", "all", "called on 3 May [red] 👍", 0, 1) == (
        entry.source,
        entry.code,
        entry.scope,
        entry.evidence,
        entry.expires,
        entry.times,
    )
    assert abs(entry.first - now_of(client)) < 60_000

    why = operator.types("why", "27831234567")
    assert 0 == why.exit_code
    words = set(why.stdout.split())  # a narrow terminal breaks the lines of a cell
    assert set() == {"operator", "122", "all", "yes", "never", "called", "on", "May", "[red]", "👍"} - words
    (row,) = operator.reads("why", ZA)
    assert (OPERATOR, True, entry.first) == (row["source"], row["in_force"], row["first"])

    listed = operator.types("list")
    assert 0 == listed.exit_code
    assert "27831******" in listed.stdout.split()
    assert ZA not in listed.stdout
    assert ZA in operator.types("list", "--numbers").stdout.split()
    assert [{"number": ZA, "sources": [OPERATOR]}] == [
        {"number": one["number"], "sources": [entry["source"] for entry in one["entries"]]}
        for one in operator.reads("list")
    ]

    removed = operator.types("remove", "+27831234567")
    assert (0, "1 entry of 27831****** removed\n") == (removed.exit_code, removed.stdout)
    assert not client.exists(keys.SUPPRESSED)
    again = operator.types("remove", ZA)
    assert (1, "0 entries of 27831****** removed\n") == (again.exit_code, again.stdout)
    changes = [(one.who, one.what, one.detail) for one in audit.read(client, 9)]
    assert [
        (audit.user(), "suppression", "27831******: 1 entries removed (of any source)"),
        (audit.user(), "suppression", "27831****** is suppressed (all)"),
    ] == changes


def test_an_audit_log_that_cannot_be_written_stops_no_suppression(operator: Operator, client: redis.Redis) -> None:
    """The change is made; that it has no entry is an error in the log."""
    client.set(keys.AUDIT, "x")
    assert 0 == operator.types("add", ZA).exit_code
    assert suppression.why(client, ZA)
    assert 0 == operator.types("remove", ZA).exit_code


def test_an_empty_list_is_reported_in_a_sentence(operator: Operator) -> None:
    """And as JSON in an empty list."""
    assert "no number is suppressed\n" == operator.types("list").stdout
    assert "this number is not suppressed\n" == operator.types("why", ZA).stdout
    assert ([], []) == (operator.reads("list"), operator.reads("why", ZA))
    assert set() == exported(operator)


def test_an_entry_may_have_a_scope_and_an_end(operator: Operator, client: redis.Redis) -> None:
    """Days, and parts of a day."""
    assert 0 == operator.types("add", ZA, "--scope", "sender:Shop", "--days", "0.5").exit_code
    assert 0 == operator.types("add", ZA, "--scope", "tag:promo", "--days", "30").exit_code
    half, month = suppression.why(client, ZA)
    assert ("sender:Shop", DAY // 2) == (half.scope, half.expires - half.first)
    assert ("tag:promo", 30 * DAY) == (month.scope, month.expires - month.first)


def test_a_narrow_terminal_hides_no_letter_of_the_evidence(operator: Operator, client: redis.Redis) -> None:
    """The table breaks its lines and shortens nothing."""
    evidence = "reply 0123456789abcdef0123456789abcdef to 12025550100"
    suppression.add(client, [(ZA, Entry(source=STOP, scope="sender:Shop & Son", evidence=evidence, first=1, last=1))])
    result = operator.types("why", ZA).stdout
    assert "…" not in result
    assert "…" not in operator.types("list").stdout
    assert Counter(evidence.replace(" ", "")) <= Counter(result)


def test_why_shows_entries_that_are_not_in_force(operator: Operator, client: redis.Redis) -> None:
    """Strikes so far, and what has expired."""
    suppression.add(client, [(ZA, Entry(source="code 105", times=2, needs=3, expires=9 * 10**12))])
    suppression.add(client, [(ZA, Entry(source=OPERATOR, expires=1000))])
    result = operator.types("why", ZA).stdout
    assert [True, True] == [part in result for part in ("2 of 3", "expired")]
    assert [False, False] == [row["in_force"] for row in operator.reads("why", ZA)]


def test_remove_removes_only_the_given_scope(operator: Operator, client: redis.Redis) -> None:
    """By source, by scope, by both."""
    every = [(source, scope) for source in (STOP, "code 122") for scope in ("all", "tag:promo")]
    suppression.add(client, [(ZA, Entry(source=source, scope=scope)) for source, scope in every])

    def left() -> list[tuple[str, str]]:
        return [(one.source, one.scope) for one in suppression.why(client, ZA)]

    assert 1 == operator.types("remove", ZA, "--source", "operator").exit_code
    assert every == left()
    assert 0 == operator.types("remove", ZA, "--source", "code 122", "--scope", "all").exit_code
    assert [every[0], every[1], every[3]] == left()
    assert "2 entries" in operator.types("remove", ZA, "--scope", "tag:promo").stdout
    assert [every[0]] == left()


# fmt: off
WRONG = [
    (["add", "0831234567"], "starts with 0"), (["add", "call me"], "other than digits"), (["add", ""], "is empty"),
    (["why", "2783"], "digits"), (["remove", "2783123456789012"], "digits"),
    (["add", ZA, "--scope", "promo"], "write all, sender:<sender ID>, tag:<tag>"),
    (["add", ZA, "--scope", "sender:"], "is not a scope"), (["add", ZA, "--scope", "tag:a,b"], "is not a scope"),
    (["remove", ZA, "--scope", "tags:promo"], "is not a scope"),
    (["add", ZA, "--days", "-1"], "days"), (["add", ZA, "--days", "1e300"], "days"),
    (["add", ZA, "--days", "nan"], "days"), (["add", ZA, "--days", "inf"], "days"),
]
# fmt: on


@pytest.mark.parametrize(("words", "problem"), WRONG, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_wrong_usage_is_a_sentence_and_changes_nothing(
    operator: Operator, client: redis.Redis, words: list[str], problem: str
) -> None:
    """Exit code 2, and no traceback."""
    result = operator.types(*words)
    assert (2, "") == (result.exit_code, result.stdout)
    assert problem in result.stderr
    assert 0 == stored(client)


def test_without_redis_each_command_reports_it(tmp_path: Path) -> None:
    """Exit code 3."""
    operator = Operator(f"redis://127.0.0.1:{free_port()}/0", tmp_path)
    file = tmp_path / "list.csv"
    file.write_text(f"number\n+{ZA}\n")
    for words in (["add", ZA], ["remove", ZA], ["why", ZA], ["list"], ["export"], ["import", str(file)]):
        result = operator.types(*words)
        assert 3 == result.exit_code, words
        assert result.stderr
        assert "Traceback" not in result.stderr


def test_evidence_that_is_not_utf_8_is_taken_as_well_as_it_can_be(operator: Operator, client: redis.Redis) -> None:
    """A terminal may send any octets; and there is an end to it."""
    environment = {**os.environ, **operator.environment}
    command = [sys.executable, "-m", "threelane", "suppress", "add", ZA, "--evidence", b"Ol\xe9 " + b"x" * 300]
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (0, b"") == (ended.returncode, ended.stderr)
    (entry,) = suppression.why(client, ZA)
    assert ("Ol? " + "x" * 196) == entry.evidence


# Import and export.


def test_an_import_takes_the_good_rows_and_reports_every_bad_one_with_its_line(
    operator: Operator, client: redis.Redis
) -> None:
    """As an editor counts the lines: empty ones, and those within quotes, too."""
    # fmt: off
    rows = [
        HEADER,                                                 # 1
        f"{ZA},,,,,,,,,",                                       # 2
        "0831234567,,,,,,,,,",                                  # 3: no country code
        "",                                                     # 4
        '27831234568,operator,122,all,"two\nlines",,,,,',       # 5 and 6
        "27831234569,,,promo,,,,,,",                            # 7: no scope
        "27831234570,,,,,yesterday,,,,",                        # 8: no time
        "27831234571,,12345,,,,,,,",                            # 9: no code
        "27831234572,,,,one, two,,,,,,",                        # 10: a comma too many
        "27831234573,code 105,105,all,x,1,2,3,2,3",             # 11
        ",,,,,,,,,",                                            # 12: nothing in it
        ',"operator",,,,,,,,',                                  # 13: no number
        "27831234574",                                          # 14: short, and good
        "27831234575,,,,,,,99999999999999999999,,",             # 15: beyond all times
        "27831234576,no\x07name,,,,,,,,",                       # 16
        '27831234577,,,,"open,,,,,',                            # 17: to the end of the file
        "27831234578,,,,,,,,,",                                 # 18
    ]
    # fmt: on
    result = operator.imports("\n".join(rows) + "\n", *INTERNATIONAL)
    assert (1, "4 taken, 0 already there, 9 refused\n") == (result.exit_code, result.stdout)
    lines = dict(re.findall(r"^row \d+, line (\d+): (.*)$", result.stderr, re.MULTILINE))
    # fmt: off
    expected = {
        "3": "starts with 0", "7": "'promo' is not a scope", "8": "first: 'yesterday' is not a whole number",
        "9": "code: '12345'", "10": "12 cells in 10 columns", "13": "the number is empty", "15": "expires:",
        "16": "source:", "18": "unexpected end of data",
    }
    # fmt: on
    assert list(expected) == list(lines)
    assert [] == [lines[line] for line, part in expected.items() if part not in lines[line]]
    assert {ZA, "27831234568", "27831234573", "27831234574"} == {
        name.decode() for name in client.hkeys(keys.SUPPRESSED)
    }
    assert [(IMPORT, "122", "all", 1, 1)] == [
        (one.source, one.code, one.scope, one.times, one.needs) for one in suppression.why(client, ZA)
    ]
    assert ["two\nlines"] == [one.evidence for one in suppression.why(client, "27831234568")]
    assert [Entry("code 105", "105", "all", "x", 1, 2, 3, 2, 3)] == list(suppression.why(client, "27831234573"))


def test_a_list_of_nothing_but_numbers_is_enough(operator: Operator, client: redis.Redis) -> None:
    """With the mark that spreadsheets begin a file with, and their line ends; other columns are of no matter."""
    result = operator.imports(
        b"\xef\xbb\xbfname, number \r\nThandi,+27 83 123 4567\r\n" + "Ömer,".encode() + b"905321234567\r\n",
        *INTERNATIONAL,
    )
    assert (0, "2 taken, 0 already there, 0 refused\n") == (result.exit_code, result.stdout)
    assert {b"27831234567", b"905321234567"} == set(client.hkeys(keys.SUPPRESSED))
    (entry,) = suppression.why(client, ZA)
    assert abs(entry.first - now_of(client)) < 60_000
    assert entry.forbids(now_of(client))


NATIONAL = '0831234567\n083 123 4568\n="0831234569"\n'  # three people who opted out


def test_a_list_of_national_numbers_needs_a_country(operator: Operator, client: redis.Redis) -> None:
    """Three rows taken and three people texted afterwards: the list had no country code."""
    refused = operator.imports(NATIONAL)
    assert (2, "", 0) == (refused.exit_code, refused.stdout, stored(client))
    assert "none: the number starts with 0" in " ".join(refused.stderr.split())
    tried = operator.imports(NATIONAL, "--country", "ZA", "--dry-run")
    assert (0, "3 would be taken, 0 already there, 0 refused; nothing was changed\n", 0) == (
        tried.exit_code,
        tried.stdout,
        stored(client),
    )

    taken = operator.imports(NATIONAL, "--country", "ZA")
    assert (0, "3 taken, 0 already there, 0 refused\n") == (taken.exit_code, taken.stdout)
    assert {ZA, "27831234568", "27831234569"} == {name.decode() for name in client.hkeys(keys.SUPPRESSED)}
    again = operator.imports(NATIONAL, "--country", "ZA", "--json")
    assert {"taken": 0, "already_there": 3, "refused": 0} == json.loads(again.stdout)["summary"]


# fmt: off
LISTS = {
    "header in capitals": "MSISDN,Reason\n+27831234567,called\n",
    "semicolons and a mark": "\ufeffPhone;Reason;Since\n+27831234567;called;2026-05-03\n",
    "tabs": "to\treason\n+27831234567\tcalled\n",
    "sep line": "sep=;\nnumber;evidence\n+27831234567;called\n",
    "a column of countries": "mobile,country,note\n0831234567,ZA,called\n",
    "an extra column": "Name,Phone Number,comment,\nAna,0027831234567,called,\n",
    "a time": "number,since,reason\n+27831234567,2026-05-03T10:00:00+02:00,called\n",
    "float and apostrophe": "number,reason\n'+27831234567.0,called\n",
}
# fmt: on


@pytest.mark.parametrize("content", [*LISTS.values(), LISTS["tabs"].encode("utf-16")], ids=[*LISTS, "UTF-16"])
def test_lists_are_read_as_programs_write_them(operator: Operator, client: redis.Redis, content: str | bytes) -> None:
    """Names of columns in any case, three delimiters, and dates as well as milliseconds."""
    result = operator.imports(content)
    assert (0, "1 taken, 0 already there, 0 refused\n") == (result.exit_code, result.stdout)
    (entry,) = suppression.why(client, ZA)
    assert "called" == entry.evidence
    if b"ince" in (content if isinstance(content, bytes) else content.encode()):
        assert "2026-05-03" == datetime.fromtimestamp(entry.first / 1000, UTC).date().isoformat()


def test_rows_that_cannot_be_placed_are_refused_one_by_one(operator: Operator, client: redis.Redis) -> None:
    """Each with its row, the field and the right form; the others are taken, and the exit code is not 0."""
    rows = ["number,country,since", "0831234567,ZA,", "0831234568,RSA,", "0831234569,,", "2.78E+10,ZA,",
            "0831234570,ZA,12/05/2024", "0831234571,ZA,2999-01-01", "+27831234572,,"]  # fmt: skip
    result = operator.imports("\n".join(rows))
    assert (1, "2 taken, 0 already there, 5 refused\n") == (result.exit_code, result.stdout)
    problems = dict(re.findall(r"^row (\d+), line \d+: (.*)$", result.stderr, re.MULTILINE))
    expected = {"2": "did you mean ZA", "3": "its row no country", "4": "digits are lost", "5": "2031-06-30",
                "6": "not in the past"}  # fmt: skip
    assert list(expected) == list(problems)
    assert [] == [row for row, part in expected.items() if part not in problems[row]]
    assert {ZA, "27831234572"} == {name.decode() for name in client.hkeys(keys.SUPPRESSED)}


def test_export_and_import_are_each_other_s_reverse(operator: Operator, client: redis.Redis) -> None:
    """All that is known of a number moves with it; and taking a list over once more changes nothing."""
    entries = [
        Entry(source=STOP, evidence='reply 1, "quoted"\nto ünï 👍 ', first=1, last=2),
        Entry(source="code 105", code="105", first=3, last=4, expires=5 * 10**12, times=2, needs=3),
        Entry(source="code 26", code="26", evidence="=1+1", first=5, last=5),
        Entry(source=OPERATOR, scope="tag:promo/1", first=6, last=6),
        Entry(source=OPERATOR, scope="sender:A & B", first=7, last=7, expires=8),
    ]
    suppression.add(client, [(ZA, one) for one in entries] + [("27831234568", entries[0])])
    before = {number: json.loads(found) for number, found in client.hgetall(keys.SUPPRESSED).items()}
    content = operator.types("export").stdout
    assert 6 == len(exported(operator))

    client.delete(keys.SUPPRESSED)
    for taken in (6, 0, 0):
        result = operator.imports(content)
        assert (0, f"{taken} taken, {6 - taken} already there, 0 refused\n") == (result.exit_code, result.stdout)
        assert entries == list(suppression.why(client, ZA))
    assert before == {number: json.loads(found) for number, found in client.hgetall(keys.SUPPRESSED).items()}


def test_twenty_thousand_rows_go_in_and_out(operator: Operator, client: redis.Redis) -> None:
    """The list of a company that changes its supplier."""
    numbers = [f"2783{n:07}" for n in range(20_000)]
    result = operator.imports("number,source\n" + "".join(f"{number},STOP\n" for number in numbers), *INTERNATIONAL)
    assert (0, "20000 taken, 0 already there, 0 refused\n") == (result.exit_code, result.stdout)
    assert 20_000 == client.hlen(keys.SUPPRESSED)
    assert {f"+{number}" for number in numbers} == {row[0] for row in exported(operator)}
    assert 7 == len(operator.reads("list", "--most", "7"))
    assert b"20000" == client.hget(keys.TALLY, "suppressed:import")


# fmt: off
NO_LISTS = {
    "empty": (b"", "the list is empty"),
    "only a mark": (b"\xef\xbb\xbf", "the list is empty"),
    "only the name of the column": (b"number\n", "the list is empty"),
    "blank": (b"\n,,\n\n", "the list is empty"),
    "without the column": (b"name,town\nAna,Rome\n", "no column named number, but 'name', 'town'"),
    "several columns without a header": (f"{ZA},27831234568\n".encode(), "no column named number"),
    "two columns of numbers": (f"To;Mobile\n{ZA};27831234568\n".encode(), "two columns of numbers, 'To' and 'Mobile'"),
    "a second column of numbers": (
        f"phone,phone 2\n+{ZA},+27831234568\n".encode(), "two columns of numbers, 'phone' and 'phone 2'"
    ),
    "numbers by place": (
        f"Mobile,Name,Home phone\n+{ZA},Ana,+27831234568\n".encode(), "numbers, 'Mobile' and 'Home phone'"
    ),
    "a second number": (f"phone,second number\n+{ZA},+27831234568\n".encode(), "'phone' and 'second number'"),
    "two reasons": (f"number,reason,evidence\n+{ZA},a,b\n".encode(), "two columns for evidence"),
    "not UTF-8": (f"number,evidence\n+{ZA},Olé\n".encode("latin-1"), "not UTF-8"),
    "bare numbers": (f"number\n{ZA}\n".encode(), "can be read in two ways"),
}
# fmt: on


@pytest.mark.parametrize(("content", "problem"), NO_LISTS.values(), ids=NO_LISTS)
def test_a_file_that_is_not_a_list_is_refused_as_a_whole(
    operator: Operator, client: redis.Redis, content: bytes, problem: str
) -> None:
    """Exit code 2, and a sentence that names the right form."""
    result = operator.imports(content)
    assert (2, "", 0) == (result.exit_code, result.stdout, stored(client))
    assert problem in " ".join(result.stderr.split()), "a long path wraps the sentence"
    assert "Traceback" not in result.stderr


def test_a_file_with_a_header_and_no_rows_is_an_empty_list(operator: Operator) -> None:
    """What export writes of an empty list can be imported."""
    result = operator.imports(operator.types("export").stdout)
    assert (0, "0 taken, 0 already there, 0 refused\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_missing_file_is_reported_in_a_sentence(operator: Operator, tmp_path: Path, name: str) -> None:
    """Exit code 2."""
    result = operator.types("import", str(tmp_path / name))
    assert (2, "") == (result.exit_code, result.stdout)
    assert "directory" in result.stderr
    assert "Errno" not in result.stderr
