"""Edited files: however a file is edited between runs, each person gets each text as often as any version asked for."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bulk import printed
from tests.servers import RedisServer, stored, typed
from threelane.contract import message
from threelane.runtime.exits import Exit
from threelane.store import keys

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "5"))
Row = tuple[str, str]  # a recipient and a text

PEOPLE = [f"2783123456{n}" for n in range(4)]
TEXTS = ["Bins are emptied tomorrow", "Café closed", 'Bring "both", please\nThanks', "Olá avó"]
ROWS = st.tuples(st.sampled_from(PEOPLE), st.sampled_from(TEXTS))
PLACES = st.integers(0, 30)
EDITS = st.one_of(
    st.tuples(st.just("delete"), PLACES),
    st.tuples(st.just("insert"), PLACES, ROWS),
    st.tuples(st.just("append"), ROWS),
    st.tuples(st.just("correct"), PLACES, st.sampled_from(TEXTS)),
    st.tuples(st.just("repeat"), PLACES),
    st.tuples(st.just("sort")),
    st.tuples(st.just("shuffle"), st.randoms(use_true_random=False)),
)
RUNS = st.lists(st.tuples(st.lists(EDITS, max_size=4), st.sampled_from(["csv", "spelt"])), min_size=1, max_size=4)


def edited(rows: list[Row], edit: Any) -> list[Row]:
    """Return the rows after an edit; a place counts around the end of the file."""
    kind, *given_with = edit
    rows = list(rows)
    place = given_with[0] % max(1, len(rows)) if given_with and isinstance(given_with[0], int) else 0
    if kind == "insert":
        rows.insert(place, given_with[1])
    elif kind == "append":
        rows.append(given_with[0])
    elif kind == "sort":
        rows.sort(key=lambda row: row[::-1])
    elif kind == "shuffle":
        given_with[0].shuffle(rows)
    elif rows and kind == "delete":
        del rows[place]
    elif rows and kind == "correct":
        rows[place] = (rows[place][0], given_with[1])
    elif rows:
        rows.append(rows[place])
    return rows


def written(rows: list[Row], form: str) -> str:
    """Return a file; ``spelt`` has other spellings of the same numbers and texts, columns and line ends."""
    quoted = [(to, '"' + text.replace('"', '""') + '"') for to, text in rows]
    if form == "csv":
        return "to,text\n" + "".join(f"{to},{text}\n" for to, text in quoted)
    lines = (f"{unicodedata.normalize('NFD', text)};+{to[:2]} {to[2:4]}-{to[4:]}\r\n" for to, text in quoted)
    return "text;to\r\n" + "".join(lines)


def received(client: redis.Redis) -> Counter[Row]:
    """Return how often each person has been sent each text."""
    bodies = [client.hget(key, "body") for key in client.scan_iter(keys.record("*"))]
    found = (message.decode(body) for body in bodies if body)
    return Counter((one.to, one.text) for one in found)


@pytest.fixture
def environment(client: redis.Redis, redis_server: RedisServer) -> dict[str, str]:
    assert stored(client) == 0
    return {"THREELANE_REDIS_URL": redis_server.url}


@pytest.mark.timeout(300 + 4 * EXAMPLES)
@given(first=st.lists(ROWS, max_size=6), runs=RUNS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_person_gets_each_text_as_often_as_any_file_so_far_asked_for(
    environment: dict[str, str], client: redis.Redis, tmp_path: Path, first: list[Row], runs: list[Any]
) -> None:
    """Rows are deleted, inserted, sorted, corrected and appended, and the file is sent again each time."""
    client.flushdb()
    file, rows, wanted = tmp_path / "edited.csv", first, Counter[Row]()
    for edits, form in [([], "csv"), *runs]:
        for edit in edits:
            rows = edited(rows, edit)
        if not rows:
            continue  # a file without rows is refused
        file.write_text(written(rows, form), encoding="utf-8", newline="")
        before, wanted = wanted, wanted | Counter(rows)
        done = typed(
            *("bulk", str(file), "--numbers", "international", "--duplicates", "send", "--send-changed", "--json"),
            environment=environment,
        )
        plan, *answers, last = printed(done.stdout)

        assert wanted == received(client)
        sent = wanted.total() - before.total()
        assert (sent, len(rows) - sent) == (plan["plan"]["new"] + plan["plan"]["changed"], plan["plan"]["known"])
        assert len(rows) == len(answers) == last["summary"]["accepted"]
        assert (0 if sent else Exit.FINISHED) == done.returncode
