"""``threelane bulk`` as a job: rehearsed, begun with a canary, and run again without sending a row twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.bulk import printed
from tests.nudges import nudges_of
from tests.properties.system import open_system
from tests.servers import RedisServer, stored, threelane, typed, wait_until
from threelane import Status
from threelane.contract.prices import CREDIT
from threelane.runtime.exits import Exit
from threelane.store import budgets, keys, pauses, suppression
from threelane.store.budgets import Budget
from threelane.store.suppression import Entry
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

PEOPLE = "to,name,sum\n27831234567,Ana,12\n27831234568,Bo,3.50\n27831234569,,7\n0831234567,Cy,9\n"
INTERNATIONAL = ("--numbers", "international")
TEXT = "Dear {name}, you owe {sum}"


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    assert stored(client) == 0
    return {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "200"}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, encoding="utf-8")
    return file


def summary(completed: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return dict(json.loads(completed.stdout.splitlines()[-1])["summary"])


def test_a_text_is_filled_in_from_the_columns(environment: dict[str, str], client: redis.Redis, people: Path) -> None:
    """Each row has its own; one with an empty cell is refused by its number."""
    completed = typed(
        "bulk", *INTERNATIONAL, str(people), "--text", TEXT, "--json", "--lane", "2", environment=environment
    )
    _, first, second, third, fourth, _ = printed(completed.stdout)
    body = json.loads(client.hget(keys.record(second["id"]), "body"))  # type: ignore[arg-type]
    assert (1, True, "Dear Bo, you owe 3.50", 2) == (
        completed.returncode,
        first["accepted"],
        body["text"],
        first["lane"],
    )
    assert [(3, "101", "name"), (4, "105", "to")] == [
        (one["row"], one["code"], one["field"]) for one in (third, fourth)
    ]
    assert b"people.csv" == client.hget(keys.record(first["id"]), "batch")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--text", "Dear {nome}"], "the text needs the column {nome}"),
        (["--text", "Dear {name"], "--text: '{' at character 6"),
        (["--text", TEXT, "--max-fail", "lots"], "--max-fail 'lots': give a share"),
        (["--text", TEXT, "--batch", "a\tb"], "--batch: the name has the invisible character U+0009"),
        (["--text", TEXT, "--field", "colour=red"], "--field colour: unknown field"),
        (["--text", TEXT, "--field", "callback=9"], "--field callback: '9' is not a whole number from 0 to 7"),
        (["--text", TEXT, "--lane", "4"], "--lane: 4 is not a whole number from 1 to 3"),
        (["--text", TEXT, "--lane", "1", "--field", "queue=2"], "--field queue: also given by --lane; keep one"),
        (["--text", TEXT, "--from", "A1", "--field", "from_=B1"], "--field from_: also given by --from; keep one"),
        (["--text", TEXT, "--field", "lane=3", "--field", "queue=2"], "--field queue: also given by --field lane"),
        (["--text", TEXT, "--field", "content=x"], "--field content: also given by --text; keep one"),
        (["--text", TEXT, "--batch", "a", "--field", "batch=b"], "--field batch: also given by --batch; keep one"),
        (["--text", TEXT, "--country", "ZA", "--field", "country=GB"], "--field country: also given by --country"),
        (["--text", TEXT, "--field", "to=27831111118"], "--field to: also given by the file; keep one"),
        ([], "the column text is missing; the file has to, name, sum"),
    ],
)
def test_invalid_options_are_reported_before_anything_is_sent(
    environment: dict[str, str], client: redis.Redis, people: Path, words: list[str], sentence: str
) -> None:
    """Exit code 2, and a sentence."""
    completed = typed("bulk", *INTERNATIONAL, str(people), *words, environment=environment)
    assert (2, "", 0) == (completed.returncode, completed.stdout, stored(client))
    assert sentence in completed.stderr


def test_an_option_is_for_the_rows_without_a_value_of_their_own(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """However the column and the option spell it."""
    file = tmp_path / "some.csv"
    file.write_text("to,text,cost_centre\n27831234567,Hi,own\n27831234568,Hi,\n", encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), "--field", "costCentre=all", "--json", environment=environment)
    ids = [one["id"] for one in printed(completed.stdout)[1:3]]
    assert [b"own", b"all"] == [client.hget(keys.record(one), "centre") for one in ids]


def test_an_ignored_column_that_is_a_field_in_lower_case_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    """Address books have a Queue and a Validity of their own; who means the field reads how to write it."""
    file = tmp_path / "some.csv"
    file.write_text("to,text,Queue,Validity,Notes\n27831234567,Hi,1,30,x\n", encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), "--dry-run", environment=environment)
    assert "ignored columns: Queue, Validity, Notes" in completed.stderr
    assert "only in lower case, these are fields: queue, validity" in completed.stderr


def test_a_dry_run_reports_parts_cost_and_refusals_and_sends_nothing(
    environment: dict[str, str], client: redis.Redis, people: Path
) -> None:
    """Also suppressed and repeated rows, and the budget that it would exceed."""
    prices = environment | {"THREELANE_PRICES": "27=0.5", "THREELANE_COST_CENTRE": "news"}
    typed("bulk", *INTERNATIONAL, str(people), "--text", TEXT, environment=prices)
    people.write_text(PEOPLE + "27831234570,Di,1\n27831234571,Ed,2\n27831234572,Flo,2\n", encoding="utf-8")
    suppression.add(client, [("27831234571", Entry(source="STOP", first=1, last=1))])
    budgets.put(client, "centre:news", "day", Budget(CREDIT // 2))
    before = stored(client)

    completed = typed("bulk", *INTERNATIONAL, str(people), "--text", TEXT, "--dry-run", "--json", environment=prices)
    last = json.loads(completed.stdout.splitlines()[-1])
    assert 1 == completed.returncode
    assert {"accepted": 4, "repeated": 2, "refused": 3, "parts": 2, "estimate_millionths": CREDIT} == last["summary"]
    assert {"centre:news:day": CREDIT // 2} == last["over_budgets"]
    assert {"ZA": {"messages": 2, "parts": 2, "estimate_millionths": CREDIT}} == last["countries"]
    assert before == stored(client)
    shown = typed("bulk", *INTERNATIONAL, str(people), "--text", TEXT, "--dry-run", environment=prices)
    assert "2 would be accepted (2 parts, about 1.00 credits), 2 already known, 3 refused; nothing" in shown.stdout
    assert "suppressed" in shown.stdout
    assert ["ZA", "2", "2", "1.00"] in [line.split() for line in shown.stdout.splitlines()]


def test_a_dry_run_says_what_the_extra_parts_are_for(environment: dict[str, str], tmp_path: Path) -> None:
    """One curly quote made 60 parts of 20, and nothing named it."""
    file = tmp_path / "curly.csv"
    rows = [f"278312345{number:02},don’t {number} {'hello there ' * 12}" for number in range(20)]
    file.write_text("\n".join(["to,text", *rows]), encoding="utf-8")

    shown = typed("bulk", *INTERNATIONAL, str(file), "--dry-run", environment=environment)

    expected = "20 messages of 3 parts because of ’ (U+2019): lookAlikes=1 makes them 1 part each, saves 40 parts"
    assert expected in shown.stdout


def test_json_lines_are_sent_as_csv_is(environment: dict[str, str], client: redis.Redis, tmp_path: Path) -> None:
    """By the ending of the file's name, or by --format."""
    file = tmp_path / "people.jsonl"
    file.write_text('{"to": 27831234567, "text": "Hi", "tags": ["a", "b"]}\nno json\n', encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), "--json", environment=environment)
    _, good, bad, _ = printed(completed.stdout)
    assert (1, True, "101") == (completed.returncode, good["accepted"], bad["code"])
    assert b"a,b" == client.hget(keys.record(good["id"]), "tags")
    other = file.rename(tmp_path / "people.txt")
    again = typed(
        "bulk",
        *INTERNATIONAL,
        str(other),
        "--format",
        "jsonl",
        "--batch",
        "people.jsonl",
        "--json",
        environment=environment,
    )
    assert 1 == summary(again)["repeated"]


