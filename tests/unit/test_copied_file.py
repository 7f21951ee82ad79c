"""A file is copied before it is read: it is read more than once, and programs save files in place."""

from __future__ import annotations

from pathlib import Path

from threelane.interfaces.command.file_numbers import copied


def test_a_file_that_is_saved_or_removed_meanwhile_is_read_as_it_was(tmp_path: Path) -> None:
    """Otherwise the front of one row would meet the rear of another, and a person would get another one's text."""
    file = tmp_path / "people.csv"
    file.write_bytes(b"to,text\n+27831234567,Hello Ana\n")
    with file.open("rb") as given, copied(file, given) as opened:
        assert b"to,text\n" == opened.readline()
        file.write_bytes(b"to,text\n+27831234568,Hello Bo\n+27831234567,Hello Ana\n")
        file.unlink()
        assert b"+27831234567,Hello Ana\n" == opened.read()
        opened.seek(0)
        assert b"to,text\n+27831234567,Hello Ana\n" == opened.read()
