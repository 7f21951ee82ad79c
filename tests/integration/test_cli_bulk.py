"""``threelane bulk`` as a user types it: good rows go out, bad ones are reported by number."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.bulk import printed
from tests.integration.test_accept import nudged
from tests.national_numbers import mobiles
from tests.servers import RedisServer, free_port, stored, typed
from threelane.runtime.exits import Exit
from threelane.store import keys, registry

INTERNATIONAL = ("--numbers", "international")
TWICE = ("--duplicates", "send")
# row by row: the cells, and the code and the field of the refusal, if any
# fmt: off
ROWS: list[tuple[bytes, str, str]] = [
    (b"27831234567,Hello,1,order1", "", ""),
    (b'27831234567,"two\nlines, and ""quotes""",2,', "", ""),
    (b"0831234567,Hello,,", "105", "to"),
    (b"27831234567,caf\xe9,,", "116", "text"),
    (b"27831234567,Hello,[/b],", "101", "lane"),
    (b"27831234567,Hello", "101", "lane"),
    (b"27831234567,Hello, World,,", "101", "row"),
    (b"27831234567,,,", "107", "text"),
    (b"27831234567," + b"a" * 460 + b",,", "113", "text"),
    (b"27831234567,Hello,,order 9", "120", "clientMessageId"),
    (b'27831234567,"Hel"lo,,', "101", "row"),
    (b"+27 83 123 4567,Hello,1,order1", "", ""),
    (b"27831234567,Bye,1,order1", "409", "clientMessageId"),
    (b"27831234567,last,,", "", ""),
    (b'27831234567,"never closed,,\n', "101", "row"),
]
# fmt: on
FILE = b"\xef\xbb\xbfto,text,lane,clientMessageId\r\n" + b"\r\n".join(cells for cells, _, _ in ROWS)
BAD = [(number, code, field) for number, (_, code, field) in enumerate(ROWS, 1) if code]


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    """What a user sets: the address of an empty Redis, and a terminal wide enough."""
    assert stored(client) == 0
    return {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "200"}


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """A file with every kind of row, whose name is not markup either."""
    file = tmp_path / "[red] mixed.csv"
    file.write_bytes(FILE)
    return str(file)


def test_each_row_is_answered_in_a_line_of_json(environment: dict[str, str], client: redis.Redis, mixed: str) -> None:
    """In the order of the file, with the row's number; then the sums; exit code 1 means that some were refused."""
    completed = typed("bulk", *INTERNATIONAL, mixed, *TWICE, "--json", environment=environment)
    plan, *answers, last = printed(completed.stdout)

    assert (1, "") == (completed.returncode, completed.stderr)
    assert {"new": 8, "known": 0, "changed": 0, "gone": 0, "refused": 7} == plan["plan"]
    assert list(range(1, len(ROWS) + 1)) == [answer["row"] for answer in answers]
    assert BAD == [(one["row"], one["code"], one["field"]) for one in answers if not one["accepted"]]
    assert all(one["problem"] and one["remedy"] for one in answers if not one["accepted"])
    assert {"accepted": 4, "refused": len(BAD), "repeated": 1, "parts": 3} == last["summary"]
    assert 3 == len(client.keys("tl:m:*"))
    body = json.loads(client.hget(keys.record(answers[1]["id"]), "body"))
    assert 'two\nlines, and "quotes"' == body["text"]
    assert {1: 1, 2: 1, 3: 1} == {lane: sum(map(len, nudges)) for lane, nudges in nudged(client).items()}


def test_each_bad_row_is_reported_to_people(environment: dict[str, str], mixed: str) -> None:
    """A table of number, line, code, field and both sentences, and the sums below it."""
    completed = typed("bulk", *INTERNATIONAL, mixed, *TWICE, environment=environment)

    assert 1 == completed.returncode
    assert "Traceback" not in completed.stderr
    rows = re.findall(r"^ +([0-9]+) +[0-9]+ +([0-9]+) +(\S+)", completed.stdout, re.MULTILINE)
    assert BAD == [(int(row), code, field) for row, code, field in rows]
    assert f"3 accepted (3 parts), 1 already known, {len(BAD)} refused" in completed.stdout