def test_a_bulk_that_was_killed_and_edited_sends_each_row_once(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """By SIGKILL, in the middle; then rows are inserted, deleted and sorted, and the plan counts them right."""
    rows = [f"2783{n:07},Hello {n}\n" for n in range(3_000)]
    file = tmp_path / "big.csv"
    file.write_text("to,text\n" + "".join(rows), encoding="utf-8")
    command = [sys.executable, "-m", "threelane", "bulk", *INTERNATIONAL, str(file)]
    running = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: client.zcard(keys.QUEUED[3]) > 700 or running.poll() is not None, what="some rows")
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert -signal.SIGKILL == running.returncode
    died_at = int(client.zcard(keys.QUEUED[3]))
    assert 0 < died_at < len(rows)

    edited = sorted([*rows[:10], *rows[20:], "27840000000,A later one\n"], key=lambda row: row[::-1])
    file.write_text("to,text\n" + "".join(edited), encoding="utf-8")
    again = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    known, new = died_at - 10, len(rows) - died_at + 1
    assert 0 == again.returncode
    assert f"big.csv: new {new:,}, known {known:,}, changed 0, gone 10" in again.stdout
    assert f"{new} accepted ({new} parts), {known} already known, 0 refused" in again.stdout
    assert len(rows) + 1 == int(client.hget(keys.TALLY, "accepted:3"))  # type: ignore[arg-type]

    third = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    assert Exit.FINISHED == third.returncode
    assert "big.csv: nothing was sent; its rows were accepted between" in third.stderr
    assert "For a new sending use --run $(date +%F)" in third.stderr


