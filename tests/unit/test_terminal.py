"""Tables of commands show every value whole, however narrow the terminal is."""

from __future__ import annotations

import io
from collections import Counter

import pytest

from threelane.interfaces.command.terminal import Table, Terminal

ROW = ("sender:27820000000000000000000000001", "114", "sender_unknown", "https://gateway.example/a/path", "2026-01-01Z")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_value_of_a_table_is_cut(width: int) -> None:
    """An operator types a scope into the next command; output that is piped has 80 columns."""
    output = io.StringIO()
    table = Table("scope", "code", "cause", "evidence", "since")
    table.add_row(*ROW)
    Terminal(file=output, width=width).print(table)

    assert Counter() == Counter("".join(ROW)) - Counter(output.getvalue())
    assert "…" not in output.getvalue()
