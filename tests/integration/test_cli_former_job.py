"""``threelane bulk`` goes on with a job of a version before batches: by content, also for what was sent long ago."""

from __future__ import annotations

import json
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.bulk import printed
from tests.former_jobs import DAY_MS, former_row, former_rows
from tests.servers import RedisServer, stored, typed
from threelane.producer.enqueue import WINDOW
from threelane.runtime.exits import Exit
from threelane.store import batches, keys, progress

A, B, C, D, E = (f"2783123456{n},{name}" for n, name in enumerate("ABCDE"))


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    assert stored(client) == 0
    return {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "200"}


def written(
    environment: dict[str, str], file: Path, *rows: str, words: tuple[str, ...] = (), header: str = "to,text"
) -> subprocess.CompletedProcess[str]:
    """Write rows to a file, and run its job."""
    file.write_text("\n".join((header, *rows, "")), encoding="utf-8")
    return typed("bulk", str(file), "--numbers", "international", "--json", *words, environment=environment)


def run(
    environment: dict[str, str], file: Path, *rows: str, words: tuple[str, ...] = (), header: str = "to,text"
) -> tuple[dict[str, int], int, str]:
    """Write rows to a file, and run its job; returns what the plan counts, the exit code and the messages."""
    done = written(environment, file, *rows, words=words, header=header)
    plan = printed(done.stdout)[0]["plan"]
    return {name: count for name, count in plan.items() if count}, done.returncode, done.stderr


def messages(client: redis.Redis) -> int:
    return len(client.keys("tl:m:*"))