def test_a_file_whose_rows_name_their_batch_was_accepted_before(environment: dict[str, str], tmp_path: Path) -> None:
    """The batch of the job has no row then: no earlier version of Threelane is to be looked for."""
    file = tmp_path / "own.csv"
    file.write_text("to,text,batch\n27831700001,Hello,june\n27831700002,Hello,june\n", encoding="utf-8")
    assert 0 == typed("bulk", *INTERNATIONAL, str(file), environment=environment).returncode
    again = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    assert Exit.FINISHED == again.returncode
    assert "own.csv: nothing was sent; its rows were accepted before. For a new sending use --run" in again.stderr


def run(environment: dict[str, str], file: Path, *rows: str, words: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Write rows to a file, and run its job; returns the plan, the answers and the summary, with the exit code."""
    file.write_text("\n".join(("to,text", *rows, "")), encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), "--json", *words, environment=environment)
    return [*printed(completed.stdout), {"code": completed.returncode}]


def plan_of(new: int = 0, known: int = 0, changed: int = 0, gone: int = 0, refused: int = 0) -> dict[str, Any]:
    return {"plan": {"new": new, "known": known, "changed": changed, "gone": gone, "refused": refused}}


A, B, C, D, E, F = (f"2783123456{n},{name}" for n, name in enumerate("ABCDEF"))


def test_a_corrected_file_sends_what_is_new_and_nothing_twice(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Bad rows are deleted, and others appended: an identity by position sent B and D twice, E and F never."""
    file = tmp_path / "corrected.csv"
    *_, first = run(environment, file, A, "bad,x", B, "bad,y", C, D)
    plan, *_, last, code = run(environment, file, A, B, C, D, E, F)
    assert ({"code": 1}, plan_of(new=2, known=4), {"code": 0}) == (first, plan, code)
    assert (6, 4, 0) == (last["summary"]["accepted"], last["summary"]["repeated"], last["summary"]["refused"])
    texts = [json.loads(client.hget(key, "body"))["text"] for key in client.keys("tl:m:*")]  # type: ignore[arg-type, union-attr]
    assert list("ABCDEF") == sorted(texts)


def test_a_changed_row_is_sent_only_on_request(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The person already has another text of the job; new rows beside it are sent, and a row that is gone is not."""
    file = tmp_path / "news.csv"
    run(environment, file, A, B, C)
    changed = B.replace("B", "Corrected")
    plan, _, refused, _, last, code = run(environment, file, A, changed, D)
    assert plan_of(new=1, known=1, changed=1, gone=1) == plan
    assert (False, "409", "row") == (refused["accepted"], refused["code"], refused["field"])
    assert "row changed" in refused["problem"]
    assert ({"code": 1}, 1) == (code, last["summary"]["refused"])

    plan, *_, code = run(environment, file, A, changed, D, words=("--send-changed",))
    assert (plan_of(known=2, changed=1, gone=1), {"code": 0}) == (plan, code)
    plan, *_, code = run(environment, file, A, changed, D)
    assert (plan_of(known=3, gone=2), {"code": Exit.FINISHED}) == (plan, code)
    assert 5 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]


def test_a_user_of_redis_without_the_right_to_list_a_batch_sends_no_changed_row(
    environment: dict[str, str], client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It cannot tell a new row from a changed one if rows are gone; what is only appended is new in any case."""
    client.acl_setuser("narrow", True, passwords=["+pw"], keys=["*"], commands=["+@all", "-hscan", "-pexpiretime"])
    file, narrow = (
        tmp_path / "news.csv",
        environment | {"THREELANE_REDIS_URL": redis_server.url.replace("//", "//narrow:pw@")},
    )
    try:
        run(narrow, file, A, B)
        assert plan_of(new=1, known=2) == run(narrow, file, A, B, C)[0]
        plan, *_, code = run(narrow, file, A, C, B.replace("B", "Corrected"), D)
        assert (plan_of(known=2, changed=2, gone=1), {"code": 1}) == (plan, code)
        assert 3 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]
        assert {"code": 0} == run(narrow, file, A, C, B, D)[-1]
    finally:
        client.acl_deluser("narrow")


def test_messages_that_were_cut_are_counted(environment: dict[str, str], client: redis.Redis, tmp_path: Path) -> None:
    """What the first readers miss is no surprise to the sender."""
    file = tmp_path / "long.csv"
    file.write_text(f"to,text\n27831234561,{'word ' * 60}\n27831234562,Hello\n", encoding="utf-8")
    words = ("--field", "onTooLong=cut", "--field", "maxMessageParts=1", str(file))
    completed = typed("bulk", *INTERNATIONAL, *words, environment=environment)
    assert "2 accepted (2 parts), 1 cut to fit, 0 refused" in completed.stdout


@pytest.mark.parametrize("placeholder", ["[First Name]", "{{First Name}}", "%FNAME%", "<<First Name>>"])
def test_a_placeholder_of_another_program_is_refused(
    environment: dict[str, str], tmp_path: Path, placeholder: str
) -> None:
    """Everybody would get it as it is, and it would be paid for."""
    file = tmp_path / "people.csv"
    file.write_text("to,First Name\n27831234561,Ana\n", encoding="utf-8")
    words = (str(file), "--text", f"Hi {placeholder}, hello")
    completed = typed("bulk", *INTERNATIONAL, *words, environment=environment)
    assert (2, "") == (completed.returncode, completed.stdout)
    assert "write {name}, with one brace on each side" in completed.stderr


@pytest.mark.parametrize("option", ["--batch", "--run"])
def test_an_empty_name_is_refused(environment: dict[str, str], tmp_path: Path, option: str) -> None:
    """A shell variable without a value would make another job of the file."""
    file = tmp_path / "people.csv"
    file.write_text("to,text\n27831234561,Hello\n", encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), option, "", environment=environment)
    assert (2, "") == (completed.returncode, completed.stdout)
    assert "it is empty" in completed.stderr


