"""Files as people have them: each is read to the row, or refused in a sentence that names the remedy."""

from __future__ import annotations

import time

import pytest

from tests.files_of_people import CASES, Case, rows
from threelane.contract import message
from threelane.contract.refusal import Refusal
from threelane.producer.files.bulk import InvalidFile
from threelane.producer.files.row import FileRow

NOW = int(time.time() * 1000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_of_people_is_read_to_the_row_or_refused_in_a_sentence(case: Case) -> None:
    """Whoever exported it cannot change the program that wrote it."""
    if case.sentence:
        with pytest.raises(InvalidFile) as refused:
            list(rows(case))
        assert case.sentence in str(refused.value)
        assert len(str(refused.value)) < 500
        return
    results = [(row.number, one) for row in rows(case) for one in [_result(row)]]

    assert list(case.messages) == [one for _, one in results if isinstance(one, tuple)]
    problems = [(number, one) for number, one in results if isinstance(one, str)]
    assert [number for number, _ in case.refused] == [number for number, _ in problems]
    for (_, expected), (_, problem) in zip(case.refused, problems, strict=True):
        assert expected in problem


def _result(row: FileRow) -> tuple[str, str] | str:
    draft = row.content if isinstance(row.content, Refusal) else message.parse(row.content, NOW)
    if isinstance(draft, Refusal):
        return str(draft)
    return draft.message.to, draft.message.text


def test_there_are_fifty_files() -> None:
    """As many as were promised, each with a name of its own."""
    assert len(CASES) >= 50
    assert len(CASES) == len({case.name for case in CASES})
