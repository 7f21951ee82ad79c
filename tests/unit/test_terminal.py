"""Tables of commands show every value whole, however narrow the terminal is."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threelane.interfaces.command.terminal import Table, Terminal

ROW = ("sender:27820000000000000000000000001", "114", "sender_unknown", "https://gateway.example/a/path", "2026-01-01Z")
CAUSE = "the gateway has refused this sender for eleven different numbers of three countries in the last five minutes"
WORD = st.text("0123456789abcdefü通-:.", min_size=1, max_size=50)
VALUE = st.lists(WORD, max_size=12).map(" ".join)


def printed(*rows: tuple[str, ...], width: int | None, names: tuple[str, ...] = ()) -> str:
    """Return what a table prints at a width; None: into a pipe."""
    output = io.StringIO()
    table = Table(*(names or [f"column{number}" for number in range(len(rows[0]))]))
    for row in rows:
        table.add_row(*row)
    Terminal(file=output, width=width).print(table)
    return output.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200, None])
def test_no_value_of_a_table_is_cut_or_broken(width: int | None) -> None:
    """An operator copies a scope into the next command."""
    output = printed(ROW, ("account", "301", CAUSE, "", "2026-01-01Z"), width=width)

    assert Counter() == Counter([*ROW, *CAUSE.split()]) - Counter(output.split())
    assert "…" not in output


@given(st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1, max_size=4), st.integers(10, 220))
def test_every_word_of_every_value_is_printed_at_any_width(rows: list[tuple[str, ...]], width: int) -> None:
    """Whether the rows are side by side or blocks."""
    output = printed(*rows, width=width)

    assert Counter() == Counter(word for row in rows for value in row for word in value.split()) - Counter(
        output.split()
    )


@given(st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1, max_size=4), st.integers(10, 220))
def test_a_line_is_wider_than_the_terminal_only_for_one_word(rows: list[tuple[str, ...]], width: int) -> None:
    """A terminal that wraps a line itself breaks what is at its edge."""
    for line in printed(*rows, width=width).splitlines():
        assert Terminal().measure(line).maximum <= width or len(line.split()) == 1


def test_a_narrow_table_becomes_blocks_without_empty_values() -> None:
    """One line per value, a blank line between rows."""
    output = printed(("a" * 32, CAUSE, ""), ("b" * 32, "", "x"), width=40, names=("id", "cause", "batch"))

    assert output.splitlines()[0] == f"id: {'a' * 32}"
    assert output.splitlines()[1].startswith("cause: the gateway has refused")
    assert output.splitlines()[-4:] == ["", f"id: {'b' * 32}", "batch: x", ""]


def test_empty_columns_give_way_before_a_table_becomes_blocks() -> None:
    """Side by side is easier to compare; a column without a value has nothing to compare."""
    rows = [(one * 32, "", "113", "") for one in "ab"]
    names = ("id", "a long name of a column", "code", "another long name of one")
    assert "another" in printed(*rows, width=120, names=names)
    narrow = printed(*rows, width=50, names=names)
    assert ["id", "code"] == narrow.split()[:2]
    assert "long" not in narrow


def test_a_pipe_gets_each_row_as_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """For grep; COLUMNS sets another width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    (line,) = (one for one in printed((*ROW, CAUSE), width=None).splitlines() if ROW[0] in one)
    assert line.split() == [*ROW, *CAUSE.split()]

    monkeypatch.setenv("COLUMNS", "0")
    assert ROW[0] in printed((*ROW, CAUSE), width=None)
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, printed((*ROW, CAUSE), width=None).splitlines())) <= 60
