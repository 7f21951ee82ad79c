"""``threelane bulk`` as a job: rehearsed, begun with a canary, and run again without sending a row twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.nudges import nudges_of
from tests.properties.system import open_system
from tests.servers import RedisServer, stored, typed, wait_until
from threelane import Status
from threelane.contract.message import identify
from threelane.contract.prices import CREDIT
from threelane.producer.files.job import row_id
from threelane.store import budgets, keys, suppression
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
    first, second, third, fourth, _ = map(json.loads, completed.stdout.splitlines())
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
        (["--text", TEXT, "--batch", "a|b"], "--batch 'a|b': up to 64 letters"),
        (["--text", TEXT, "--field", "colour=red"], "--field colour: unknown field"),
        (["--text", TEXT, "--field", "callback=9"], "--field callback: '9' is not a whole number from 0 to 7"),
        (["--text", TEXT, "--lane", "4"], "--lane: 4 is not a whole number from 1 to 3"),
        ([], "unknown column 'name'"),
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
    ids = [json.loads(line)["id"] for line in completed.stdout.splitlines()[:2]]
    assert [b"own", b"all"] == [client.hget(keys.record(one), "centre") for one in ids]


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
    assert "2 parts, about 1.00 credits, 2 of them already known), 3 refused; nothing was sent" in shown.stdout
    assert "suppressed" in shown.stdout
    assert ["ZA", "2", "2", "1.00"] in [line.split() for line in shown.stdout.splitlines()]


def test_json_lines_are_sent_as_csv_is(environment: dict[str, str], client: redis.Redis, tmp_path: Path) -> None:
    """By the ending of the file's name, or by --format."""
    file = tmp_path / "people.jsonl"
    file.write_text('{"to": 27831234567, "text": "Hi", "tags": ["a", "b"]}\nno json\n', encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), "--json", environment=environment)
    good, bad, _ = map(json.loads, completed.stdout.splitlines())
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


def test_a_bulk_that_was_killed_and_run_again_sends_each_row_once(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """By SIGKILL, in the middle; the same command goes on where it was, and no row is sent twice."""
    rows = 8_000
    file = tmp_path / "big.csv"
    file.write_text("to,text\n" + "".join(f"2783{n:07},Hello {n}\n" for n in range(rows)), encoding="utf-8")
    command = [sys.executable, "-m", "threelane", "bulk", *INTERNATIONAL, str(file)]
    running = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: client.zcard(keys.QUEUED[3]) > 2_500 or running.poll() is not None, what="some rows")
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert -signal.SIGKILL == running.returncode
    died_at = int(client.zcard(keys.QUEUED[3]))
    assert 0 < died_at < rows
    marked = json.loads((tmp_path / "big.csv.progress").read_text(encoding="utf-8"))["rows"]
    assert 0 < marked <= died_at

    again = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    assert 0 == again.returncode
    assert f"rows 1 to {marked:,} were processed in an earlier run" in again.stdout
    assert f"{rows} accepted ({rows - (died_at - marked)} parts" in again.stdout
    wanted = {identify("", row_id("big.csv", n + 1)) for n in range(rows)}
    assert wanted == {one.decode() for one in client.zrange(keys.QUEUED[3], 0, -1)}
    assert rows == int(client.hget(keys.TALLY, "accepted:3"))  # type: ignore[arg-type]
    assert not (tmp_path / "big.csv.progress").exists()

    third = typed("bulk", *INTERNATIONAL, str(file), environment=environment)  # and with nothing to go on from
    assert f"{rows} accepted (0 parts, {rows} of them already known), 0 refused" in third.stdout


def test_a_file_that_changed_between_two_runs_is_noticed(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Rows that were accepted with other content are refused, each; new ones are sent."""
    file = tmp_path / "news.csv"
    file.write_text("to,text\n27831234567,One\n27831234568,Two\n", encoding="utf-8")
    assert 0 == typed("bulk", *INTERNATIONAL, str(file), environment=environment).returncode
    file.write_text("to,text\n27831234567,One\n27831234568,Changed\n27831234569,Three\n", encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), "--json", environment=environment)
    _, second, _, last = map(json.loads, completed.stdout.splitlines())
    assert (1, "409", "row") == (completed.returncode, second["code"], second["field"])
    assert "row 2 of the job news.csv was accepted with other content" in second["problem"]
    assert (2, 1, 1) == (last["summary"]["accepted"], last["summary"]["repeated"], last["summary"]["refused"])

    progress = {"job": "news.csv", "content": "of another file", "rows": 3, "told": {}}
    (tmp_path / "news.csv.progress").write_text(json.dumps(progress), encoding="utf-8")
    completed = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    assert "changed since the job news.csv started" in " ".join(completed.stderr.split())
    assert "2 accepted" in completed.stdout


def test_a_canary_that_fails_stops_the_rest(
    environment: dict[str, str], client: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """The first messages are refused by the gateway: the others are not sent, and the exit code shows it."""
    file = tmp_path / "mail.csv"
    file.write_text("to,text\n" + "".join(f"2783{n:07},Hello {n}\n" for n in range(30)), encoding="utf-8")
    words = ("bulk", *INTERNATIONAL, str(file), "--canary", "5", "--max-fail", "20%", "--canary-wait", "0", "--json")
    completed = typed(*words, environment=environment)
    canary = json.loads(completed.stdout.splitlines()[-1])["canary"]
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
        for number in range(5):
            message_id = identify("", row_id("mail.csv", number + 1))
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
