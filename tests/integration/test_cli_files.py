"""Files as people have them on the command line: every good row is sent once, and the rest is refused in words."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest
import redis

from tests.files_of_people import CASES, rows
from tests.servers import RedisServer, stored, typed
from threelane import Producer, ProducerSettings
from threelane.producer.files import intake
from threelane.producer.files.bulk import InvalidFile
from threelane.runtime.exits import Exit
from threelane.store import keys

COMMANDED = (
    "excel-de.csv",
    "hubspot-chosen.csv",
    "sheet.xlsx",
    "hidden-row.xlsx",
    "junk.csv",
    "array.json",
    "powershell.jsonl",
)
A, B, C = "27831230001", "27831230002", "27831230003"


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    """An empty Redis, and an installation that writes numbers with their country code."""
    assert stored(client) == 0
    return {
        "THREELANE_REDIS_URL": redis_server.url,
        "THREELANE_NUMBERS": "international",
        "THREELANE_SAME_TEXT_SECONDS": "0",
        "COLUMNS": "120",
    }


def sent(client: redis.Redis) -> Counter[tuple[str, str]]:
    """Return how often each message is stored, by number and text."""
    bodies = [json.loads(client.hget(key, "body") or b"{}") for key in client.scan_iter(keys.record("*"))]
    return Counter((body["to"], body["text"]) for body in bodies)


def test_every_good_row_of_fifty_files_is_sent_once(client: redis.Redis, redis_server: RedisServer) -> None:
    """Each file as a job of its own, begun twice: the second run has nothing to send."""
    expected: Counter[tuple[str, str]] = Counter()
    with Producer(ProducerSettings(redis_url=redis_server.url)) as producer:
        for case in CASES:
            expected.update(case.messages)
            for _ in range(2):
                with contextlib.suppress(InvalidFile):
                    answers = list(intake.send(producer, rows(case, case.name)))
                    assert not case.sentence
                    assert len(case.refused) == sum(not answer.accepted for _, answer in answers), case.name

    assert expected == sent(client)


def test_the_command_ends_with_the_code_of_each_file(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """A file of each format; an error never exits with 0, and a refused file sends nothing."""
    expected: Counter[tuple[str, str]] = Counter()
    for case in (case for case in CASES if case.name in COMMANDED):
        file = tmp_path / case.name
        file.write_bytes(case.octets)
        completed = typed("bulk", str(file), *case.options, "--json", environment=environment)
        expected.update(case.messages)

        code = Exit.USAGE if case.sentence else Exit.REFUSED if case.refused else Exit.OK
        assert (case.name, code) == (case.name, completed.returncode), completed.stderr
        assert case.sentence in " ".join(completed.stderr.split())

    assert expected == sent(client)


def test_the_report_of_refused_rows_is_corrected_and_sent(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """In a spreadsheet: its columns of reasons are ignored, and no good row is sent again."""
    file, report = tmp_path / "people.csv", tmp_path / "refused.csv"
    file.write_text(f"Phone;Message;Notes\n+{A};Hello;vip\n+{B};#N/A;=1+1\n{C[:5]};+ Hi;\n", encoding="utf-8")
    first = typed("bulk", str(file), "--refused", str(report), environment=environment)

    assert Exit.REFUSED == first.returncode
    assert "refused.csv has 2 refused rows. Correct and send it with --batch=people.csv" in first.stderr
    assert "'=1+1" in report.read_text("utf-8-sig")
    corrected = report.read_text("utf-8-sig").replace("#N/A", "Hello").replace(f"{C[:5]},", f"{C},")
    report.write_text(corrected, encoding="utf-8-sig")
    second = typed("bulk", str(report), "--batch", "people.csv", environment=environment)

    assert (Exit.OK, True) == (second.returncode, "2 accepted" in second.stdout)
    assert "ignored columns: Notes, line, code, problem, remedy" in second.stderr
    assert Counter({(A, "Hello"): 1, (B, "Hello"): 1, (C, "+ Hi"): 1}) == sent(client)


def test_the_first_messages_are_printed_before_anything_is_sent(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """As handsets will show them, also in a dry run; with what is ignored."""
    file = tmp_path / "people.csv"
    file.write_text(f"Mobile;First Name;Notes\n{A};Ana;x\n;;\n{B};Bo;y\n", encoding="utf-8")
    shown = typed("bulk", str(file), "--text", "Dear {first name}", "--dry-run", environment=environment)

    for line in ("1 part gsm7:\n    Dear Ana", "ignored columns: Notes", "1 blank row skipped", "to is Mobile"):
        assert line in shown.stderr
    assert 2 == shown.stderr.count("Dear ")
    assert [] == list(client.scan_iter(keys.record("*")))

    typed("bulk", str(file), "--text", "Dear {first name}", environment=environment)
    file.write_text(file.read_text(encoding="utf-8") + f"{C};Cleo;z\n", encoding="utf-8")
    again = typed("bulk", str(file), "--text", "Dear {first name}", environment=environment)
    assert (1, 1) == (again.stderr.count("Dear "), again.stderr.count("Dear Cleo")), "the others have theirs"


def test_another_encoding_is_refused_with_how_the_rows_would_read(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Nobody can answer in a pipe, so nothing is guessed: exit code 2, and the lines in the likely encodings."""
    file = tmp_path / "people.csv"
    file.write_bytes(f"to,text\n{A},Grüße aus München\n".encode("cp1252"))
    refused = typed("bulk", str(file), environment=environment)

    assert Exit.USAGE == refused.returncode
    assert "as in --encoding windows-1252" in " ".join(refused.stderr.split())
    assert "Grüße aus München" in refused.stderr
    assert "Nothing was accepted" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--column", "Phone Number"), "write the field, =, and the header"),
        (("--column", "colour=Red"), "neither a field nor a placeholder"),
        (("--column", "to=a", "--column", "to=b"), "given twice"),
        (("--encoding", "klingon"), "is unknown"),
        (("--refused", "people.csv"), "the file that is sent"),
        (("--refused", "no/such/folder.csv"), "No such file or directory"),
        (("--format", "xlsx"), "its content is that of a file of the format csv"),
    ],
)
def test_an_invalid_option_of_reading_is_reported_before_anything_is_sent(
    environment: dict[str, str],
    client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    sentence: str,
) -> None:
    """Exit code 2 and the right form."""
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(f"to,text\n{A},Hi\n", encoding="utf-8")
    completed = typed("bulk", "people.csv", *words, environment=environment)

    assert Exit.USAGE == completed.returncode
    assert sentence in " ".join(completed.stderr.split())
    assert [] == list(client.scan_iter(keys.record("*")))
