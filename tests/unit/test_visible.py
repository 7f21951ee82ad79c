"""Foreign text is shown without an effect on the terminal, the log or the table that shows it."""

from __future__ import annotations

import io
import json
import logging

import pytest
from rich.table import Table
from rich.text import Text

from threelane.interfaces.command.terminal import Terminal
from threelane.runtime import logs
from threelane.runtime.visible import visible, visible_json, visible_lines

EVIL = "a\x1b[2J\x07\x9b2J\x7f\r\u202eb\u2066\u2028c\n{}\u061c"
SHOWN = r"a\x1b[2J\x07\x9b2J\x7f\x0d\u202eb\u2066\u2028c\x0a{}\u061c"


@pytest.mark.parametrize(
    ("text", "shown"), [(EVIL, SHOWN), ("żółć 📱 \u200d", "żółć 📱 \u200d"), ("\ud800", r"\ud800")]
)
def test_characters_with_an_effect_are_escaped_and_all_others_stay(text: str, shown: str) -> None:
    """A line feed counts, too: it would begin a line that the product seems to have written."""
    assert shown == visible(text)
    assert shown == visible(visible(text))
    assert shown.replace(r"\x0a", "\n") == visible_lines(text)


def test_json_stays_the_same_data() -> None:
    """Programs read it; a person who looks at it sees no effect."""
    line = json.dumps({"text": EVIL}, ensure_ascii=False)
    assert {"text": EVIL} == json.loads(visible_json(line))
    assert visible_json(line).isprintable()


def test_a_log_line_is_one_line_without_effects() -> None:
    """Whatever logs it, also a library."""
    record = logging.LogRecord("library", logging.INFO, "", 0, EVIL, (), None)
    line = logs.JsonLines().format(record)
    assert EVIL == json.loads(line)["event"]
    assert line.isprintable()


def test_a_console_shows_escapes_and_keeps_its_own_styles() -> None:
    """In a table, in a line, and in text with markup."""
    written = io.StringIO()
    console = Terminal(file=written, force_terminal=True, color_system="standard", width=200)
    table = Table("name")
    table.add_row("[red]a\x1b[2J\u202e[/]")
    for printed in (table, Text("other\x9b"), "one \x1b]0;title\x07 line", "[bold]x\x9b[/]"):
        console.print(printed)

    text = written.getvalue()
    for style in ("\x1b[31m", "\x1b[1m", "\x1b[3m", "\x1b[0m", "\x1b[1;36m"):
        text = text.replace(style, "")
    assert visible_lines(text) == text
    assert r"\x1b[2J" in text.replace("\x1b[1;36m", "")
    assert "\x1b[31m" in written.getvalue()