def test_another_text_under_the_same_name_changes_every_row(
    environment: dict[str, str], client: redis.Redis, people: Path
) -> None:
    """The second letter is no correction of the first: it needs a word of its own."""
    words = ("bulk", *INTERNATIONAL, str(people), "--json", "--text")
    typed(*words, TEXT, environment=environment)
    completed = typed(*words, "Bye {name}: {sum}", environment=environment)
    plan, *_ = printed(completed.stdout)
    assert (1, plan_of(changed=2, refused=2)) == (completed.returncode, plan)
    assert 2 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]


def test_the_same_file_on_the_second_day_fails_loudly_and_goes_out_as_another_run(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Cron: nothing is sent without notice, and --run makes a new job; its own second start is finished, too."""
    file = tmp_path / "Vidé les poubelles – напоминание.csv"
    *_, today = run(environment, file, A)
    plan, *_, last, again = run(environment, file, A)
    assert ([{"code": 0}, {"code": Exit.FINISHED}], True) == ([today, again], last["finished"])
    assert plan_of(known=1) == plan
    forget_texts(client)
    tomorrow, repeated = (run(environment, file, A, words=("--run", "2031-06-30"))[-1] for _ in range(2))
    assert [{"code": 0}, {"code": Exit.FINISHED}] == [tomorrow, repeated]
    names = {client.hget(key, "batch").decode() for key in client.keys("tl:m:*")}  # type: ignore[union-attr]
    assert {file.name, f"{file.name} 2031-06-30"} == names


def forget_texts(client: redis.Redis) -> None:
    """Let the ten seconds of the limit of the same text pass."""
    client.delete(keys.key(keys.Key.SAME_TEXT_A), keys.key(keys.Key.SAME_TEXT_B))


def test_files_with_names_of_any_script_are_jobs_of_their_own(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Once they all were the job csv, and long names that differ at the end were one job, too."""
    names = ["январь.csv", "февраль.csv", "通知.csv", "n" * 240 + "1.csv", "n" * 240 + "2.csv"]
    for name in names:
        forget_texts(client)
        assert {"code": 0} == run(environment, tmp_path / name, A)[-1]
    assert len(names) == len(client.keys("tl:m:*"))  # type: ignore[arg-type]
    assert {"code": Exit.FINISHED} == run(environment, tmp_path / unicodedata.normalize("NFD", names[0]), A)[-1]


def test_a_row_that_was_sent_counts_before_a_duplicate_above_it(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Sorting a file changes nothing: not which of two rows of a person is the one that counts."""
    file, other = tmp_path / "sorted.csv", A.replace("A", "Another")
    plan, *_, code = run(environment, file, A, other, B)
    assert (plan_of(new=2, refused=1), {"code": 1}) == (plan, code)
    for words in ((), ("--send-changed",), ("--send-changed", "--dry-run")):
        plan, _, refused, *_ = run(environment, file, B, other, A, words=words)
        assert plan_of(known=2, refused=1) == plan
        assert "duplicate: the same recipient as in row 3" == refused["problem"]
    assert 2 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]


def test_standard_output_of_any_encoding_shows_every_character_in_some_way(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A pipe of Windows has code page 1252; an error after the rows were sent would look as if they were not."""
    file = tmp_path / "people.csv"
    file.write_text(f"to,text\n{A}\n", encoding="utf-8")
    words = ("bulk", *INTERNATIONAL, str(file), "--batch", "ф😀", "--dry-run")
    completed = threelane(*words, environment=environment | {"PYTHONIOENCODING": "ascii"})
    assert (0, "") == (completed.returncode, completed.stderr[: completed.stderr.find("row 1")])
    assert "\\u0444\\ud83d\\ude00: new 1" in completed.stdout


def test_two_rows_alike_are_two_messages_and_stay_two(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Each has a number of its own, and the limit of the same text does not apply: the file asks for it."""
    client.delete(keys.LIMITS)
    file, words = tmp_path / "twice.csv", ("--duplicates", "send")
    assert plan_of(new=2) == run(environment, file, A, A, words=words)[0]
    plan, *_, last, code = run(environment, file, A, B, A, A, words=words)
    assert (plan_of(new=2, known=2), {"code": 0}) == (plan, code)
    assert 2 == last["summary"]["repeated"]
    assert 4 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]


@pytest.mark.parametrize("how_many", ["all", "the oldest"])
def test_rows_that_are_forgotten_are_not_sent_again(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path, how_many: str
) -> None:
    """The batch is known longer than its rows: without one of them a run cannot tell what was sent."""
    file = tmp_path / "old.csv"
    run(environment, file, A, B)
    (rows,) = client.keys("tl:batch-rows:*")  # type: ignore[misc]
    if how_many == "all":
        client.delete(rows)
    else:
        client.hdel(rows, client.hkeys(rows)[0])  # type: ignore[index]
    completed = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    assert (2, "") == (completed.returncode, completed.stdout)
    assert "the job old.csv was sent between" in completed.stderr
    assert "use --run $(date +%F), or another --batch" in completed.stderr
    assert 2 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("days", "code"), [(1, 0), (9, 2)])
def test_an_old_progress_file_is_heeded_when_nothing_else_says_what_was_sent(
    environment: dict[str, str], tmp_path: Path, days: int, code: int
) -> None:
    """The records of its rows are kept for 8 days; later the file is all that is left of the job."""
    file, beside = tmp_path / "cut-off.csv", tmp_path / "cut-off.csv.progress"
    beside.write_text('{"job": "cut-off.csv", "content": "", "rows": 990, "told": {}}', encoding="utf-8")
    at = time.time() - days * 86_400
    os.utime(beside, (at, at))
    assert {"code": code} == run(environment, file, A)[-1]
    assert (code == 2) == beside.exists()
    if code:
        completed = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
        assert (
            "of rows 1 to 990, which its file cut-off.csv.progress says it processed, only 0 messages"
            in completed.stderr
        )


def test_a_row_with_an_id_of_its_own_is_known_by_it(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Other content under a used id is refused while the first is remembered, and never sent."""
    file = tmp_path / "own.csv"

    def answers(text: str) -> tuple[int, list[dict[str, Any]]]:
        file.write_text(f"to,text,climsgid\n27831234567,{text},a1\n", encoding="utf-8")
        completed = typed("bulk", *INTERNATIONAL, str(file), "--json", environment=environment)
        return completed.returncode, printed(completed.stdout)

    assert 0 == answers("Hi")[0]
    code, (_, refused, _) = answers("Bye")
    assert (1, "409", "climsgid") == (code, refused["code"], refused["field"])
    client.delete(*client.keys("tl:m:*"))  # type: ignore[misc]
    code, (plan, *_) = answers("Bye")
    assert (Exit.FINISHED, plan_of(known=1)) == (code, plan)


def test_a_canary_that_fails_stops_the_rest(
    environment: dict[str, str], client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """The first messages are refused by the gateway: the others are not sent, and the exit code shows it."""
    file = tmp_path / "mail.csv"
    file.write_text("to,text\n" + "".join(f"2783{n:07},Hello {n}\n" for n in range(30)), encoding="utf-8")
    words = ("bulk", *INTERNATIONAL, str(file), "--canary", "5", "--max-fail", "20%", "--canary-wait", "0", "--json")
    completed = typed(*words, environment=environment)
    _, *answers, canary = printed(completed.stdout)
    ids, canary = [one["id"] for one in answers], canary["canary"]
    assert (7, 5, 5, 5, True) == (
        completed.returncode,
        canary["watched"],
        canary["failed"],
        canary["row"],
        canary["stopped"],
    )
    assert 5 == client.zcard(keys.QUEUED[3])
    assert "run the same command without --canary" in completed.stderr

    with open_system(redis_server) as system:
        system.now = int(client.time()[0]) * 1000 + 5_000
        for number, message_id in enumerate(ids):
            system.attempt(
                message_id,
                AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g")
                if number
                else AttemptOutcome(OutcomeKind.REFUSED, code="113"),
            )
    nudges_of(client).lose(3)
    completed = typed(*words, environment=environment)
    last = summary(completed)
    assert (0, 30, 5) == (completed.returncode, last["accepted"], last["repeated"])
    assert (25, 1) == (client.zcard(keys.QUEUED[3]), client.zcard(keys.DEAD))


def test_a_run_into_a_paused_batch_says_so_and_takes_no_canary(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The rows are accepted and wait, which looks like sent; a canary would only time out."""
    file = tmp_path / "-news.csv"
    assert {"code": 0} == run(environment, file, A)[-1]
    pauses.begin(client, "", "-news.csv", 1_767_225_600_000, "ann")
    paused = {"producer": "", "name": "-news.csv", "since": 1_767_225_600_000, "by": "ann"}
    paused |= {"resume": "threelane batch resume -- -news.csv"}

    plan, *_, last, code = run(environment, file, A, B)
    assert {"plan": plan_of(new=1, known=1)["plan"] | {"paused": [paused]}} == plan
    assert ([paused], {"code": 0}) == (last["paused"], code)
    file.write_text(f"to,text\n{A}\n{B}\n{C}\n", encoding="utf-8")
    words = ("bulk", *INTERNATIONAL, str(file))
    refused = typed(*words, "--canary", "1", environment=environment)
    assert (2, True) == (refused.returncode, "--canary: the batch -news.csv is paused since" in refused.stderr)
    assert paused["resume"] in refused.stderr
    assert 2 == len(client.keys("tl:m:*"))  # type: ignore[arg-type]
    sent = typed(*words, environment=environment)
    lines = [one for one in sent.stdout.splitlines() if one.startswith("the batch -news.csv is paused since")]
    assert (0, 2) == (sent.returncode, len(lines))
    assert all("by ann" in one and one.endswith(str(paused["resume"])) for one in lines)


def test_without_a_name_standard_input_is_not_a_job(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Nothing but their content distinguishes its rows, also where it is a file: it is another one each time."""
    file = tmp_path / "some.csv"
    file.write_text("to,text\n27831234567,Hi\n", encoding="utf-8")
    command = [sys.executable, "-m", "threelane", "bulk", *INTERNATIONAL, "/dev/stdin", "--json"]
    for _ in range(2):
        with file.open(encoding="utf-8") as opened:
            completed = subprocess.run(
                command, stdin=opened, env=os.environ | environment, capture_output=True, text=True
            )
        assert 0 == summary(completed)["repeated"], completed.stderr
    assert [Status.QUEUED.value.encode()] * 2 == [client.hget(key, "status") for key in client.keys("tl:m:*")]
