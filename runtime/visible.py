"""Visible: text from gateways and recipients, without an effect on the terminal, log or table that shows it.

An escape sequence could clear the operator's screen or change its title, and a bidirectional override could reverse the
line.  Every printer shows such characters as escapes, for example ``\\x1b`` and ``\\u202e``.
"""

from __future__ import annotations

CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
LINE_SEPARATORS = (0x2028, 0x2029)
BIDIRECTIONAL = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
SURROGATES = tuple(range(0xD800, 0xE000))  # left over from bytes that were no text; no terminal can encode them
_ACTING = (*CONTROLS, *LINE_SEPARATORS, *BIDIRECTIONAL, *SURROGATES)
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _ACTING}
_LINES = {code: shown for code, shown in _ESCAPES.items() if code != ord("\n")}
_JSON = {code: f"\\u{code:04x}" for code in _ACTING if code >= 0x7F}  # JSON escapes the others itself


def visible(text: str) -> str:
    """Return one line of text with each control character, line separator and bidirectional control as an escape."""
    return text if text.isprintable() else text.translate(_ESCAPES)


def visible_lines(text: str) -> str:
    """Return text of several lines with the same escapes; line feeds stay."""
    return text if text.isprintable() else text.translate(_LINES)


def visible_json(line: str) -> str:
    """Return JSON that parses to the same value, without such characters."""
    return line if line.isascii() and "\x7f" not in line else line.translate(_JSON)