def test_a_file_without_faults_ends_with_exit_code_0_and_can_be_sent_again(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """With client message ids, the second time accepts nothing new, which has an exit code of its own."""
    file = tmp_path / "good.csv"
    file.write_text("to,text,climsgid\n" + "".join(f"27831234567,Hello,o{n}\n" for n in range(120)), encoding="utf-8")
    first, again = (typed("bulk", *INTERNATIONAL, *TWICE, str(file), environment=environment) for _ in range(2))

    assert (0, Exit.FINISHED) == (first.returncode, again.returncode)
    assert "120 accepted (120 parts), 0 refused" in first.stdout
    assert "0 accepted (0 parts), 120 already known, 0 refused" in again.stdout
    assert 120 == len(client.keys("tl:m:*"))


def test_a_file_can_come_through_a_pipe(environment: dict[str, str]) -> None:
    """``zcat messages.csv.gz | threelane bulk /dev/stdin``: a pipe has no position and no length."""
    completed = subprocess.run(
        [sys.executable, "-m", "threelane", "bulk", *INTERNATIONAL, *TWICE, "/dev/stdin"],
        input="to,text\n" + "27831234567,Hello\n" * 120,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    plan, *countries, summary = completed.stdout.strip().splitlines()
    assert (0, "120 accepted (120 parts), 0 refused") == (completed.returncode, summary)
    assert ["ZA", "120", "120", "120.00"] in [line.split() for line in countries]
    assert "new 120, known 0, changed 0, gone 0; without --batch a further run sends all rows again" == plan


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"text,lane\nHello,1\n", "the column to is missing"),
        (None, "No such file or directory"),
    ],
)
def test_an_invalid_file_is_refused_as_a_whole(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    """Exit code 2 and a sentence that names the file; nothing was done."""
    file = tmp_path / "wrong.csv"
    if content is not None:
        file.write_bytes(content)
    completed = typed("bulk", *INTERNATIONAL, str(file), environment=environment)
    printed = " ".join(completed.stderr.split())

    assert (2, "") == (completed.returncode, completed.stdout)
    assert "wrong.csv: " in printed
    assert sentence in printed
    assert "Traceback" not in printed
    assert [] == client.keys("tl:m:*")


def test_without_redis_no_row_is_accepted_and_the_command_reports_it(mixed: str) -> None:
    """Exit code 3; the whole file can be sent again."""
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    completed = typed("bulk", *INTERNATIONAL, mixed, environment={"THREELANE_REDIS_URL": url, "COLUMNS": "200"})
    printed = " ".join(completed.stderr.split())

    assert (3, "") == (completed.returncode, completed.stdout)
    assert "Redis does not answer at THREELANE_REDIS_URL" in printed
    assert "This run has accepted no row" in printed
    assert not any(secret in printed for secret in ("hunter2", "127.0.0.1", "Traceback"))


@pytest.mark.slow
def test_national_numbers_without_a_country_are_refused_as_a_whole(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """6,400 of them: a third would be taken as numbers of another country; nothing is sent, also of those with a +."""
    found = list(mobiles())
    file = tmp_path / "national.csv"
    rows = "".join(f"{one.national},Hi,{one.country}\n" for one in found)
    file.write_text("to,text\n+27831234506,Hi\n" + re.sub(r",[A-Z]{2}\n", "\n", rows), encoding="utf-8")
    refused = typed("bulk", str(file), environment=environment)
    piped = subprocess.run(
        [sys.executable, "-m", "threelane", "bulk", "/dev/stdin", "--json"],
        input=file.read_text(encoding="utf-8"),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (2, "", 0) == (refused.returncode, refused.stdout, stored(client))
    assert (2, found[0].national) == (piped.returncode, json.loads(piped.stdout)["both_readings"][0]["number"])
    assert "Give --country" in refused.stderr
    assert "as international" in refused.stderr

    file.write_text("to,text,country\n" + rows, encoding="utf-8")
    right = typed("bulk", str(file), "--dry-run", "--json", environment=environment)
    *_, summary = map(json.loads, right.stdout.splitlines())
    assert (0, 6_400, 32) == (right.returncode, summary["summary"]["accepted"], len(summary["countries"]))
    assert {"messages": 200, "parts": 200, "estimate_millionths": 200_000_000} == summary["countries"]["ZA"]


@pytest.mark.parametrize("given", ["producer", "installation"])
def test_a_setting_gives_the_reading_of_a_file(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path, given: str
) -> None:
    """A file of the same producer every day needs no option."""
    file = tmp_path / "national.csv"
    file.write_text("to,text\n0831234567,Hi\n", encoding="utf-8")
    environment["THREELANE_PRODUCER"] = "shop"
    if given == "producer":
        registry.put(client, "shop", numbers="national:ZA")
    else:
        environment |= {"THREELANE_NUMBERS": "national", "THREELANE_COUNTRY": "ZA"}
    completed = typed("bulk", str(file), "--json", environment=environment)
    _, answer, summary = printed(completed.stdout)
    assert (0, ["ZA"]) == (completed.returncode, list(summary["countries"]))
    assert "27831234567" == json.loads(client.hget(keys.record(answer["id"]), "body"))["to"]