def test_a_job_that_was_cut_off_goes_on_with_any_edit_and_sends_nobody_twice(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """A record keeps no text once it was sent: these were taken for new, and everybody got the message again."""
    file = tmp_path / "job.csv"
    former_rows(client, file.name, A, B, C)
    former_row(client, file.name, 4, D, is_sent=False, more={"callback": 3})  # its text is still there to compare
    assert ({"new": 1, "known": 4}, 0) == run(environment, file, A, B, C, D, E, words=("--dry-run",))[:2]
    assert 0 == len(client.keys("tl:batch*"))
    assert ({"new": 1, "known": 3, "gone": 1}, 0) == run(environment, file, E, D, B, A)[:2]
    assert 5 == messages(client)
    assert ({"known": 5}, Exit.FINISHED) == run(environment, file, A, B, C, D, E)[:2]


def test_after_the_records_expired_the_batch_knows_the_rows_of_the_earlier_version(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Records are kept 8 days, rows of a batch 90: what the earlier version sent is not sent on the ninth day."""
    file = tmp_path / "job.csv"
    former_rows(client, file.name, A, B, C)
    run(environment, file, B, A, D)
    listed = progress.read(client, "", file.name, 0)
    assert listed is not None
    assert (4, 3) == (listed.accepted, listed.delivered)
    for key in client.keys("tl:m:*"):
        client.delete(key)
    assert ({"new": 1, "known": 3, "gone": 1}, 0) == run(environment, file, D, E, B, A)[:2]
    assert ({"known": 2, "changed": 1, "gone": 2}, 1) == run(environment, file, C.replace("C", "Other"), B, A)[:2]
    assert 1 == messages(client)


def test_a_batch_lists_a_former_row_once_however_often_its_job_runs(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Its counts are those of the people it reached; an outcome that was copied stays."""
    file = tmp_path / "job.csv"
    first, _ = former_rows(client, file.name, A, B)
    run(environment, file, A, C)
    rows = keys.batch_rows(batches.digest("", file.name))
    value = client.hget(rows, bytes.fromhex(first)) + b"copied"  # type: ignore[operator]
    client.hset(rows, bytes.fromhex(first), value)
    run(environment, file, A, B, C, D)
    found = batches.find(client, "", file.name)
    assert found is not None
    assert (4, 4) == (found.accepted, len(list(batches.rows(client, "", file.name))))
    assert value == client.hget(rows, bytes.fromhex(first))
    assert 4 == batches.rows_left(client, found.digest)


def test_a_batch_with_former_rows_that_lost_one_by_age_is_refused(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The entries that lead to former ids are no rows: they must not make up for one that is missing."""
    file = tmp_path / "job.csv"
    former_rows(client, file.name, A, B)
    run(environment, file, A, B, C)
    rows = keys.batch_rows(batches.digest("", file.name))
    client.hdel(rows, next(field for field in client.hkeys(rows) if batches.is_row(field)))
    done = written(environment, file, A, B, C, D)
    assert (2, True) == (done.returncode, "are forgotten" in done.stderr)
    assert 3 == messages(client)


@pytest.mark.parametrize(
    ("more", "words", "expected"),
    [
        ({"lane": 1, "tags": ["x", "y"], "cost_centre": "shop"}, (), {"known": 1}),
        ({}, ("--lane", "2", "--field", "tags=z"), {"known": 1}),
        ({"lane": 2}, ("--lane", "2"), {"known": 1}),
        ({"callback": 3}, ("--field", "callback=3"), {"known": 1}),
        ({"callback": 3}, (), {"changed": 1}),
    ],
)
def test_a_row_with_other_options_is_known_or_refused_as_changed(
    environment: dict[str, str],
    client: redis.Redis,
    tmp_path: Path,
    more: dict[str, Any],
    words: tuple[str, ...],
    expected: dict[str, int],
) -> None:
    """What the record keeps is compared apart; any other option makes the content unknown, which sends nothing."""
    file = tmp_path / "job.csv"
    former_rows(client, file.name, A, more=more)
    found, _, said = run(environment, file, A, words=words)
    assert expected == found
    assert ("changed" in expected) == ("also counts as changed if the options" in said)
    assert 1 == messages(client)


def test_former_spellings_of_numbers_and_texts_are_the_same_row(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """A Mexican number lost its 1, and texts are normalised today: neither makes another person or another text."""
    file, text = tmp_path / "job.csv", unicodedata.normalize("NFD", "Olá avó")
    former_rows(client, file.name, "5215512345678,Hello", f"5215512345679,{text}")
    assert ({"known": 2}, Exit.FINISHED) == run(environment, file, f"5215512345679,{text}", "525512345678,Hello")[:2]
    assert ({"known": 1, "changed": 1}, 1) == run(environment, file, "525512345678,Bye", f"525512345679,{text}")[:2]
    assert 2 == messages(client)


def test_messages_are_found_beyond_windows_of_rows_that_were_refused(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The bad rows had no messages, and the edit removed them: the others had numbers far beyond the file's end."""
    file = tmp_path / "job.csv"
    former_row(client, file.name, 3 * WINDOW + 7, A)
    former_row(client, file.name, 9 * WINDOW, B)
    assert ({"new": 1, "known": 2}, 0) == run(environment, file, C, A, B)[:2]


def test_rows_of_other_producers_and_batches_are_known_too(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """A row may name its own: its number counted in the job all the same."""
    file, header = tmp_path / "job.csv", "to,text,producer,batch"
    former_row(client, file.name, 1, A, producer="shop")
    former_row(client, file.name, 2, B, producer="shop", more={"batch": "own"})
    former_row(client, file.name, 3, C, producer="shop", more={"batch": "own"})
    rows = [f"{row},shop,{batch}" for row, batch in ((B, "own"), (A, ""), (C.replace("C", "Other"), "own"), (D, "own"))]
    assert ({"new": 1, "known": 2, "changed": 1}, 1) == run(environment, file, *rows, header=header)[:2]
    assert 4 == messages(client)


def test_a_job_of_which_messages_are_no_longer_stored_sends_nothing_without_a_word(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Its progress file says how many there must be: without their records, new rows may be theirs."""
    file, beside = tmp_path / "job.csv", tmp_path / "job.csv.progress"
    former_rows(client, file.name, A)
    told = {"job": file.name, "content": "", "rows": WINDOW, "told": {"accepted": 2, "refused": WINDOW - 2}}
    beside.write_text(json.dumps(told), encoding="utf-8")
    _, code, said = run(environment, file, A, B)
    assert (2, 1, True) == (code, messages(client), beside.exists())
    assert "only 1 messages are still stored" in said
    assert "--send-changed" in said
    assert ({"new": 1, "known": 1}, 0) == run(environment, file, A, B, words=("--send-changed",))[:2]
    assert (2, False) == (messages(client), beside.exists())


def test_a_job_with_old_messages_or_erased_ones_sends_nothing_without_a_word(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Others of it may have expired, and of an erased one nobody knows whose it was; what is all known is finished."""
    old, erased, now = tmp_path / "old.csv", tmp_path / "erased.csv", int(client.time()[0]) * 1000
    former_rows(client, old.name, A, accepted_ms=now - 9 * DAY_MS)
    assert 2 == run(environment, old, A, B)[1]
    assert ({"known": 1}, Exit.FINISHED) == run(environment, old, A)[:2]

    first, _ = former_rows(client, erased.name, C, D)
    client.hdel(keys.record(first), "to", "print", "client")
    client.hset(keys.record(first), "erased", now)
    _, code, said = run(environment, erased, C, D, E)
    assert (2, 3) == (code, messages(client))
    assert "1 of their messages do not say any more whom they reached" in said
    assert ({"new": 1, "known": 1, "gone": 1}, 0) == run(environment, erased, D, E, words=("--send-changed",))[:2]
    assert ({"known": 2, "gone": 1}, Exit.FINISHED) == run(environment, erased, D, E)[:2]


def test_a_former_name_that_other_files_had_too_is_no_job_until_somebody_says_which(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Every name without Latin letters was the job csv: what January sent is neither February's nor sent twice."""
    january, february = tmp_path / "январь.csv", tmp_path / "февраль.csv"
    former_rows(client, "csv", A, B)
    for file in (january, february):
        done = written(environment, file, A, B)
        assert (2, "--batch csv" in done.stderr, f"--batch '{file.name}'" in done.stderr) == (
            done.returncode,
            True,
            True,
        )
    assert 2 == messages(client)
    assert ({"new": 2}, 0) == run(environment, february, A, B, words=("--batch", february.name))[:2]
    assert ({"known": 2}, Exit.FINISHED) == run(environment, february, B, A)[:2]
    assert ({"known": 2}, Exit.FINISHED) == run(environment, january, A, B, words=("--batch", "csv"))[:2]
    assert 4 == messages(client)


def test_a_progress_file_beside_the_file_says_whose_a_shared_former_name_is(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The job that was cut off is that of this file, also in its later runs."""
    file = tmp_path / "январь.csv"
    former_rows(client, "csv", A, B)
    told = {"job": "csv", "content": "", "rows": 2, "told": {"accepted": 2}}
    file.with_name(f"{file.name}.progress").write_text(json.dumps(told), encoding="utf-8")
    assert ({"new": 1, "known": 2}, 0) == run(environment, file, C, B, A)[:2]
    assert ({"new": 1, "known": 3}, 0) == run(environment, file, D, A, C, B)[:2]
